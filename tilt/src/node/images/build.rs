//! Putting an image together: packages unpacked, cleaned up, packed as one layer.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Gid, Uid, chown};
use serde_json::json;

use super::closure;
use super::recipe::{Recipe, Source};
use crate::node::NodeError;
use crate::node::command::{QUICK, run, run_in};

/// What packing a layer may take.
const PACK_LIMIT: Duration = Duration::from_secs(300);

/// Builds the image into `archive`, a file that `ctr images import` reads.
pub(super) async fn build(
    source: &Source,
    recipe: &Recipe,
    program: Option<&Path>,
    archive: &Path,
) -> Result<(), NodeError> {
    let cache = archive.parent().unwrap_or(archive);
    let work = tempfile::tempdir_in(cache).map_err(|error| NodeError::io("write", cache, error))?;
    let root = work.path().join("root");
    fs::create_dir_all(&root).map_err(|error| NodeError::io("create", &root, error))?;
    let mut contents = String::new();
    if !recipe.packages.is_empty() {
        for (package, file) in closure::download(recipe, cache, &work.path().join("apt")).await? {
            let paths = [&file, &root].map(|path| path.display().to_string());
            run("dpkg-deb", &["-x", &paths[0], &paths[1]], QUICK).await?;
            contents += &format!("{} {}\n", package.name, package.version);
        }
    }
    furnish(source, recipe, program, &root, &contents).await?;
    let unfinished = pack(recipe, work.path(), &root).await?;
    fs::rename(&unfinished, archive).map_err(|error| NodeError::io("write", archive, error))
}

/// Everything that packages do not bring.
async fn furnish(
    source: &Source,
    recipe: &Recipe,
    program: Option<&Path>,
    root: &Path,
    contents: &str,
) -> Result<(), NodeError> {
    for path in &recipe.prune {
        let path = root.join(path);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        if let Err(error) = removed
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(NodeError::io("remove", path, error));
        }
    }
    let user = &recipe.user;
    let (name, id) = (&user.name, user.id);
    let mut passwd = "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n".to_owned();
    let mut group = "root:x:0:\nnobody:x:65534:\n".to_owned();
    if name != "nobody" {
        passwd += &format!("{name}:x:{id}:{id}:{name}:/tmp:/bin/sh\n");
        group += &format!("{name}:x:{id}:\n");
    }
    write(&root.join("etc/passwd"), &passwd, 0o644)?;
    write(&root.join("etc/group"), &group, 0o644)?;
    write(&root.join("etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n", 0o644)?;
    write(&root.join("usr/share/mlp/packages"), contents, 0o644)?;
    if let Some(entrypoint) = source.entrypoint {
        write(&root.join("usr/local/bin/entrypoint"), entrypoint, 0o755)?;
    }
    if let Some(program) = program {
        let target = root.join(program.file_name().unwrap_or_default());
        fs::copy(program, &target).map_err(|error| NodeError::io("write", &target, error))?;
    }
    folder(&root.join("tmp"), 0o1777, None)?;
    for (path, mode) in &recipe.folders {
        folder(&root.join(path), u32::from_str_radix(mode, 8).unwrap_or(0o755), Some(id))?;
    }
    for (path, target) in &recipe.links {
        link(target, &root.join(path))?;
    }
    if root.join("bin/busybox").is_file() {
        let list = run("chroot", &[&root.display().to_string(), "/bin/busybox", "--list"], QUICK).await?;
        for applet in list.lines().filter(|applet| !root.join("usr/bin").join(applet).exists()) {
            let path = root.join("bin").join(applet);
            if fs::symlink_metadata(&path).is_err() {
                link("busybox", &path)?;
            }
        }
    }
    Ok(())
}

/// One layer, its configuration and the list of both, as an archive.
async fn pack(recipe: &Recipe, work: &Path, root: &Path) -> Result<PathBuf, NodeError> {
    let layer = work.join("layer.tar");
    let same = ["--sort=name", "--mtime=@0", "--numeric-owner", "--format=gnu"];
    let paths = [&layer, root].map(|path| path.display().to_string());
    run("tar", &[same.as_slice(), &["-cf", &paths[0], "-C", &paths[1], "."]].concat(), PACK_LIMIT).await?;
    let printed = run("sha256sum", &[&paths[0]], PACK_LIMIT).await?;
    let digest = printed.split_ascii_whitespace().next().unwrap_or_default();
    write(&work.join("config.json"), &recipe.config(digest).to_string(), 0o644)?;
    let manifest =
        json!([{"Config": "config.json", "RepoTags": [recipe.reference], "Layers": ["layer.tar"]}]);
    write(&work.join("manifest.json"), &manifest.to_string(), 0o644)?;
    let words =
        [same.as_slice(), &["-cf", "image.tar", "manifest.json", "config.json", "layer.tar"]].concat();
    run_in("tar", &words, Some(work), PACK_LIMIT).await?;
    Ok(work.join("image.tar"))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), NodeError> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, text))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .map_err(|source| NodeError::io("write", path, source))
}

fn folder(path: &Path, mode: u32, owner: Option<u32>) -> Result<(), NodeError> {
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .and_then(|()| chown(path, owner.map(Uid::from_raw), owner.map(Gid::from_raw)).map_err(Into::into))
        .map_err(|source| NodeError::io("create", path, source))
}

fn link(target: &str, path: &Path) -> Result<(), NodeError> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent)
        .and_then(|()| symlink(target, path))
        .map_err(|source| NodeError::io("link", path, source))
}
