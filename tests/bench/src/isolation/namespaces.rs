//! Many teams of three namespaces each: how fast each is usable at a steady rate of arrival, and what a
//! start of the service on all of them costs. Beside it, what a plain client takes for the same objects.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::SERVICE;
use super::bare::{self, Contents};
use crate::Error;
use crate::percentile::Times;
use crate::report::{Row, Target};
use crate::rig::Rig;
use crate::service::{RECONCILES, WRITES};
use crate::teams::{Teams, team};

/// Namespaces of a team.
const NAMESPACES: usize = 3;
/// Teams that arrive in a second.
const RATE: usize = 20;
/// From apply to usable at the 99th percentile, in milliseconds.
const USABLE: f64 = 2_000.0;
/// The most that the service may hold after a start, in MiB.
const MEMORY: f64 = 256.0;

pub(crate) async fn run(count: usize) -> Result<Vec<Row>, Error> {
    super::on(Rig::start(true), async |rig, binary| measure(rig, binary, count).await).await
}

async fn measure(rig: &Rig, binary: &std::path::Path, count: usize) -> Result<Vec<Row>, Error> {
    let service = rig.service(SERVICE, binary).await?;
    let mut teams = Teams::watch(rig.client()).await?;
    let mut all = Vec::with_capacity(count);
    for number in 0..count {
        let mut team = team(&format!("wide-{number}"))?;
        let namespaces = ["dev", "train", "serve"].iter().take(NAMESPACES);
        let namespaces =
            namespaces.map(|part| json!({"name": format!("wide-{number}-{part}"), "environment": "dev"}));
        team.spec.namespaces = serde_json::from_value(namespaces.collect())?;
        all.push(team);
    }
    let every = Duration::from_secs(1) / u32::try_from(RATE)?;
    let times = Times::of(teams.onboard_all(all, every).await?);
    let what = format!("{count} teams of {NAMESPACES} namespaces, {RATE}/s");
    let mut rows = vec![
        Row::new(format!("{what}, apply to usable, p50"), times.percentile(50), "ms"),
        Row::new(format!("{what}, apply to usable, p99"), times.percentile(99), "ms")
            .against(Target::AtMost(USABLE)),
    ];
    service.rests(WRITES).await?;
    let service = service.restart(rig.watchdog()).await?;
    service.reaches(RECONCILES, count as f64).await?;
    let writes = service.settled(WRITES).await?;
    let what = format!("start on {} namespaces", count * NAMESPACES);
    rows.push(Row::new(format!("{what}, writes"), writes, "").against(Target::AtMost(0.0)));
    let resident = service.resident_mebibytes()?;
    rows.push(Row::new(format!("{what}, resident"), resident, "MiB").against(Target::AtMost(MEMORY)));
    let contents = Contents::of(&rig.client(), "wide-0-dev").await?;
    let what = format!("{} objects in each by a plain client, {RATE}/s", contents.len());
    service.stop().await?;
    let times = bare::arrive(&rig.client(), Arc::new(contents), count, NAMESPACES, every).await?;
    rows.push(Row::new(format!("{what}, p50"), times.percentile(50), "ms"));
    rows.push(Row::new(format!("{what}, p99"), times.percentile(99), "ms"));
    Ok(rows)
}
