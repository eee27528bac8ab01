//! What a machine needs for a real node, what is missing, and how to get it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Serialize;

use super::{NodeError, cgroup, command, images};
use crate::layout::Layout;
use crate::progress::Progress;

/// What installing packages may take.
const INSTALL_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Programs of the system that the node uses, and the Debian package that brings each.
const PROGRAMS: [(&str, &str); 17] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("runc", "runc"),
    ("ptp", "containernetworking-plugins"),
    ("portmap", "containernetworking-plugins"),
    ("iptables", "iptables"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "mount"),
    ("tar", "tar"),
    ("find", "findutils"),
    ("dpkg-deb", "dpkg"),
];

/// Where CNI plugins may be: Debian's folder, then the upstream one.
const CNI_FOLDERS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// Folders that hold programs of the administrator, which `PATH` may lack.
const ADMIN_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// One thing that keeps this machine from having a real node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is missing.
    pub problem: String,
    /// What to do.
    pub remedy: String,
    /// Whether [`ensure_packages`] can do it.
    pub installable: bool,
}

impl Finding {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into(), installable: false }
    }
}

/// Whether this machine can have a real node, once packages are installed.
#[must_use]
pub fn can_run(layout: &Layout) -> bool {
    doctor(layout).iter().all(|finding| finding.installable)
}

/// What keeps this machine from having a real node; changes nothing.
#[must_use]
pub fn doctor(layout: &Layout) -> Vec<Finding> {
    if !cfg!(target_os = "linux") {
        return vec![Finding::new("a real node needs Linux", "use --cluster kind")];
    }
    let mut findings = Vec::new();
    if !nix::unistd::geteuid().is_root() {
        findings.push(Finding::new("a real node needs root", "run as root (`sudo -E cargo mlp up`)"));
    }
    if layout.state().starts_with("/run") || layout.state().starts_with("/var/run") {
        findings.push(Finding::new("the state folder lies in /run", "check out in another folder"));
    }
    if !has_overlay() {
        findings
            .push(Finding::new("the kernel has no overlayfs", "install the modules of the running kernel"));
    }
    if let Err(missing) = cgroup::controllers() {
        let remedy = "boot a kernel that has them, or run outside this container";
        findings.push(Finding::new(format!("no cgroup controllers: {}", missing.join(", ")), remedy));
    }
    let missing = missing_packages();
    if !missing.is_empty() {
        let list = missing.into_iter().collect::<Vec<_>>().join(" ");
        let installable = program("apt-get").is_some() && nix::unistd::geteuid().is_root();
        let remedy = format!("apt-get install -y --no-install-recommends {list}");
        findings.push(Finding { problem: format!("not installed: {list}"), remedy, installable });
    }
    findings
}

/// Installs missing packages with apt-get, and says what else is missing.
///
/// # Errors
/// This machine cannot have a real node, or apt-get failed.
pub async fn ensure_packages(layout: &Layout, progress: &Progress) -> Result<(), NodeError> {
    if let Some(finding) = doctor(layout).into_iter().find(|finding| !finding.installable) {
        return Err(NodeError::Unfit { problem: finding.problem, remedy: finding.remedy });
    }
    let missing = missing_packages();
    if missing.is_empty() {
        return Ok(());
    }
    let list: Vec<&str> = missing.into_iter().collect();
    progress
        .step(format!("installing {} (apt-get)", list.join(", ")), async {
            command::run("apt-get", &["update", "-q"], INSTALL_LIMIT).await?;
            let install = ["install", "-y", "-q", "--no-install-recommends"];
            command::run("apt-get", &[&install, list.as_slice()].concat(), INSTALL_LIMIT).await
        })
        .await?;
    let left = missing_packages().into_iter().collect::<Vec<_>>().join(" ");
    if left.is_empty() {
        return Ok(());
    }
    Err(NodeError::Unfit {
        problem: format!("still missing after apt-get: {left}"),
        remedy: "install them".into(),
    })
}

/// The folder with the CNI plugins.
pub(super) fn cni_folder() -> PathBuf {
    let folder = CNI_FOLDERS.iter().map(PathBuf::from).find(|folder| folder.join("ptp").is_file());
    folder.unwrap_or_else(|| PathBuf::from("/usr/lib/cni"))
}

/// A program of the system.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(ADMIN_FOLDERS.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Whether the kernel has the file system of containers, or a module of it that mounting loads.
fn has_overlay() -> bool {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let modprobe = || {
        let probe =
            Command::new("modprobe").args(["--dry-run", "--quiet", "overlay"]).stdin(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    };
    known.lines().any(|line| line.trim_start_matches("nodev").trim() == "overlay") || modprobe()
}

fn missing_packages() -> BTreeSet<&'static str> {
    let present = |name: &str| {
        program(name).is_some() || CNI_FOLDERS.iter().any(|folder| Path::new(folder).join(name).is_file())
    };
    let programs = PROGRAMS.iter().filter(|(name, _)| !present(name)).map(|(_, package)| *package);
    programs.chain(images::missing_package()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_folder_in_run_is_refused_with_the_remedy() {
        let layout = Layout::of_checkout(Path::new("/run/somewhere"));
        let findings = doctor(&layout);
        assert!(
            findings
                .iter()
                .any(|finding| finding.problem.contains("/run") || finding.problem.contains("Linux"))
        );
        assert!(findings.iter().all(|finding| !finding.remedy.is_empty()));
        assert!(!can_run(&layout));
    }

    #[test]
    fn programs_are_found_beyond_the_path_of_people() {
        assert!(program("sh").is_some());
        assert!(program("no-such-program-of-ours").is_none());
    }
}
