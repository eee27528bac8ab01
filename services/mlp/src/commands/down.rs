//! `mlp down`: services first, so that they drain while the broker is there, then the control plane.

use std::time::Duration;

use mlp_tilt::node::RealNode;
use mlp_tilt::process;
use mlp_tilt::{Plane, Progress};

use crate::cli::{Down, Global};
use crate::exit::{Failure, Outcome};
use crate::platform::Platform;
use crate::progress::Steps;
use crate::services;

/// How long a process may take to end that only its record is known of.
const LEFTOVER_GRACE: Duration = Duration::from_secs(5);

/// Stops whatever runs; harmless where nothing does.
pub(crate) async fn down(global: &Global, flags: &Down) -> Outcome {
    let layout = global.layout()?;
    layout.check_ours().map_err(|error| Failure::of("finding the platform's state", &error))?;
    let steps = Steps::start();
    steps.run("services drained", stop_services(&layout)).await?;
    steps
        .run("real node stopped", RealNode::stop(&layout, &Progress::quiet()))
        .await
        .map_err(|error| Failure::of("stopping the real node", &error))?;
    steps
        .run("control plane stopped", Plane::stop(&layout, &Progress::quiet()))
        .await
        .map_err(|error| Failure::of("stopping the control plane", &error))?;
    Platform::forget(layout.state())?;
    if flags.wipe {
        // Damaged files may have hidden a process from the steps above; its record has not.
        let ended = process::stop_recorded(&layout.run(), LEFTOVER_GRACE).await;
        ended.map_err(|error| Failure::of("stopping what was left running", &error))?;
        layout.wipe().map_err(|error| Failure::of("deleting the platform's state", &error))?;
    }
    Ok(())
}

/// Drains the five services at once; one that cannot be stopped keeps no other from it.
pub(crate) async fn stop_services(layout: &mlp_tilt::Layout) -> Result<(), Failure> {
    let all = services::SERVICES.map(|name| services::stop(name, layout));
    futures::future::join_all(all).await.into_iter().collect()
}
