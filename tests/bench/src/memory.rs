//! Resident memory of each service with a hundred teams, each with a workload.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams, PostParams};
use mlp_harness::wait_until;
use serde_json::json;

use crate::Error;
use crate::cargo::{self, SERVICES};
use crate::report::{Row, Target};
use crate::rig::Rig;
use crate::service::Service;
use crate::teams::Teams;

/// Teams, each with a Deployment of one pod.
const TEAMS: usize = 100;
/// The most that a service may hold, in MiB.
const MOST: f64 = 64.0;
/// How long the pods may take to be scheduled and (simulated) started.
const PODS_LIMIT: Duration = Duration::from_secs(120);
/// How long memory is looked at; the largest value counts.
const WINDOW: Duration = Duration::from_secs(10);

pub(crate) async fn run() -> Result<Vec<Row>, Error> {
    let binaries = cargo::build(&SERVICES).await?;
    let rig = Rig::start(false).await?;
    let measured = measure(&rig, &binaries).await;
    rig.end().await?;
    measured
}

async fn measure(rig: &Rig, binaries: &BTreeMap<&'static str, PathBuf>) -> Result<Vec<Row>, Error> {
    // team-isolation is the first of all, since it makes what the others look at.
    let mut services: Vec<(&str, Result<Service, Error>)> = Vec::new();
    for name in SERVICES {
        let service = match binaries.get(name) {
            Some(binary) => rig.service(name, binary).await,
            None => Err(format!("{name} does not build").into()),
        };
        services.push((name, service));
    }
    if let Some((_, Err(error))) = services.first() {
        return Err(format!("without team-isolation there are no teams: {error}").into());
    }
    let mut teams = Teams::watch(rig.client()).await?;
    let names: Vec<String> = (0..TEAMS).map(|number| format!("team-{number}")).collect();
    teams.onboard(&names).await?;
    run_workloads(&rig.client(), &names).await?;

    let mut most = vec![0.0_f64; services.len()];
    let end = tokio::time::Instant::now() + WINDOW;
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    while tokio::time::Instant::now() < end {
        ticks.tick().await;
        for ((_, service), most) in services.iter_mut().zip(&mut most) {
            match service.as_ref().map(Service::resident_mebibytes) {
                Ok(Ok(now)) => *most = most.max(now),
                Ok(Err(ended)) => *service = Err(ended),
                Err(_) => {}
            }
        }
    }
    let row = |((name, service), most): ((&str, Result<Service, Error>), f64)| {
        let title = format!("{name}, resident at {TEAMS} teams");
        match service {
            Ok(_) => Row::new(title, most, "MiB").against(Target::AtMost(MOST)),
            Err(error) => Row::failed(title, &*error),
        }
    };
    Ok(services.into_iter().zip(most).map(row).collect())
}

/// One Deployment of one pod per team, and waits until all pods run (simulated).
async fn run_workloads(client: &Client, teams: &[String]) -> Result<(), Error> {
    let created = stream::iter(teams).map(|team| async move {
        let labels = json!({ "app": "web" });
        let resources = json!({ "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "cpu": "20m", "memory": "32Mi" } });
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": { "name": "web" },
            "spec": { "replicas": 1, "selector": { "matchLabels": labels }, "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "web", "image": "registry.k8s.io/pause:3.10", "resources": resources }] },
            } },
        }))?;
        let api: Api<Deployment> = Api::namespaced(client.clone(), &format!("{team}-team"));
        api.create(&PostParams::default(), &deployment).await?;
        Ok::<_, Error>(())
    });
    created.buffer_unordered(8).try_collect::<Vec<()>>().await?;
    let pods: Api<Pod> = Api::all(client.clone());
    let running = || async {
        let list = pods.list(&ListParams::default().fields("status.phase=Running")).await.ok()?;
        (list.items.len() >= teams.len()).then_some(())
    };
    Ok(wait_until(PODS_LIMIT, "a running pod of each team", running).await?)
}
