//! Where the platform's folders are, from the flags that every command takes.

use std::path::{Component, Path, PathBuf};

use mlp_tilt::Layout;

use crate::cli::Global;
use crate::exit::Failure;

/// The path without `.`, `..` and doubled or trailing slashes; it need not exist.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(cleaned.pop()),
            other => cleaned.push(other),
        }
    }
    cleaned
}

impl Global {
    /// The folders of the checkout around the working directory, with the state folder that was asked for.
    pub(crate) fn layout(&self) -> Result<Layout, Failure> {
        let here = std::env::current_dir()
            .map_err(|error| Failure::while_doing("finding the working directory", &error))?;
        let layout =
            Layout::discover(&here).map_err(|error| Failure::while_doing("finding the checkout", &error))?;
        Ok(match &self.state_folder {
            // One folder has one name: kernel objects and records are called by it.
            Some(folder) => layout.with_state(clean(&here.join(folder))),
            None => layout,
        })
    }

    /// The state folder.
    pub(crate) fn state(&self) -> Result<PathBuf, Failure> {
        Ok(self.layout()?.state().to_path_buf())
    }
}
