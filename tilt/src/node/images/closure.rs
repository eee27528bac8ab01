//! What packages an image needs, resolved and downloaded by apt as if nothing were installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::recipe::Recipe;
use crate::node::NodeError;
use crate::node::command::{run, run_in};

/// What one call of apt may take.
const APT_LIMIT: Duration = Duration::from_secs(15 * 60);

/// The Debian release whose packages the recipes name.
const RELEASE: &str = "bookworm";

/// Debian's keys, which its package `debian-archive-keyring` brings on other systems.
pub(in crate::node) const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A package at a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
}

/// Downloads what `recipe` needs into `folder`; gives the packages.
///
/// The lists of a machine may be older than the mirror, which then no longer has the file: they are
/// updated once, and all is tried again.
pub(super) async fn download(
    recipe: &Recipe,
    cache: &Path,
    folder: &Path,
) -> Result<Vec<(Package, PathBuf)>, NodeError> {
    let sources = sources(cache)?;
    match attempt(recipe, &sources, folder).await {
        Ok(packages) => Ok(packages),
        Err(error) => {
            tracing::info!(%error, "package lists are updated");
            let words: Vec<String> = sources.iter().cloned().chain(["update".into(), "-q".into()]).collect();
            run("apt-get", &words, APT_LIMIT).await?;
            attempt(recipe, &sources, folder).await
        }
    }
}

/// Whether this machine is of the release that the recipes name, so that its own sources will do.
pub(in crate::node) fn is_release() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line.trim() == format!("VERSION_CODENAME={RELEASE}"))
}

/// Options by which apt reads Debian's own mirror and keeps its lists in our cache; none where the
/// machine's sources will do.
fn sources(cache: &Path) -> Result<Vec<String>, NodeError> {
    if is_release() { Ok(Vec::new()) } else { foreign_sources(cache) }
}

fn foreign_sources(cache: &Path) -> Result<Vec<String>, NodeError> {
    let folder = cache.join("apt");
    let failed = |source| NodeError::io("write", &folder, source);
    for part in ["lists/partial", "parts", "preferences"] {
        fs::create_dir_all(folder.join(part)).map_err(failed)?;
    }
    let line = |mirror: &str, suite: &str| format!("deb [signed-by={KEYS}] {mirror} {suite} main\n");
    let list = line("http://deb.debian.org/debian", RELEASE)
        + &line("http://deb.debian.org/debian-security", &format!("{RELEASE}-security"));
    fs::write(folder.join("sources.list"), list).map_err(failed)?;
    let at = |option: &str, part: &str| format!("{option}={}", folder.join(part).display());
    let options = [
        at("Dir::Etc::sourcelist", "sources.list"),
        at("Dir::Etc::sourceparts", "parts"),
        at("Dir::Etc::preferencesparts", "preferences"),
        at("Dir::State::lists", "lists"),
        at("Dir::Cache::pkgcache", "pkgcache.bin"),
        at("Dir::Cache::srcpkgcache", "srcpkgcache.bin"),
        "APT::Sandbox::User=root".into(),
    ];
    Ok(options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect())
}

async fn attempt(
    recipe: &Recipe,
    sources: &[String],
    folder: &Path,
) -> Result<Vec<(Package, PathBuf)>, NodeError> {
    let failed = |source| NodeError::io("create", folder, source);
    let (status, archives, packages) =
        (folder.join("status"), folder.join("archives"), folder.join("packages"));
    fs::create_dir_all(archives.join("partial")).map_err(failed)?;
    fs::create_dir_all(&packages).map_err(failed)?;
    fs::write(&status, "").map_err(failed)?;
    let options = [
        format!("Dir::State::status={}", status.display()),
        format!("Dir::Cache::archives={}", archives.display()),
        "APT::Install-Recommends=false".into(),
        "Debug::NoLocking=true".into(),
    ];
    let options = options.into_iter().flat_map(|option| ["-o".to_owned(), option]);
    let mut words: Vec<String> = sources.iter().cloned().chain(options).collect();
    words.extend(["install", "--print-uris", "-qq", "-y"].map(String::from));
    words.extend(recipe.packages.iter().cloned());
    let closure = parse(&run("apt-get", &words, APT_LIMIT).await?);
    let chosen: Vec<Package> =
        closure.into_iter().filter(|package| !recipe.leaves_out(&package.name)).collect();
    let mut words = sources.to_vec();
    words.extend(["-o", "APT::Sandbox::User=root", "download", "-q"].map(String::from));
    words.extend(chosen.iter().map(|package| format!("{}={}", package.name, package.version)));
    run_in("apt-get", &words, Some(&packages), APT_LIMIT).await?;
    let files: Vec<PathBuf> =
        fs::read_dir(&packages).map_err(failed)?.flatten().map(|entry| entry.path()).collect();
    let file = |package: &Package| {
        let prefix = format!("{}_{}_", package.name, package.version.replace(':', "%3a"));
        let named = |path: &&PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        };
        files.iter().find(named).cloned().ok_or_else(|| NodeError::Command {
            command: "apt-get download".into(),
            output: format!("no file for {} {}", package.name, package.version),
        })
    };
    chosen.into_iter().map(|package| file(&package).map(|path| (package, path))).collect()
}

/// Lines of `apt-get --print-uris`: `'uri' name_version_arch.deb size hash`.
fn parse(text: &str) -> Vec<Package> {
    let package = |line: &str| {
        let file = line.split_ascii_whitespace().nth(1)?.strip_suffix(".deb")?;
        let mut parts = file.splitn(3, '_');
        let (name, version, _architecture) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Package { name: name.into(), version: version.replace("%3a", ":") })
    };
    text.lines().filter(|line| line.starts_with('\'')).filter_map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elsewhere_packages_come_from_debians_own_mirror() {
        let cache = tempfile::tempdir().unwrap();
        let options = foreign_sources(cache.path()).unwrap();
        let list = fs::read_to_string(cache.path().join("apt/sources.list")).unwrap();
        assert!(list.contains("deb.debian.org/debian bookworm main") && list.contains(KEYS));
        let lists = format!("Dir::State::lists={}", cache.path().join("apt/lists").display());
        assert!(options.contains(&lists), "the machine's own lists stay as they are");
    }

    #[test]
    fn names_and_versions_are_read_with_epochs() {
        let text = "NOTE: something\n\
            'http://mirror/pool/z/zlib1g_1.2.13_amd64.deb' zlib1g_1%3a1.2.13.dfsg-1_amd64.deb 86684 MD5Sum:ec42\n\
            'http://mirror/pool/t/tzdata.deb' tzdata_2026f-0+deb12u1_all.deb 307832 \n\
            'http://mirror/odd' odd 1\n";
        let read: Vec<(String, String)> = parse(text).into_iter().map(|p| (p.name, p.version)).collect();
        assert_eq!(
            read,
            [
                ("zlib1g".to_owned(), "1:1.2.13.dfsg-1".to_owned()),
                ("tzdata".to_owned(), "2026f-0+deb12u1".to_owned())
            ]
        );
    }
}
