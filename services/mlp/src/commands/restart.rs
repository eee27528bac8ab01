//! `mlp restart SERVICE`: the inner loop's reload. Builds first, so that a broken build stops nothing.

use super::up::Running;
use crate::cli::{Global, Restart};
use crate::exit::{Failure, Outcome};
use crate::platform::Platform;
use crate::progress::Steps;
use crate::services;

/// Rebuilds one service and replaces its process.
pub(crate) async fn restart(global: &Global, flags: &Restart) -> Outcome {
    let layout = global.layout()?;
    let platform = Platform::load(layout.state())?;
    platform.service(&flags.service)?;
    let Some(name) = services::SERVICES.into_iter().find(|name| *name == flags.service) else {
        return Err(Failure::usage(format!("`{}` is not run by `cargo mlp up`", flags.service)));
    };
    let steps = Steps::start();
    let binaries = steps.run("built", services::build(layout.root())).await?;
    steps.run("drained", services::stop(name, &layout)).await?;
    let running = Running::attach(&layout, platform.environment).await?;
    steps.run("ready", running.start_services(&binaries, &[name], None)).await
}
