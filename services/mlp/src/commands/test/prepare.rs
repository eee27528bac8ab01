//! What rungs need beside cargo, set up once: tools, and at the end one whole platform.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mlp_tilt::{Layout, Options, Plane, Progress, Toolchain};

use super::rungs::Need;
use crate::cli::{self, Global};
use crate::commands::{down, env, up};
use crate::exit::{Failure, Outcome};
use crate::platform::Platform;

/// The version of cargo-deny that reads `.deny.toml`; a crate, so it has no `go.mod` to pin it.
const CARGO_DENY: &str = "0.20.2";
/// The platform of the tests, beside a person's own.
const STATE: &str = ".mlp/test-platform";
/// The control plane of the rungs that need an API server and no platform.
const PLANE: &str = ".mlp/test-plane";
/// Where those rungs look for it; without it each test process starts one (`mlp-harness`).
const PLANE_VARIABLE: &str = "MLP_TEST_PLANE";

/// What has been set up so far.
pub(super) struct Prepared<'a> {
    global: &'a Global,
    root: PathBuf,
    environment: BTreeMap<String, String>,
    needs: BTreeSet<Need>,
    /// Its watchdog ends the processes with this one.
    plane: Option<Plane>,
}

impl<'a> Prepared<'a> {
    /// Nothing yet, for the checkout at `root`.
    pub(super) fn new(global: &'a Global, root: PathBuf) -> Self {
        Self { global, root, environment: BTreeMap::new(), needs: BTreeSet::new(), plane: None }
    }

    /// The checkout.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Variables for the rungs' commands.
    pub(super) const fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// Sets up what `need` asks for, where it was not.
    pub(super) async fn prepare(&mut self, need: Need) -> Outcome {
        if !self.needs.insert(need) {
            return Ok(());
        }
        match need {
            Need::CargoDeny => cargo_deny(&self.root, &mut self.environment).await,
            Need::Toolchain => toolchain(self.global).await,
            Need::ControlPlane => self.control_plane().await,
            Need::Platform => self.platform().await,
        }
    }

    async fn control_plane(&mut self) -> Outcome {
        let layout = self.global.layout()?.with_state(self.root.join(PLANE));
        // What a killed run left.
        wipe(&layout).await?;
        let options = Options { etcd_fsync: false, ..Options::default() };
        let plane = Plane::start(&layout, options, &Progress::stderr()).await;
        self.plane = Some(plane.map_err(|error| Failure::of("starting the tests' control plane", &error))?);
        self.environment.insert(PLANE_VARIABLE.to_owned(), layout.state().display().to_string());
        Ok(())
    }

    async fn end_control_plane(&mut self) -> Outcome {
        self.environment.remove(PLANE_VARIABLE);
        match self.plane.take() {
            Some(plane) => wipe(plane.layout()).await,
            None => Ok(()),
        }
    }

    async fn platform(&mut self) -> Outcome {
        self.end_control_plane().await?;
        let global = self.platform_global();
        down::down(&global, &cli::Down { wipe: true }).await?;
        up::up(&global, &cli::Up::for_tests()).await?;
        let platform = Platform::load(&global.state()?)?;
        self.environment.extend(env::variables(&platform));
        self.environment.insert("MLP_STATE".to_owned(), self.root.join(STATE).display().to_string());
        Ok(())
    }

    /// Stops what was started; the platform's state goes too where everything passed.
    pub(super) async fn end(&mut self, passed: bool) -> Outcome {
        self.end_control_plane().await?;
        if !self.needs.contains(&Need::Platform) {
            return Ok(());
        }
        if !passed {
            eprintln!("the platform's logs are kept under {STATE} until the next run");
        }
        down::down(&self.platform_global(), &cli::Down { wipe: passed }).await
    }

    fn platform_global(&self) -> Global {
        Global { state_folder: Some(self.root.join(STATE)) }
    }
}

async fn wipe(layout: &Layout) -> Outcome {
    let wiped = Plane::wipe(layout, &Progress::quiet()).await;
    wiped.map_err(|error| Failure::of("ending the tests' control plane", &error))
}

/// Builds every pinned tool that is not there, so that no test waits for a compiler.
async fn toolchain(global: &Global) -> Outcome {
    let layout = global.layout()?;
    let (toolchain, progress) = (Toolchain::new(&layout, None), Progress::stderr());
    for (tool, found) in toolchain.inventory() {
        if found.is_none() {
            let built = toolchain.find_or_build(&tool, &progress).await;
            built.map_err(|error| Failure::of(&format!("building {}", tool.name), &error))?;
        }
    }
    Ok(())
}

/// Installs cargo-deny into the cache and puts it on the commands' PATH.
async fn cargo_deny(root: &Path, environment: &mut BTreeMap<String, String>) -> Outcome {
    let folder = root.join(format!(".mlp/cache/tools/cargo-deny@{CARGO_DENY}"));
    if !folder.join("bin/cargo-deny").is_file() {
        eprintln!("  … installing cargo-deny {CARGO_DENY}, once");
        let status = mlp_tilt::cargo::without_our_package("cargo")
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
