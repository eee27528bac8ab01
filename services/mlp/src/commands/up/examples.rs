//! The example teams and what they ask for, with a git repository of their own to deploy from.

use std::path::{Path, PathBuf};

use mlp_model::Environment;
use mlp_tilt::Layout;
use tokio::process::Command;

use super::deploy::Deployer;
use super::preflight;
use crate::exit::Failure;

/// What the manifests say where the repository's address belongs.
const REPOSITORY_PLACEHOLDER: &str = "https://git.example.com/platform/ml-platform.git";
/// Where the example workloads are, in this repository and in the one that is made of them.
const WORKLOADS: &str = "deploy/examples/workloads";
/// The example's image in a registry, and the one that the real node has.
const IMAGE: (&str, &str) = ("registry.k8s.io/pause:3.10", mlp_tilt::node::images::PAUSE);
/// Who commits the examples.
const AUTHOR: [&str; 4] =
    ["-c", "user.name=ML Platform examples", "-c", "user.email=examples@mlplatform.dev"];

/// The environment's teams and prices.
pub(super) async fn teams(
    root: &Path,
    environment: Environment,
    deployer: &Deployer,
) -> Result<String, Failure> {
    deployer.build(&preflight::definitions(root, environment).join("teams")).await
}

/// What the teams ask for, with the repository's address put in.
pub(super) async fn requests(
    root: &Path,
    layout: &Layout,
    environment: Environment,
    deployer: &Deployer,
) -> Result<String, Failure> {
    let repository = repository(root, layout).await?;
    let manifests = deployer.build(&preflight::definitions(root, environment).join("examples")).await?;
    Ok(manifests.replace(REPOSITORY_PLACEHOLDER, &format!("file://{}", repository.display())))
}

/// A git repository in the state folder with the example workloads; made once, then left to the
/// person, who may commit to it and watch the platform follow.
async fn repository(root: &Path, layout: &Layout) -> Result<PathBuf, Failure> {
    let folder = layout.state().join("workloads");
    if folder.join(".git").is_dir() {
        return Ok(folder);
    }
    copy(&root.join(WORKLOADS), &folder.join(WORKLOADS))
        .map_err(|error| Failure::while_doing("copying the example workloads", &error))?;
    git(&folder, &["init", "--quiet", "--initial-branch=main"]).await?;
    git(&folder, &["add", "--all"]).await?;
    let commit = [AUTHOR.as_slice(), &["commit", "--quiet", "--message=Example workloads"]].concat();
    git(&folder, &commit).await?;
    Ok(folder)
}

async fn git(folder: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let output =
        Command::new("git").current_dir(folder).args(arguments).output().await.map_err(|error| {
            Failure::missing(format!("cannot run git ({error}); run `apt-get install git`"))
        })?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    Err(Failure::failed(format!("git {}: {}", arguments.join(" "), reason.trim())))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            let text = std::fs::read_to_string(entry.path())?;
            std::fs::write(&target, text.replace(IMAGE.0, IMAGE.1))?;
        }
    }
    Ok(())
}
