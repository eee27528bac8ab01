//! Where a tool may already be: assets, `KUBEBUILDER_ASSETS`, `PATH`, the project's cache.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::pins::Tool;

/// The places that are looked at, in this order.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// `--assets`: a person says "use these"; any version is taken.
    pub assets: Option<PathBuf>,
    /// `KUBEBUILDER_ASSETS`, the convention of envtest; any version is taken.
    pub kubebuilder_assets: Option<PathBuf>,
    /// The folders of `PATH`; a binary counts only when it prints the pinned version.
    pub path: Vec<PathBuf>,
    /// `.mlp/cache/tools`, filled by our own builds.
    pub cache: PathBuf,
}

/// Where a tool was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// In the folder that `--assets` names.
    Assets(PathBuf),
    /// In `KUBEBUILDER_ASSETS`.
    KubebuilderAssets(PathBuf),
    /// On `PATH`, at the pinned version.
    Path(PathBuf),
    /// Built here before.
    Cache(PathBuf),
}

impl Found {
    /// The binary.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Assets(path) | Self::KubebuilderAssets(path) | Self::Path(path) | Self::Cache(path) => path,
        }
    }

    /// The place in a word, for `mlp doctor`.
    #[must_use]
    pub const fn place(&self) -> &'static str {
        match self {
            Self::Assets(_) => "--assets",
            Self::KubebuilderAssets(_) => "KUBEBUILDER_ASSETS",
            Self::Path(_) => "PATH",
            Self::Cache(_) => "cache",
        }
    }
}

impl Places {
    /// The first place that has the tool.
    #[must_use]
    pub fn find(&self, tool: &Tool) -> Option<Found> {
        let in_folder = |folder: &Path| Some(folder.join(tool.name)).filter(|path| is_executable(path));
        let assets = self.assets.as_deref().and_then(in_folder).map(Found::Assets);
        let kubebuilder =
            || self.kubebuilder_assets.as_deref().and_then(in_folder).map(Found::KubebuilderAssets);
        let path = || {
            let mut candidates = self.path.iter().filter_map(|folder| in_folder(folder));
            candidates.find(|candidate| prints_pinned_version(tool, candidate)).map(Found::Path)
        };
        let cache = || Some(self.cached(tool)).filter(|path| is_executable(path)).map(Found::Cache);
        assets.or_else(kubebuilder).or_else(path).or_else(cache)
    }

    /// The Go that builds what is missing: the first on `PATH`.
    #[must_use]
    pub fn go(&self) -> Option<PathBuf> {
        self.path.iter().map(|folder| folder.join("go")).find(|path| is_executable(path))
    }

    /// Where our own build of the tool goes: `<cache>/<name>@<version>/<name>`.
    #[must_use]
    pub fn cached(&self, tool: &Tool) -> PathBuf {
        self.cache.join(format!("{}@{}", tool.name, tool.version)).join(tool.name)
    }
}

fn prints_pinned_version(tool: &Tool, binary: &Path) -> bool {
    let output = Command::new(binary).args(tool.version_arguments).stdin(Stdio::null()).output();
    output.is_ok_and(|output| {
        let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        contains_version(&printed, tool.version_text)
    })
}

/// Whether `text` names `version` as a whole: `1.15.0` is not in `1.15.01` nor in `21.15.0`.
fn contains_version(text: &str, version: &str) -> bool {
    text.match_indices(version).any(|(at, _)| {
        let before = text.get(..at).and_then(|head| head.chars().next_back());
        let after = text.get(at + version.len()..).and_then(|tail| tail.chars().next());
        let joins = |character: Option<char>| character.is_some_and(|c| c.is_ascii_digit() || c == '.');
        !joins(before) && !joins(after)
    })
}

pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::super::pins::ETCD;
    use super::*;

    fn script(folder: &Path, name: &str, prints: &str) {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\necho '{prints}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn places_are_looked_at_in_the_documented_order() {
        let root = tempfile::tempdir().unwrap();
        let folder = |name: &str| root.path().join(name);
        let places = Places {
            assets: Some(folder("assets")),
            kubebuilder_assets: Some(folder("envtest")),
            path: vec![folder("old"), folder("bin")],
            cache: folder("cache"),
        };
        assert_eq!(places.find(&ETCD), None);
        script(&folder("cache/etcd@v3.6.4"), "etcd", "");
        assert_eq!(places.find(&ETCD).unwrap().place(), "cache");
        script(&folder("old"), "etcd", "etcd Version: 3.5.9");
        assert_eq!(places.find(&ETCD).unwrap().place(), "cache", "another version on PATH does not count");
        script(&folder("bin"), "etcd", "etcd Version: 3.6.4");
        assert_eq!(places.find(&ETCD), Some(Found::Path(folder("bin/etcd"))));
        script(&folder("envtest"), "etcd", "anything");
        assert_eq!(places.find(&ETCD).unwrap().place(), "KUBEBUILDER_ASSETS");
        script(&folder("assets"), "etcd", "anything");
        assert_eq!(places.find(&ETCD).unwrap().place(), "--assets");
    }

    #[test]
    fn a_file_that_cannot_run_is_not_a_tool() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("etcd"), "text").unwrap();
        let places = Places { assets: Some(root.path().into()), ..Places::default() };
        assert_eq!(places.find(&ETCD), None);
    }

    #[test]
    fn versions_match_whole() {
        assert!(contains_version("Kubernetes v1.36.3\n", "v1.36.3"));
        assert!(!contains_version("Kubernetes v1.36.30", "v1.36.3"));
        assert!(!contains_version("etcd 13.6.4", "3.6.4"));
    }
}
