//! `mlp up`: the main job, end to end.
//!
//! preflight → toolchain and build → control plane → node → definitions → services → examples →
//! wait → report; then the foreground, or back to the shell with `--detach`. Every step is harmless
//! when it was done before, so `up` twice changes nothing.

pub(crate) mod broker;
mod deploy;
mod examples;
pub(crate) mod foreground;
pub(crate) mod preflight;
mod remote;
mod running;
mod wait;

use mlp_tilt::process::Watchdog;
use mlp_tilt::toolchain::pins::RENDERERS;
use mlp_tilt::{Layout, Nodes, Options, Plane, Progress, Toolchain, node};

use crate::cli::{self, Cluster, Global, Up};
use crate::commands::down;
use crate::commands::env::FOR_PEOPLE;
use crate::commands::status::print;
use crate::exit::{Failure, Outcome};
use crate::platform::Platform;
use crate::progress::{Steps, seconds};
use crate::services::{self, SERVICES};

use preflight::Machine;
pub(crate) use running::Running;

/// Brings the platform up.
pub(crate) async fn up(global: &Global, flags: &Up) -> Outcome {
    preflight::check(flags, &Machine::this())?;
    let layout = global.layout()?;
    if flags.cluster != Cluster::Embedded {
        return remote::up(&layout, flags).await;
    }
    if flags.wipe {
        down::down(global, &cli::Down { wipe: true }).await?;
    }
    // What another call started is not this call's to stop.
    let was_up = Platform::load(layout.state()).is_ok() && Plane::attach(&layout).await.is_ok();
    layout.open().map_err(|error| Failure::of("opening the state folder", &error))?;
    let detach = flags.detach || was_up;
    let watchdog = if detach { None } else { Some(start_watchdog()?) };
    let work = bring_up(&layout, flags, detach, watchdog.as_ref());
    let result = tokio::select! {
        result = work => result,
        () = foreground::told_to_end() => Err(Failure::interrupted()),
    };
    match result {
        Ok(running) if flags.detach => {
            // Processes go on; only this one's handles are dropped.
            drop(running);
            Ok(())
        }
        Ok(running) => foreground::stay(&running, global).await,
        Err(failure) => {
            if was_up {
                eprintln!("the platform that was up before goes on; `cargo mlp down` stops it");
            } else if failure.is_interrupt() || !flags.detach {
                down::down(global, &cli::Down { wipe: false }).await?;
            }
            Err(failure)
        }
    }
}

fn start_watchdog() -> Result<Watchdog, Failure> {
    Watchdog::start()
        .map_err(|error| Failure::missing(format!("cannot start sh: {error}; install dash or bash")))
}

async fn bring_up(
    layout: &Layout,
    flags: &Up,
    detach: bool,
    watchdog: Option<&Watchdog>,
) -> Result<Running, Failure> {
    let steps = Steps::start();
    let toolchain = Toolchain::new(layout, flags.assets.clone());
    steps.run("toolchain ready", tools(&toolchain)).await?;
    let binaries = steps.run("services built", services::build(layout.root())).await?;
    let plane = steps.run("control plane ready", start_plane(layout, flags, detach)).await?;
    let mut running = Running { layout: layout.clone(), plane, environment: flags.environment, node: None };
    running.start_node(&toolchain, detach).await?;
    let deployer = running.deployer(&toolchain).await?;
    let root = layout.root().to_path_buf();
    let definitions = async {
        let manifests = deployer.build(&preflight::definitions(&root, flags.environment)).await?;
        deployer.apply_definitions(&manifests).await
    };
    steps.run("definitions applied", definitions).await?;
    let started = async {
        running.accounts().await?;
        running.start_services(&binaries, &SERVICES, watchdog).await
    };
    steps.run("services ready", started).await?;
    let platform = running.record()?;
    platform.save(layout.state())?;
    if !flags.no_examples {
        onboard(&running, &deployer, &platform, &steps).await?;
    }
    eprintln!("\nup in {}\n", seconds(steps.elapsed()));
    let report = crate::commands::status::gather(&platform).await?;
    println!("{}", print::render(&report));
    println!("\n  eval \"$(cargo mlp env)\"        # kubectl, nats and grpcurl find the platform");
    println!("  cargo mlp trace team/ml        # everything that happened for team ml, as one trace");
    println!("  cargo mlp events tail --all    # every fact so far");
    Ok(running)
}

/// Builds what is missing of the tools that `mlp env` puts on a person's PATH and of those that gitops-sync runs; the
/// plane builds its own.
async fn tools(toolchain: &Toolchain) -> Result<(), Failure> {
    for tool in FOR_PEOPLE.into_iter().chain(RENDERERS) {
        let found = toolchain.find_or_build(&tool, &Progress::stderr()).await;
        found.map_err(|error| Failure::of(&format!("getting {}", tool.name), &error))?;
    }
    Ok(())
}

async fn start_plane(layout: &Layout, flags: &Up, detach: bool) -> Result<Plane, Failure> {
    let options = Options {
        assets: flags.assets.clone(),
        nodes: nodes(layout, flags.nodes),
        prometheus_rules: vec![layout.root().join("deploy/base/telemetry/rules.yml")],
        etcd_fsync: !flags.unsafe_no_fsync,
        fresh_ports: flags.fresh_ports,
        detach,
        broker: broker::options(layout)?,
        ..Options::platform()
    };
    Plane::start(layout, options, &Progress::stderr())
        .await
        .map_err(|error| Failure::of("starting the control plane", &error))
}

/// What was asked for, or what this machine can do.
fn nodes(layout: &Layout, asked: Option<cli::Nodes>) -> Nodes {
    match asked {
        Some(cli::Nodes::Simulated) => Nodes::Simulated,
        Some(cli::Nodes::Real) => Nodes::Real,
        Some(cli::Nodes::Both) => Nodes::Both,
        None if node::can_run(layout) => Nodes::Both,
        None => Nodes::Simulated,
    }
}

async fn onboard(
    running: &Running,
    deployer: &deploy::Deployer,
    platform: &Platform,
    steps: &Steps,
) -> Result<(), Failure> {
    let (root, environment) = (running.layout.root(), running.environment);
    let teams = steps
        .run("example teams applied", async {
            let manifests = examples::teams(root, environment, deployer).await?;
            deployer.apply(&manifests, "the example teams").await?;
            Ok::<_, Failure>(wait::Expected::of(&manifests))
        })
        .await?;
    steps.run("teams isolated", wait::until_as_asked(platform, &teams)).await?;
    let requests = steps
        .run("database, cache and application asked for", async {
            let manifests = examples::requests(root, &running.layout, environment, deployer).await?;
            deployer.apply(&manifests, "what the example teams ask for").await?;
            Ok::<_, Failure>(wait::Expected::of(&manifests))
        })
        .await?;
    steps.run("all of it as asked for", wait::until_as_asked(platform, &requests)).await
}
