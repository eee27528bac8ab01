//! What rungs need beside cargo, set up once: tools, and at the end one whole platform.

use std::collections::BTreeMap;
use std::path::Path;

use mlp_tilt::{Progress, Toolchain};
use tokio::process::Command;

use super::rungs::Needs;
use crate::cli::{self, Global};
use crate::commands::{down, env, up};
use crate::exit::{Failure, Outcome};
use crate::platform::Platform;

/// The version of cargo-deny that reads `.deny.toml`; a crate, so it has no `go.mod` to pin it.
const CARGO_DENY: &str = "0.20.2";
/// The platform of the tests, beside a person's own.
const STATE: &str = ".mlp/test";

/// The platform that the tests run on.
pub(super) struct TestPlatform {
    global: Global,
}

impl TestPlatform {
    /// Stops it; its state goes too.
    pub(super) async fn down(&self) -> Outcome {
        down::down(&self.global, &cli::Down { wipe: true }).await
    }
}

/// Sets up what `needs` asks for; variables for the rungs' commands go to `environment`.
pub(super) async fn prepare(
    needs: Needs,
    global: &Global,
    root: &Path,
    environment: &mut BTreeMap<String, String>,
) -> Result<Option<TestPlatform>, Failure> {
    if needs >= Needs::CargoDeny {
        cargo_deny(root, environment).await?;
    }
    if needs >= Needs::Toolchain {
        toolchain(global).await?;
    }
    if needs < Needs::Platform {
        return Ok(None);
    }
    let global = Global { state_folder: Some(root.join(STATE)) };
    down::down(&global, &cli::Down { wipe: true }).await?;
    let flags = cli::Up::for_tests();
    if let Err(failure) = up::up(&global, &flags).await {
        down::down(&global, &cli::Down { wipe: false }).await?;
        return Err(failure);
    }
    let platform = Platform::load(&global.state()?)?;
    environment.extend(env::variables(&platform));
    environment.insert("MLP_STATE".to_owned(), root.join(STATE).display().to_string());
    Ok(Some(TestPlatform { global }))
}

/// Builds every pinned tool that is not there, so that no test waits for a compiler.
async fn toolchain(global: &Global) -> Outcome {
    let layout = global.layout()?;
    let (toolchain, progress) = (Toolchain::new(&layout, None), Progress::stderr());
    for (tool, found) in toolchain.inventory() {
        if found.is_none() {
            let built = toolchain.find_or_build(&tool, &progress).await;
            built.map_err(|error| Failure::while_doing(&format!("building {}", tool.name), &error))?;
        }
    }
    Ok(())
}

/// Installs cargo-deny into the cache and puts it on the commands' PATH.
async fn cargo_deny(root: &Path, environment: &mut BTreeMap<String, String>) -> Outcome {
    let folder = root.join(format!(".mlp/cache/tools/cargo-deny@{CARGO_DENY}"));
    if !folder.join("bin/cargo-deny").is_file() {
        eprintln!("  … installing cargo-deny {CARGO_DENY}, once");
        let status = Command::new("cargo")
            .args([
                "install",
                "--quiet",
                "--locked",
                "cargo-deny",
                "--no-default-features",
                "--version",
                CARGO_DENY,
            ])
            .arg("--root")
            .arg(&folder)
            .env("CARGO_TARGET_DIR", root.join("target/cargo-deny"))
            .status()
            .await
            .map_err(|error| Failure::missing(format!("cannot run cargo: {error}")))?;
        if !status.success() {
            return Err(Failure::failed("cargo-deny cannot be installed; cargo's messages are above"));
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.join("bin")).chain(std::env::split_paths(&path));
    let joined = std::env::join_paths(folders)
        .map_err(|error| Failure::while_doing("putting cargo-deny on PATH", &error))?;
    environment.insert("PATH".to_owned(), joined.to_string_lossy().into_owned());
    Ok(())
}
