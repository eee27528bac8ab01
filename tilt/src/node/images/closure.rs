//! What packages an image needs, resolved and downloaded by apt as if nothing were installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::recipe::Recipe;
use crate::node::NodeError;
use crate::node::command::{run, run_in};

/// What one call of apt may take.
const APT_LIMIT: Duration = Duration::from_secs(15 * 60);

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
pub(super) async fn download(recipe: &Recipe, folder: &Path) -> Result<Vec<(Package, PathBuf)>, NodeError> {
    match attempt(recipe, folder).await {
        Ok(packages) => Ok(packages),
        Err(error) => {
            tracing::info!(%error, "package lists are updated");
            run("apt-get", &["update", "-q"], APT_LIMIT).await?;
            attempt(recipe, folder).await
        }
    }
}

async fn attempt(recipe: &Recipe, folder: &Path) -> Result<Vec<(Package, PathBuf)>, NodeError> {
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
    let mut words: Vec<String> = options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect();
    words.extend(["install", "--print-uris", "-qq", "-y"].map(String::from));
    words.extend(recipe.packages.iter().cloned());
    let closure = parse(&run("apt-get", &words, APT_LIMIT).await?);
    let chosen: Vec<Package> =
        closure.into_iter().filter(|package| !recipe.leaves_out(&package.name)).collect();
    let mut words = ["-o", "APT::Sandbox::User=root", "download", "-q"].map(String::from).to_vec();
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
