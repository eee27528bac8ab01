//! The node's own branch of the control groups, version 1 and 2.
//!
//! Every container runs beneath it, so that it tells which processes are the node's and can be
//! removed as a whole. kubelet makes and removes the groups below.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::NodeError;

const ROOT: &str = "/sys/fs/cgroup";

/// What kubelet cannot do without.
const NEEDED: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

/// A group may take this long to empty after its processes were killed.
const REMOVE_LIMIT: Duration = Duration::from_secs(5);

/// Mount points of the hierarchies in which kubelet makes groups.
///
/// The error lists the controllers that are missing.
pub(super) fn controllers() -> Result<Vec<PathBuf>, Vec<&'static str>> {
    let unified = fs::read_to_string(Path::new(ROOT).join("cgroup.controllers"));
    if let Ok(unified) = unified {
        let known: BTreeSet<&str> = unified.split_ascii_whitespace().collect();
        let missing: Vec<_> = NEEDED.into_iter().filter(|name| !known.contains(name)).collect();
        return if missing.is_empty() { Ok(vec![ROOT.into()]) } else { Err(missing) };
    }
    version_1(&fs::read_to_string("/proc/self/mounts").unwrap_or_default())
}

/// The hierarchies of version 1 in a list of mounts.
fn version_1(mounts: &str) -> Result<Vec<PathBuf>, Vec<&'static str>> {
    let (mut folders, mut known) = (Vec::new(), BTreeSet::new());
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, folder, "cgroup", options, ..] = fields.as_slice() else { continue };
        folders.push(PathBuf::from(folder));
        known.extend(options.split(','));
    }
    let missing: Vec<_> = NEEDED.into_iter().filter(|name| !known.contains(name)).collect();
    if missing.is_empty() { Ok(folders) } else { Err(missing) }
}

/// Makes the group in every hierarchy.
pub(super) fn create(name: &str) -> Result<(), NodeError> {
    for root in controllers().unwrap_or_default() {
        if root == Path::new(ROOT) {
            let switch = root.join("cgroup.subtree_control");
            for controller in NEEDED.into_iter().chain(["io", "hugetlb"]) {
                if let Err(error) = fs::write(&switch, format!("+{controller}")) {
                    tracing::debug!(controller, %error, "cgroup controller was not enabled");
                }
            }
        }
        let group = root.join(name);
        fs::create_dir_all(&group).map_err(|source| NodeError::io("create", &group, source))?;
        // A new group of cpuset version 1 has no cores and no memory nodes.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let inherited = fs::read_to_string(root.join(file)).unwrap_or_default();
            if root.ends_with("cpuset") && !inherited.trim().is_empty() {
                let target = group.join(file);
                fs::write(&target, inherited.trim())
                    .map_err(|source| NodeError::io("write", &target, source))?;
            }
        }
    }
    Ok(())
}

/// Every folder of the group: those of [`controllers`], and that of version 2 where it is mounted
/// beside version 1, in which runc makes groups of its own.
fn folders(name: &str) -> Vec<PathBuf> {
    let beside = Path::new(ROOT).join("unified");
    let roots = controllers().unwrap_or_default().into_iter().chain([beside]);
    roots.map(|root| root.join(name)).filter(|folder| folder.is_dir()).collect()
}

/// Processes in the group and below, without duplicates.
pub(super) fn processes(name: &str) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    for folder in folders(name) {
        walk(&folder, &mut |folder| {
            let list = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            found.extend(list.lines().filter_map(|line| line.parse::<i32>().ok()));
        });
    }
    found
}

/// Whether the group exists in any hierarchy.
pub(super) fn exists(name: &str) -> bool {
    !folders(name).is_empty()
}

/// Removes the group with all below it, which must be or become empty of processes.
pub(super) async fn remove(name: &str) -> Result<(), NodeError> {
    let deadline = tokio::time::Instant::now() + REMOVE_LIMIT;
    loop {
        let mut left = None;
        for folder in folders(name) {
            walk(&folder, &mut |folder| match fs::remove_dir(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    left = Some((folder.to_owned(), error))
                }
                _ => {}
            });
        }
        match left {
            None => return Ok(()),
            Some((path, source)) if tokio::time::Instant::now() >= deadline => {
                return Err(NodeError::io("remove", path, source));
            }
            Some(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Visits a folder tree, children first.
fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
    if folder.is_dir() {
        visit(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_version_1_are_read_from_the_mounts() {
        let mounts = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n\
                      cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
                      cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(version_1(mounts), Err(vec!["cpuset"]));
        let whole = format!("{mounts}cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\n");
        assert_eq!(version_1(&whole).unwrap().len(), 4);
    }
}
