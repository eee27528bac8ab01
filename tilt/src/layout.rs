//! The folders of a checkout: `.mlp/cache` (can be rebuilt) and `.mlp/state` (the platform's own).
//!
//! State carries its format version. A folder of another version, or one that is damaged, is
//! refused in one line that says what to do; nothing in it is touched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mlp_model::{Class, Classified};

/// The format of `.mlp/state` that this code reads and writes.
pub const FORMAT: u32 = 1;

/// Why the folders cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// No checkout around the folder.
    #[error("{} is not inside a checkout of the platform; change into one", start.display())]
    NoCheckout {
        /// Where the search began.
        start: PathBuf,
    },
    /// The state folder is damaged.
    #[error("state folder {} is corrupt ({detail}); run `cargo mlp down --wipe` to start afresh, or restore a backup", path.display())]
    Corrupt {
        /// The state folder.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The state folder belongs to another version of this code.
    #[error(
        "state folder {} has format {found}, this version reads {FORMAT}; use the version that made it, or run `cargo mlp down --wipe`",
        path.display()
    )]
    OtherFormat {
        /// The state folder.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The folder was not made by this code.
    #[error("{} is no platform's state folder, and nothing in it is deleted; name one that `cargo mlp up` made", path.display())]
    NotState {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {}; check its owner and the free space", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Classified for LayoutError {
    fn class(&self) -> Class {
        Class::Terminal
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NoCheckout { .. } => "NoCheckout",
            Self::Corrupt { .. } => "StateCorrupt",
            Self::OtherFormat { .. } => "StateFormat",
            Self::NotState { .. } => "NotState",
            Self::Io { .. } => "StateUnusable",
        }
    }
}

/// The folders of one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
    cache: PathBuf,
    state: PathBuf,
}

impl Layout {
    /// The layout of the checkout that holds `start` or is above it.
    ///
    /// # Errors
    /// [`LayoutError::NoCheckout`] when no folder upwards has `tilt/toolchain`.
    pub fn discover(start: &Path) -> Result<Self, LayoutError> {
        let checkout = start.ancestors().find(|folder| folder.join("tilt/toolchain").is_dir());
        checkout.map(Self::of_checkout).ok_or_else(|| LayoutError::NoCheckout { start: start.into() })
    }

    /// The layout of the checkout at `root`, which is not examined.
    #[must_use]
    pub fn of_checkout(root: &Path) -> Self {
        Self { root: root.into(), cache: root.join(".mlp/cache"), state: root.join(".mlp/state") }
    }

    /// The same checkout and cache with another state folder: a second platform, as tests use it.
    #[must_use]
    pub fn with_state(mut self, state: impl Into<PathBuf>) -> Self {
        self.state = state.into();
        self
    }

    /// Creates the state folder, or checks the one that is there.
    ///
    /// # Errors
    /// The folder is corrupt, of another format, or cannot be written.
    pub fn open(&self) -> Result<(), LayoutError> {
        let marker = self.state.join("format.json");
        if self.exists() {
            return self.check();
        }
        let unexpected = fs::read_dir(&self.state).is_ok_and(|mut entries| entries.next().is_some());
        if unexpected {
            return Err(self.corrupt("format.json is missing"));
        }
        create_private_dir(&self.state)?;
        write_private(&marker, format!("{{\"format\":{FORMAT}}}\n").as_bytes())
    }

    /// Whether there is a state folder with a format marker, readable or not.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.state.join("format.json").exists()
    }

    fn check(&self) -> Result<(), LayoutError> {
        #[derive(serde::Deserialize)]
        struct Marker {
            format: u32,
        }
        let text = fs::read_to_string(self.state.join("format.json"))
            .map_err(|error| self.corrupt(format!("format.json: {error}")))?;
        let marker: Marker =
            serde_json::from_str(&text).map_err(|_| self.corrupt("format.json is not readable"))?;
        match marker.format {
            FORMAT => Ok(()),
            found => Err(LayoutError::OtherFormat { path: self.state.clone(), found }),
        }
    }

    /// An error that says that the state folder is damaged.
    pub(crate) fn corrupt(&self, detail: impl Into<String>) -> LayoutError {
        LayoutError::Corrupt { path: self.state.clone(), detail: detail.into() }
    }

    /// Whether the folder is one that [`Layout::open`] made, damaged or not, or holds nothing at all.
    fn is_ours(&self) -> bool {
        let holds_checkout = self.root.starts_with(&self.state);
        let empty = || fs::read_dir(&self.state).map_or(true, |mut entries| entries.next().is_none());
        let is_real_folder = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
        let marked = || self.exists() || [self.pki(), self.run()].iter().all(is_real_folder);
        !holds_checkout && (empty() || marked())
    }

    /// Refuses a folder that holds something else than a platform's state.
    ///
    /// # Errors
    /// [`LayoutError::NotState`].
    pub fn check_ours(&self) -> Result<(), LayoutError> {
        if self.is_ours() { Ok(()) } else { Err(LayoutError::NotState { path: self.state.clone() }) }
    }

    /// Removes the state folder and all it holds. The cache stays.
    ///
    /// # Errors
    /// The folder is not one of ours, or a file cannot be removed.
    pub fn wipe(&self) -> Result<(), LayoutError> {
        self.check_ours()?;
        match fs::remove_dir_all(&self.state) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(LayoutError::Io { action: "remove", path: self.state.clone(), source })
            }
            _ => Ok(()),
        }
    }

    /// The top of the checkout.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What can be rebuilt: tools, images.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// What must survive `down` and `up`.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Binaries that were built here.
    #[must_use]
    pub fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }

    /// The Go modules that pin the tools.
    #[must_use]
    pub fn toolchain_modules(&self) -> PathBuf {
        self.root.join("tilt/toolchain")
    }

    /// Keys and certificates.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.state.join("pki")
    }

    /// Log files, one per process.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// The log of one process.
    #[must_use]
    pub fn log(&self, process: &str) -> PathBuf {
        self.logs().join(format!("{process}.log"))
    }

    /// Process records, one per process.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.state.join("run")
    }

    /// Configuration files that are written at each start.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.state.join("config")
    }

    /// Data of one process: `etcd`, `nats`, `jaeger`, `prometheus`.
    #[must_use]
    pub fn data(&self, process: &str) -> PathBuf {
        self.state.join("data").join(process)
    }

    /// The kubeconfig of an identity: `admin`, or a service's name.
    #[must_use]
    pub fn kubeconfig(&self, identity: &str) -> PathBuf {
        self.state.join("kubeconfig").join(format!("{identity}.yaml"))
    }

    /// The bearer token of an identity, beside its kubeconfig.
    #[must_use]
    pub fn token(&self, identity: &str) -> PathBuf {
        self.state.join("kubeconfig").join(format!("{identity}.token"))
    }

    /// The remembered ports.
    #[must_use]
    pub fn ports(&self) -> PathBuf {
        self.state.join("ports.json")
    }
}

/// Creates a folder that only its owner may enter.
pub(crate) fn create_private_dir(path: &Path) -> Result<(), LayoutError> {
    use std::os::unix::fs::DirBuilderExt;
    let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|source| LayoutError::Io { action: "create", path: path.into(), source })
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), LayoutError> {
    use std::io::Write;
    let broken = |source| LayoutError::Io { action: "write", path: path.into(), source };
    let folder = path.parent().unwrap_or(path);
    create_private_dir(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(broken)?;
    file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(broken)?;
    file.persist(path).map_err(|error| broken(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(root: &tempfile::TempDir) -> Layout {
        Layout::of_checkout(root.path())
    }

    #[test]
    fn a_checkout_is_found_from_below() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("tilt/toolchain")).unwrap();
        fs::create_dir_all(root.path().join("services/deep")).unwrap();
        let found = Layout::discover(&root.path().join("services/deep")).unwrap();
        assert_eq!(found, layout(&root));
        let outside = tempfile::tempdir().unwrap();
        assert!(matches!(Layout::discover(outside.path()), Err(LayoutError::NoCheckout { .. })));
    }

    #[test]
    fn opening_twice_is_harmless_and_wiping_keeps_the_cache() {
        let root = tempfile::tempdir().unwrap();
        let layout = layout(&root);
        layout.open().unwrap();
        layout.open().unwrap();
        fs::create_dir_all(layout.tools()).unwrap();
        layout.wipe().unwrap();
        layout.wipe().unwrap();
        assert!(!layout.state().exists());
        assert!(layout.tools().exists());
    }

    #[test]
    fn a_folder_of_somebody_else_is_never_wiped() {
        let root = tempfile::tempdir().unwrap();
        let foreign = root.path().join("papers");
        fs::create_dir_all(&foreign).unwrap();
        fs::write(foreign.join("thesis"), "x").unwrap();
        fs::create_dir(foreign.join("run")).unwrap();
        for state in [foreign.clone(), root.path().into()] {
            let line = layout(&root).with_state(state).wipe().unwrap_err().to_string();
            assert!(line.contains("no platform's state folder") && !line.contains('\n'), "{line}");
        }
        assert!(foreign.join("thesis").exists());
    }

    #[test]
    fn damage_and_other_formats_are_refused_with_the_remedy() {
        let root = tempfile::tempdir().unwrap();
        let layout = layout(&root);
        layout.open().unwrap();
        let marker = layout.state().join("format.json");
        for (content, word) in [("{\"format\":99}", "format 99"), ("{\"for", "corrupt"), ("", "corrupt")] {
            fs::write(&marker, content).unwrap();
            let line = layout.open().unwrap_err().to_string();
            assert!(line.contains(word) && line.contains("--wipe") && !line.contains('\n'), "{line}");
        }
        fs::remove_file(&marker).unwrap();
        fs::write(layout.state().join("other"), "").unwrap();
        assert!(layout.open().unwrap_err().to_string().contains("format.json is missing"));
    }

    #[test]
    fn state_files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let layout = layout(&root);
        layout.open().unwrap();
        let mode = fs::metadata(layout.state().join("format.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
