//! From a Team applied to its isolation in force: one by one, and many at once.

use std::time::Instant;

use crate::percentile::Times;
use crate::report::{Row, Target};
use crate::rig::Rig;
use crate::service::{RECONCILES, WRITES};
use crate::teams::Teams;
use crate::{Error, cargo};

/// Teams applied one after another.
const SEQUENTIAL: usize = 100;
/// Name of the service.
const SERVICE: &str = "team-isolation";
/// Teams for which the bound of a burst is stated, and the bound in seconds.
const BURST: (usize, f64) = (1_000, 40.0);

pub(crate) async fn run(teams: usize) -> Result<Vec<Row>, Error> {
    let binary = cargo::build(&[SERVICE]).await?.remove(SERVICE).ok_or("team-isolation does not build")?;
    let mut rows = Vec::new();
    for (fsync, store) in [(true, "etcd with fsync"), (false, "etcd without fsync")] {
        eprintln!("   {store}");
        let rig = Rig::start(fsync).await?;
        let measured = measure(&rig, &binary, store, teams).await;
        rig.end().await?;
        rows.extend(measured.unwrap_or_else(|error| vec![Row::failed(store, &*error)]));
    }
    Ok(rows)
}

async fn measure(rig: &Rig, binary: &std::path::Path, store: &str, many: usize) -> Result<Vec<Row>, Error> {
    let service = rig.service(SERVICE, binary).await?;
    let mut teams = Teams::watch(rig.client()).await?;
    let mut rows = Vec::new();
    let first = teams.onboard(&["first".to_owned()]).await?;
    rows.push(Row::new(format!("1 team, the first of all, {store}"), Times::of(first).percentile(100), "ms"));

    let mut times = Vec::with_capacity(SEQUENTIAL);
    for number in 0..SEQUENTIAL {
        times.extend(teams.onboard(&[format!("one-{number}")]).await?);
    }
    let times = Times::of(times);
    for (percent, most) in [(50, 300.0), (99, 1_000.0)] {
        let name = format!("{SEQUENTIAL} teams one by one, p{percent}, {store}");
        rows.push(Row::new(name, times.percentile(percent), "ms").against(Target::AtMost(most)));
    }

    let names: Vec<String> = (0..many).map(|number| format!("many-{number}")).collect();
    let begun = Instant::now();
    let times = Times::of(teams.onboard(&names).await?);
    let total =
        Row::new(format!("{many} teams at once, all ready, {store}"), begun.elapsed().as_secs_f64(), "s");
    rows.push(if many == BURST.0 { total.against(Target::AtMost(BURST.1)) } else { total });
    for percent in [50, 99] {
        rows.push(Row::new(
            format!("{many} teams at once, p{percent}, {store}"),
            times.percentile(percent),
            "ms",
        ));
    }
    teams.check_enforced(&names).await?;

    let writes = service.settled(WRITES).await?;
    let onboarded = many + SEQUENTIAL + 1;
    rows.push(Row::new(format!("writes per team, {store}"), writes / onboarded as f64, ""));
    rows.push(steady(rig, service, &teams, onboarded, store).await?);
    Ok(rows)
}

/// Writes after a restart, which looks at every team again.
async fn steady(
    rig: &Rig,
    service: crate::service::Service,
    teams: &Teams,
    onboarded: usize,
    store: &str,
) -> Result<Row, Error> {
    let before = teams.versions().await?;
    let service = service.restart(rig.watchdog()).await?;
    service.reaches(RECONCILES, onboarded as f64).await?;
    let writes = service.settled(WRITES).await?;
    let after = teams.versions().await?;
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    let name = format!("writes after, {onboarded} teams looked at again, {store}");
    Ok(Row::new(name, writes + changed as f64, "").against(Target::AtMost(0.0)))
}
