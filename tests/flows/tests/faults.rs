//! Each service is killed at each outbox and acknowledgement point in turn, at work, and started
//! again; then the whole history is read: nothing lost, nothing doubled, order per aggregate kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use kube::api::{Api, DeleteParams};
use kube::{Client, ResourceExt as _};
use mlp_bus::FaultPoint;
use mlp_crds::{Application, Cache, Database, Team};
use mlp_flows::cli::{binary, mlp_ok};
use mlp_flows::git::{application, config_map, repository};
use mlp_flows::{Tested, apply, client, remove, says, team, until, until_isolated, variable};
use mlp_harness::wait_until;
use mlp_tilt::process::Process;
use serde_json::{Value, json};

const SERVICES: [&str; 5] =
    ["team-isolation", "provisioner", "gitops-sync", "cost-attribution", "health-monitor"];

/// The points that every service passes in ordinary work. The others need poison, a refusal or a
/// redrive, and are killed one by one in mlp-bus' own test of every point.
const POINTS: [FaultPoint; 7] = [
    FaultPoint::OutboxRead,
    FaultPoint::PublishSent,
    FaultPoint::PublishAcked,
    FaultPoint::OutboxTrimmed,
    FaultPoint::Received,
    FaultPoint::Handled,
    FaultPoint::Acked,
];

/// How long a restarted service and its neighbours may take to catch up.
const LIMIT: Duration = Duration::from_secs(90);

/// Starts a service anew, with a fault armed or none.
fn restart(service: &str, fault: Option<FaultPoint>) {
    let mut command = Command::new(binary());
    command.args(["restart", service]).env_remove("MLP_FAULT");
    if let Some(fault) = fault {
        command.env("MLP_FAULT", fault.as_str());
    }
    // An armed service may die before it says that it is ready: that is what it was armed for.
    let output = command.output().expect("mlp runs");
    assert!(
        output.status.success() || fault.is_some(),
        "restart {service}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Whether the process that `mlp` started last for the service lives.
fn is_running(service: &str) -> bool {
    let state = PathBuf::from(variable("MLP_STATE"));
    let record = state.join("run").join(format!("{service}.json"));
    Process::attach(service, &record, &state.join("logs").join(format!("{service}.log"))).is_some()
}

/// Everything that makes each service state facts and act on others'. The spare cache goes again: its
/// end is the fact of another service that team-isolation acts on.
async fn work(client: &Client, name: &str, repository: &str) -> Tested {
    apply::<Team>(client, None, &team(name)).await?;
    // Without team-isolation the namespace does not come; what needs it is applied once it is there.
    let namespace = format!("{name}-team");
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    let there = wait_until(Duration::from_secs(5), "namespace", || async {
        namespaces.get_opt(&namespace).await.ok().flatten()
    });
    if there.await.is_ok() {
        ask(client, name, repository).await?;
        ask_for_cache(client, &namespace, "spare").await?;
        let caches: Api<Cache> = Api::namespaced(client.clone(), &namespace);
        // Before the provisioner has seen it, nothing would be said of its end; it may be dead, too.
        let seen = wait_until(Duration::from_secs(5), "the spare cache to be seen", || async {
            let spare = caches.get_opt("spare").await.ok().flatten()?;
            (!spare.finalizers().is_empty()).then_some(())
        });
        drop(seen.await);
        caches.delete("spare", &DeleteParams::default()).await?;
    }
    Ok(())
}

async fn ask(client: &Client, name: &str, repository: &str) -> Tested {
    let namespace = format!("{name}-team");
    ask_for_cache(client, &namespace, "sessions").await?;
    let application = application("settings", name, repository);
    apply::<Application>(client, Some(&namespace), &application).await?;
    Ok(())
}

async fn ask_for_cache(client: &Client, namespace: &str, name: &str) -> Tested {
    let cache = json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": "Cache",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"class": "small", "deletionPolicy": "Delete"}});
    apply::<Cache>(client, Some(namespace), &cache).await?;
    Ok(())
}

/// Facts of a team as they are stored, oldest first.
fn history(team: &str) -> Vec<Value> {
    let text = mlp_ok(&["events", "tail", "--all", "--no-follow", "--team", team, "-o", "json"]);
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// No gap, no repetition, no disorder: versions of each source and aggregate run from 1 by one.
fn check(team: &str) {
    let mut last: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for fact in history(team) {
        let text = |key: &str| fact[key].as_str().unwrap_or_default().to_owned();
        assert!(ids.insert(text("id")), "{team}: fact {} is stored twice: {fact}", text("id"));
        let version = fact["version"].as_u64().unwrap_or_default();
        let aggregate = (text("source"), text("aggregate"));
        let before = last.insert(aggregate.clone(), version).unwrap_or(0);
        // Facts of cost are numbered by the hour they speak of; all others have no gap.
        let follows = if aggregate.0.ends_with("/cost") { version > before } else { version == before + 1 };
        assert!(follows, "{team}: {aggregate:?} goes from {before} to {version}: {fact}");
    }
    assert!(!last.is_empty(), "{team} has no history");
}

async fn is_whole(client: &Client, name: &str, repository: &str) -> Tested {
    until_isolated(client, name).await?;
    ask(client, name, repository).await?;
    let namespace = format!("{name}-team");
    let applications: Api<Application> = Api::namespaced(client.clone(), &namespace);
    until(&applications, "settings", "the application is synced", |application| {
        let sync = application.status.clone().unwrap_or_default().sync.unwrap_or_default();
        sync.status == "Synced"
    })
    .await?;
    let caches: Api<Cache> = Api::namespaced(client.clone(), &namespace);
    // Until it answers, or never can: a process that is ended while it starts takes its whole grace.
    until(&caches, "sessions", "the cache answers", |cache| {
        let conditions = cache.status.clone().unwrap_or_default().conditions;
        says(&conditions, "Ready", "True") || says(&conditions, "Simulated", "True")
    })
    .await?;
    let stated = ["TeamIsolated", "ApplicationSynced", "MeteringStarted", "HealthChanged"];
    let what = format!("every service has stated its facts of {name}");
    let told = wait_until(LIMIT, &what, || async {
        let facts = history(name);
        let says =
            |kind: &str| facts.iter().any(|fact| fact["type"].as_str().is_some_and(|t| t.ends_with(kind)));
        stated.iter().all(|kind| says(kind)).then_some(())
    });
    told.await?;
    check(name);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_point_of_every_service_nothing_is_lost_or_doubled() -> Tested {
    let client = client().await?;
    let repository = repository("faults", "app/settings.yaml", &config_map("x"))?;
    for service in SERVICES {
        for point in POINTS {
            let name = format!("f-{}-{}", service.chars().take(4).collect::<String>(), point.as_str());
            restart(service, Some(point));
            let begun = Instant::now();
            work(&client, &name, &repository).await?;
            let what = format!("{service} to die at {}", point.as_str());
            wait_until(LIMIT, &what, || async { (!is_running(service)).then_some(()) }).await?;
            restart(service, None);
            is_whole(&client, &name, &repository)
                .await
                .map_err(|error| format!("{service} killed at {}: {error}", point.as_str()))?;
            tidy(&client, &name).await?;
            println!("{service} died at {}, whole after {:.1?}", point.as_str(), begun.elapsed());
        }
    }
    Ok(())
}

async fn tidy(client: &Client, name: &str) -> Tested {
    let namespace = format!("{name}-team");
    remove(&Api::<Application>::namespaced(client.clone(), &namespace), "settings").await?;
    remove(&Api::<Cache>::namespaced(client.clone(), &namespace), "sessions").await?;
    let databases: Api<Database> = Api::namespaced(client.clone(), &namespace);
    assert!(databases.list(&kube::api::ListParams::default()).await?.items.is_empty());
    Ok(())
}
