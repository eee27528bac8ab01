//! The images that the real node runs, built once from Debian packages and our own binaries.
//!
//! In: the recipes under `tilt/images`. Out: archives `.mlp/cache/images/<name>@<digest>.tar` that
//! containerd imports. The digest follows from the recipe, so that another recipe is another file;
//! an archive says in `/usr/share/mlp/packages` which versions went in.

mod build;
mod closure;
mod recipe;

use std::fs;
use std::path::{Path, PathBuf};

use recipe::SOURCES;

use super::NodeError;
use crate::layout::Layout;
use crate::progress::Progress;
use crate::toolchain::pins;

/// The package that images cannot be built without on this machine, and that is not there.
pub(super) fn missing_package() -> Option<&'static str> {
    let needed = !closure::is_release() && !Path::new(closure::KEYS).is_file();
    needed.then_some("debian-archive-keyring")
}

/// The image that holds a pod's namespaces.
pub const PAUSE: &str = "mlp/pause:1";
/// Cluster DNS.
pub const COREDNS: &str = "mlp/coredns:1";
/// PostgreSQL 15; variables as in the official image, uid 999.
pub const POSTGRES: &str = "mlp/postgres:15";
/// Redis 7, also under Valkey's program names; `REDIS_PASSWORD` or `REDIS_PASSWORD_FILE`, uid 999.
pub const REDIS: &str = "mlp/redis:7";

/// An image that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Name and tag, as pods write it.
    pub reference: String,
    /// The archive.
    pub archive: PathBuf,
}

/// Every image of ours, built first where it is missing. `coredns` is the program of that name.
///
/// # Errors
/// A package cannot be downloaded, or the cache cannot be written.
pub async fn ensure(layout: &Layout, coredns: &Path, progress: &Progress) -> Result<Vec<Image>, NodeError> {
    let folder = layout.cache().join("images");
    fs::create_dir_all(&folder).map_err(|source| NodeError::io("create", &folder, source))?;
    let mut images = Vec::new();
    for source in &SOURCES {
        let recipe = source.recipe()?;
        let program = recipe.program.is_some().then_some(coredns);
        let version = if program.is_some() { program_version(coredns) } else { String::new() };
        let archive = folder.join(format!("{}@{}.tar", source.name, source.digest(&version)));
        if !archive.is_file() {
            let step = format!("building the image {} (once)", recipe.reference);
            progress.step(step, build::build(source, &recipe, program, &archive)).await?;
        }
        images.push(Image { reference: recipe.reference, archive });
    }
    Ok(images)
}

/// The pinned version, and the size in case that a person brought another binary.
fn program_version(program: &Path) -> String {
    let size = fs::metadata(program).map(|metadata| metadata.len()).unwrap_or_default();
    format!("{} {size}", pins::COREDNS.version)
}
