//! `up` on a cluster that is there already (or a kind cluster): everything runs in it.

use std::path::{Path, PathBuf};

use kube::config::Kubeconfig;
use mlp_tilt::{Layout, Toolchain};
use tokio::process::Command;

use super::deploy::Deployer;
use super::preflight;
use crate::cli::{Cluster, Up};
use crate::exit::{Failure, Outcome};
use crate::progress::Steps;
use crate::services::SERVICES;

/// Name of the kind cluster, and of its context with kind's prefix.
const KIND_CLUSTER: &str = "mlp";
const KIND_CONTEXT: &str = "kind-mlp";

/// Applies the environment's definitions to the cluster and waits until the services are available.
pub(super) async fn up(layout: &Layout, flags: &Up) -> Outcome {
    let steps = Steps::start();
    let context = match flags.cluster {
        Cluster::Kind => {
            steps.run("kind cluster", kind_cluster()).await?;
            steps.run("images", kind_images(layout.root())).await?;
            KIND_CONTEXT.to_owned()
        }
        Cluster::Kubeconfig | Cluster::Embedded => flags.context.clone().unwrap_or_default(),
    };
    let kubeconfig = Kubeconfig::read()
        .map_err(|error| Failure::while_doing("reading the kubeconfig; set KUBECONFIG to it", &error))?;
    preflight::check_context(&kubeconfig, &context, flags.yes)?;
    let toolchain = Toolchain::new(layout, flags.assets.clone());
    let deployer = Deployer::new(&toolchain, kubeconfig_path(), Some(context)).await?;
    let folder = preflight::definitions(layout.root(), flags.environment);
    let manifests = steps.run("definitions built", deployer.build(&folder)).await?;
    steps.run("broker's keys", deployer.ensure_broker_keys(layout.root())).await?;
    steps.run("definitions applied", deployer.apply_everything(&manifests)).await?;
    steps.run("services available", deployer.wait_for_services(&SERVICES)).await?;
    if !flags.no_examples {
        let teams = deployer.build(&folder.join("teams")).await?;
        steps.run("example teams applied", deployer.apply(&teams, "the example teams")).await?;
        steps.run("teams isolated", deployer.wait_for_teams(&teams)).await?;
    }
    println!("The platform runs in {}. Look at it with `kubectl get mlp -A`.", deployer.describe());
    Ok(())
}

/// The file that kubectl would read.
fn kubeconfig_path() -> PathBuf {
    let named = std::env::var_os("KUBECONFIG").and_then(|list| std::env::split_paths(&list).next());
    named.unwrap_or_else(|| {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        home.join(".kube/config")
    })
}

async fn kind_cluster() -> Result<(), Failure> {
    let listed = output(Command::new("kind").args(["get", "clusters"])).await?;
    if listed.lines().any(|name| name == KIND_CLUSTER) {
        return Ok(());
    }
    output(Command::new("kind").args(["create", "cluster", "--name", KIND_CLUSTER])).await.map(drop)
}

async fn kind_images(root: &Path) -> Result<(), Failure> {
    for service in SERVICES {
        let image = format!("mlp/{service}:{}", env!("CARGO_PKG_VERSION"));
        let argument = format!("SERVICE={service}");
        let mut build = Command::new("docker");
        build.current_dir(root).args(["build", "--quiet", "-f", "deploy/docker/Dockerfile"]);
        output(build.args(["--build-arg", &argument, "--tag", &image, "."])).await?;
        output(Command::new("kind").args(["load", "docker-image", "--name", KIND_CLUSTER, &image])).await?;
    }
    Ok(())
}

async fn output(command: &mut Command) -> Result<String, Failure> {
    let what = format!("{:?}", command.as_std());
    let output = command.kill_on_drop(true).output().await;
    let output = output.map_err(|error| Failure::while_doing(&format!("running {what}"), &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Failure::failed(format!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}
