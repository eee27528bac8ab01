//! Where the volumes of the default StorageClass are.
//!
//! kube-controller-manager's host-path provisioner knows one folder, `/tmp/hostpath_pv`, which two
//! platforms would share and a restart of the machine may empty. Where this process may make mount
//! namespaces (root on Linux), the controller manager sees the platform's own folder there; the
//! real node mounts the same folder at the same place.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::layout::{Layout, LayoutError, create_private_dir};

/// The folder that the provisioner writes into PersistentVolumes.
pub const PROVISIONED: &str = "/tmp/hostpath_pv";

/// Mounts the first argument at the second, out of sight of everyone else, and becomes the rest.
const ENTER: &str = r#"mkdir -p "$2" && mount --bind "$1" "$2" && shift 2 && exec "$@""#;

/// The platform's own folder of volumes, as others mount it.
#[must_use]
pub fn folder(layout: &Layout) -> PathBuf {
    layout.data("volumes")
}

/// The command that runs `program` where [`PROVISIONED`] is the platform's own folder; none where
/// this process may not do that.
pub(super) fn enter(layout: &Layout, program: &Path) -> Result<Option<Vec<String>>, LayoutError> {
    let probe =
        Command::new("unshare").args(["--mount", "true"]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let folder = folder(layout);
    create_private_dir(&folder)?;
    let [folder, program] = [folder, program.to_owned()].map(|path| path.display().to_string());
    let words = ["unshare", "--mount", "sh", "-c", ENTER, "sh", &folder, PROVISIONED, &program];
    Ok(Some(words.map(String::from).to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_inside_writes_into_the_platforms_own_folder() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::of_checkout(root.path());
        let Some(words) = enter(&layout, Path::new("sh")).unwrap() else {
            assert!(
                !nix::unistd::geteuid().is_root() || !cfg!(target_os = "linux"),
                "root may make namespaces"
            );
            return;
        };
        let marker = format!("marker-{}", std::process::id());
        let script = format!("touch {PROVISIONED}/{marker}");
        let status = Command::new(&words[0]).args(&words[1..]).args(["-c", &script]).status().unwrap();
        assert!(status.success());
        assert!(folder(&layout).join(&marker).exists());
        assert!(!Path::new(PROVISIONED).join(&marker).exists());
    }
}
