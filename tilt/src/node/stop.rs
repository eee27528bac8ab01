//! Stopping the node, and clearing what a crash left, both by our own names.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::site::{INSIDE, SANDBOX, Site};
use super::{NAME, NodeError, cgroup, link, sandbox};
use crate::layout::Layout;
use crate::network::Network;
use crate::progress::Progress;

/// How long kubelet and kube-proxy may take to end.
const AGENT_GRACE: Duration = Duration::from_secs(5);

/// How long containers may take to end, as a database needs to close its files.
const CONTAINER_GRACE: Duration = Duration::from_secs(10);

/// The node of a layout, if there ever was one.
pub(super) fn site(layout: &Layout) -> Option<Site> {
    let site = |network| Site { layout: layout.clone(), network, name: NAME.into() };
    let present = layout.state().join("network.json").is_file() && layout.data("node").is_dir();
    present.then(|| Network::open(layout).ok().map(site)).flatten()
}

pub(super) async fn stop(layout: &Layout, progress: &Progress) -> Result<(), NodeError> {
    let Some(site) = site(layout) else { return Ok(()) };
    let work = async {
        for name in INSIDE.iter().filter(|name| **name != "containerd") {
            if let Some(mut process) = site.attach(name) {
                process.stop(AGENT_GRACE).await?;
            }
        }
        end_containers(&site).await;
        clear(&site).await
    };
    if site.attach(SANDBOX).is_none() {
        return work.await;
    }
    progress.step("stopping the real node", work).await
}

/// Ends the namespaces with all that is in them, and removes everything that bears our name.
pub(super) async fn clear(site: &Site) -> Result<(), NodeError> {
    if let Some(mut process) = site.attach(SANDBOX) {
        process.stop(sandbox::STOP_GRACE).await?;
    }
    let group = site.kernel_name();
    for pid in strays(site).into_iter().chain(cgroup::processes(&group)) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    for name in [SANDBOX].into_iter().chain(INSIDE) {
        let _ = fs::remove_file(site.record(name));
    }
    if cgroup::exists(&group) {
        cgroup::remove(&group).await?;
    }
    link::disconnect(site).await?;
    link::close_egress(site).await
}

/// Asks the processes of all containers to end, and waits a while for those that listen. The first
/// process of a container that does not is deaf to the request, and waiting for it is idle.
async fn end_containers(site: &Site) {
    let group = site.kernel_name();
    for pid in cgroup::processes(&group) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    let listening = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        catches(&status, Signal::SIGTERM)
    };
    let deadline = Instant::now() + CONTAINER_GRACE;
    while cgroup::processes(&group).iter().any(listening) && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether a process, by its `/proc/<pid>/status`, has a handler for the signal.
fn catches(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask & (1 << (signal as i32 - 1)) != 0
}

/// Holders of namespaces that run our script although no record names them.
fn strays(site: &Site) -> Vec<i32> {
    let script = site.config("init.sh");
    let script = script.as_os_str().as_encoded_bytes();
    let ours = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = words.split(|byte| *byte == 0);
        words.next() == Some(b"unshare") && words.any(|word| word == script)
    };
    all_processes().into_iter().filter(ours).collect()
}

/// Processes of the node: those in the process namespace that `holder` made, and those of its
/// containers, which have namespaces of their own and are known by their control group.
pub(super) fn members(site: &Site, holder: i32) -> Vec<i32> {
    let wanted = fs::read_link(format!("/proc/{holder}/ns/pid_for_children")).ok();
    let agent = |pid: &i32| wanted.is_some() && fs::read_link(format!("/proc/{pid}/ns/pid")).ok() == wanted;
    let agents = all_processes().into_iter().filter(agent);
    agents.chain(cgroup::processes(&site.kernel_name())).collect()
}

fn all_processes() -> Vec<i32> {
    let entries = fs::read_dir(Path::new("/proc")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_handles_a_signal_is_read_from_its_mask() {
        assert!(catches("Name:\tpostgres\nSigCgt:\t0000000000004000\n", Signal::SIGTERM));
        assert!(!catches("Name:\tsleep\nSigCgt:\t0000000000000000\n", Signal::SIGTERM));
        assert!(!catches("", Signal::SIGTERM));
    }
}
