//! Names, folders and addresses of one node.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::layout::Layout;
use crate::network::Network;
use crate::process::Process;

use super::policy::AGENT;

/// The node's processes that run inside its namespaces, in the order in which they stop.
pub(super) const INSIDE: [&str; 4] = ["kubelet", "kube-proxy", AGENT, "containerd"];

/// The process that holds the namespaces.
pub(super) const SANDBOX: &str = "node";

/// Names, folders and addresses of one node.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) layout: Layout,
    pub(super) network: Network,
    /// Name of the node in the cluster.
    pub(super) name: String,
}

impl Site {
    /// What the kernel's objects of this platform are called: link, control group, rules. It
    /// follows from the state folder, so that leftovers are found.
    pub(super) fn kernel_name(&self) -> String {
        let digest = Sha256::digest(self.layout.state().as_os_str().as_encoded_bytes());
        let hex: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("{}{hex}", super::link::PREFIX)
    }

    /// What the node keeps: kubelet's and containerd's data, logs of pods.
    pub(super) fn folder(&self) -> PathBuf {
        self.layout.data("node")
    }

    /// A configuration file of the node.
    pub(super) fn config(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub(super) fn record(&self, process: &str) -> PathBuf {
        self.layout.run().join(format!("{process}.json"))
    }

    pub(super) fn attach(&self, process: &str) -> Option<Process> {
        Process::attach(process, &self.record(process), &self.layout.log(process))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_names_differ_by_state_folder_and_fit_an_interface() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::of_checkout(root.path());
        layout.open().unwrap();
        let network = Network::open(&layout).unwrap();
        let site = |layout: Layout| Site { layout, network, name: "node".into() };
        let one = site(layout.clone()).kernel_name();
        assert_eq!(one, site(layout.clone()).kernel_name());
        assert_ne!(one, site(layout.with_state("/elsewhere")).kernel_name());
        assert!(one.len() <= 15, "an interface name has at most 15 characters");
    }
}
