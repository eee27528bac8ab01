//! Builds the services that are measured, in the profile of this benchmark.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use crate::{Error, rig};

/// The services; their packages and binaries are called `mlp-<service>`.
pub(crate) const SERVICES: [&str; 5] =
    ["team-isolation", "provisioner", "gitops-sync", "cost-attribution", "health-monitor"];

/// A line of cargo's own JSON.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Line {
    CompilerArtifact {
        executable: Option<PathBuf>,
    },
    #[serde(other)]
    Other,
}

/// Cargo as a person would call it: without what the cargo that runs this has set, each call would build
/// anew what the one before had built.
pub(crate) fn from_a_shell() -> Command {
    mlp_tilt::cargo::without_our_package(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Binaries by service. One that does not build is absent; cargo's messages are on stderr.
pub(crate) async fn build(services: &[&str]) -> Result<BTreeMap<&'static str, PathBuf>, Error> {
    let mut command = from_a_shell();
    command.args(["build", "--quiet", "--keep-going", "--message-format=json-render-diagnostics"]);
    for service in services {
        command.arg("-p").arg(format!("mlp-{service}"));
    }
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    command.current_dir(rig::layout()?.root()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = command.output().await?;
    Ok(executables(&String::from_utf8_lossy(&output.stdout)))
}

fn executables(said: &str) -> BTreeMap<&'static str, PathBuf> {
    let paths = said.lines().filter_map(|line| match serde_json::from_str(line) {
        Ok(Line::CompilerArtifact { executable }) => executable,
        Ok(Line::Other) | Err(_) => None,
    });
    let named = paths.filter_map(|path| {
        let file = path.file_name()?.to_str()?.strip_prefix("mlp-")?;
        let service = SERVICES.into_iter().find(|service| *service == file)?;
        Some((service, path))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_built_is_there() {
        let said = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"executable\":\"/t/mlp-provisioner\"}\n\
            {\"reason\":\"build-finished\",\"success\":false}\nnoise\n";
        let built = executables(said);
        assert_eq!(
            built.into_iter().collect::<Vec<_>>(),
            [("provisioner", PathBuf::from("/t/mlp-provisioner"))]
        );
    }
}
