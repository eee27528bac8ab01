//! Racing creations over the namespaces of one team, whose quota is lent between them, beside the same race
//! for one plain ResourceQuota.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use super::{SERVICE, plain, pod};
use crate::Error;
use crate::report::{Row, Target};
use crate::rig::Rig;
use crate::teams::{Teams, team};

/// Namespaces of the team.
const NAMESPACES: usize = 20;
/// Creations that are tried.
const TRIES: usize = 100_000;
/// At the same time.
const AT_ONCE: usize = 32;
/// Pods that the quota admits.
const PODS: usize = 1_000;
const TEAM: &str = "racers";
const PLAIN: &str = "plain";

/// How a race ended.
#[derive(Default)]
struct Race {
    admitted: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

pub(crate) async fn run() -> Result<Vec<Row>, Error> {
    super::on(Rig::start(true), measure).await
}

async fn measure(rig: &Rig, binary: &std::path::Path) -> Result<Vec<Row>, Error> {
    let _service = rig.service(SERVICE, binary).await?;
    let mut teams = Teams::watch(rig.client()).await?;
    let names: Vec<String> = (0..NAMESPACES).map(|number| format!("{TEAM}-{number}")).collect();
    let mut racers = team(TEAM)?;
    racers.spec.namespaces = serde_json::from_value(
        names.iter().map(|name| json!({"name": name, "environment": "dev"})).collect(),
    )?;
    racers.spec.quota = serde_json::from_value(json!({"objects": {"pods": PODS}}))?;
    teams.onboard_all(vec![racers], Duration::ZERO).await?;
    plain(&rig.client(), PLAIN, json!({"pods": PODS.to_string()})).await?;

    let mut rows = Vec::new();
    let beside = race(&rig.client(), &[PLAIN.to_owned()], "one plain ResourceQuota", &mut rows).await?;
    let member = rig.member("bench", &format!("{TEAM}-engineers")).await?;
    let what = format!("a team of {NAMESPACES} namespaces");
    let ours = race(&member, &names, &what, &mut rows).await?;
    rows.push(
        Row::new("pods beyond what one plain ResourceQuota admits", ours - beside, "")
            .against(Target::AtMost(0.0)),
    );
    let quotas = Api::<ResourceQuota>::all(rig.client()).list(&ListParams::default()).await?;
    let lent = quotas.iter().filter(|quota| quota.namespace().is_some_and(|name| names.contains(&name)));
    let hard =
        lent.filter_map(|quota| quota.spec.as_ref()?.hard.as_ref()?.get("pods")?.0.parse::<f64>().ok());
    rows.push(
        Row::new("sum of what the namespaces may have", hard.sum(), "pods")
            .against(Target::AtMost(PODS as f64)),
    );
    Ok(rows)
}

/// Tries all creations; gives how many pods there are in the end.
async fn race(client: &Client, namespaces: &[String], what: &str, rows: &mut Vec<Row>) -> Result<f64, Error> {
    let race = Race::default();
    let begun = Instant::now();
    let tries = (0..TRIES).map(|number| {
        let (race, namespace) = (&race, namespaces.get(number % namespaces.len()).map_or("", String::as_str));
        async move {
            let Ok(pod) = pod(&format!("p-{number}")) else { return };
            let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
            let count = match api.create(&PostParams::default(), &pod).await {
                Ok(_) => &race.admitted,
                Err(kube::Error::Api(status)) if status.code == 403 => &race.refused,
                Err(_) => &race.failed,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    stream::iter(tries).buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
    let rate = TRIES as f64 / begun.elapsed().as_secs_f64();
    let mut pods = 0;
    for namespace in namespaces {
        let listed =
            Api::<Pod>::namespaced(client.clone(), namespace).list_metadata(&ListParams::default()).await?;
        pods += listed.items.len();
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    rows.push(Row::new(format!("{what}: tries"), rate, "/s"));
    rows.push(Row::new(format!("{what}: pods in the end"), pods as f64, ""));
    rows.push(Row::new(format!("{what}: refused"), count(&race.refused), ""));
    rows.push(Row::new(format!("{what}: failed otherwise"), count(&race.failed), ""));
    let told = (count(&race.admitted) - pods as f64).abs();
    rows.push(
        Row::new(format!("{what}: told another number than there are"), told, "")
            .against(Target::AtMost(0.0)),
    );
    Ok(pods as f64)
}
