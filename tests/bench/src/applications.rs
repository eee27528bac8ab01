//! Many Applications of one monorepo, each of four objects, in the namespaces of a hundred teams.

use std::collections::HashSet;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt as _};
use mlp_crds::Application;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::report::{Row, Target};
use crate::rig::Rig;
use crate::service::WRITES;
use crate::teams::Teams;
use crate::{Error, cargo};

/// Teams, in whose namespaces the objects are.
const TEAMS: usize = 100;
/// Creations on the way at once.
const CREATORS: usize = 16;
/// Until all are applied, in seconds.
const APPLIED: f64 = 25.0;
/// The most that the service may hold, in MiB.
const PEAK: f64 = 150.0;
/// How long nothing is to be written; every Application is looked at at least once meanwhile.
const ROUND: Duration = Duration::from_secs(45);
/// How long all of it may take before it counts as broken.
const LIMIT: Duration = Duration::from_secs(900);
/// Where Applications of the platform are.
pub(crate) const CONTROL: &str = "mlp-system";

pub(crate) async fn run(count: usize) -> Result<Vec<Row>, Error> {
    on_a_rig(async |rig, isolation, sync| measure(rig, isolation, sync, count).await).await
}

/// Builds team-isolation and gitops-sync, measures them on a rig of their own, and ends it whatever came of it.
pub(crate) async fn on_a_rig(
    measure: impl AsyncFnOnce(&Rig, &Path, &Path) -> Result<Vec<Row>, Error>,
) -> Result<Vec<Row>, Error> {
    let binaries = cargo::build(&["team-isolation", "gitops-sync"]).await?;
    let binary = |name: &str| binaries.get(name).ok_or_else(|| format!("{name} does not build"));
    let (isolation, sync) = (binary("team-isolation")?, binary("gitops-sync")?);
    let rig = Rig::start(true).await?;
    let measured = measure(&rig, isolation, sync).await;
    rig.end().await?;
    measured
}

async fn measure(rig: &Rig, isolation: &Path, sync: &Path, count: usize) -> Result<Vec<Row>, Error> {
    let fleet = Fleet::prepare(rig, isolation, count).await?;
    let service = rig.service("gitops-sync", sync).await?;
    let took = fleet.synced(&rig.client(), &format!("file://{}", fleet.repository().display())).await?;
    let peak = service.peak_mebibytes()?;
    service.rests(WRITES).await?;
    let before = service.metric(WRITES).await?;
    tokio::time::sleep(ROUND).await;
    let writes = service.metric(WRITES).await? - before;
    let what = format!("{count} applications of 4 objects");
    Ok(vec![
        Row::new(format!("{what}, created to all in sync"), took.as_secs_f64(), "s")
            .against(Target::AtMost(APPLIED)),
        Row::new(format!("{what}, resident at most"), peak, "MiB").against(Target::AtMost(PEAK)),
        Row::new(format!("{what}, writes while nothing changes"), writes, "").against(Target::AtMost(0.0)),
    ])
}

/// A monorepo, and teams in whose namespaces it is to be.
pub(crate) struct Fleet {
    repository: TempDir,
    teams: Vec<String>,
    count: usize,
}

impl Fleet {
    /// Onboards the teams and writes the monorepo.
    pub(crate) async fn prepare(rig: &Rig, isolation: &Path, count: usize) -> Result<Self, Error> {
        let teams: Vec<String> = (0..TEAMS).map(|number| format!("team-{number}")).collect();
        let service = rig.service("team-isolation", isolation).await?;
        Teams::watch(rig.client()).await?.onboard(&teams).await?;
        service.rests(WRITES).await?;
        // Its own work has an own benchmark.
        service.stop().await?;
        let fleet = Self { repository: tempfile::tempdir()?, teams, count };
        for number in 0..count {
            fleet.write(number, &format!("app-{number}"))?;
        }
        let folder = fleet.repository();
        git(folder, &["init", "--quiet", "--initial-branch", "main"]).await?;
        git(folder, &["config", "user.name", "bench"]).await?;
        git(folder, &["config", "user.email", "bench@example.org"]).await?;
        git(folder, &["add", "--all"]).await?;
        git(folder, &["commit", "--quiet", "--message", "all"]).await?;
        control_namespace(&rig.client()).await?;
        Ok(fleet)
    }

    /// The work tree.
    pub(crate) fn repository(&self) -> &Path {
        self.repository.path()
    }

    /// Where an application's objects go.
    pub(crate) fn namespace(&self, number: usize) -> String {
        let team = self.teams.get(number % self.teams.len()).map_or("", String::as_str);
        format!("{team}-team")
    }

    /// Creates the Applications of the repository at `url`, and gives the time until all are in sync.
    pub(crate) async fn synced(&self, client: &Client, url: &str) -> Result<Duration, Error> {
        let (begun, count) = (Instant::now(), self.count);
        let all = Api::<Application>::namespaced(client.clone(), CONTROL);
        let synced = until_synced(&all, count);
        let created = stream::iter(0..count).map(|number| self.create(client, url, number));
        let created = created.buffer_unordered(CREATORS).try_collect::<Vec<()>>();
        let both = async { tokio::try_join!(created, synced) };
        let both = tokio::time::timeout(LIMIT, both).await;
        both.map_err(|_| format!("{count} applications were not all in sync within {LIMIT:?}"))??;
        Ok(begun.elapsed())
    }

    /// An application's folder, as large as Flux's own benchmark has them: nothing runs.
    pub(crate) fn write(&self, number: usize, greeting: &str) -> Result<(), Error> {
        let name = format!("app-{number}");
        let labels = json!({"app": name});
        let objects = [
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"greeting": greeting}}),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                "spec": {"selector": labels, "ports": [{"port": 80}]}}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
            "replicas": 0, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
                "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10",
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "10m", "memory": "16Mi"}}}],
            }}}}),
        ];
        let place = self.repository().join(&name);
        std::fs::create_dir_all(&place)?;
        let text: Vec<String> = objects.iter().map(ToString::to_string).collect();
        std::fs::write(place.join("all.yaml"), text.join("\n---\n"))?;
        Ok(())
    }

    async fn create(&self, client: &Client, url: &str, number: usize) -> Result<(), Error> {
        let name = format!("app-{number}");
        let application = Application::new(
            &name,
            serde_json::from_value(json!({
                "project": "default",
                "source": {"repoURL": url, "path": name, "targetRevision": "main"},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": self.namespace(number)},
                "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
            }))?,
        );
        let api = Api::<Application>::namespaced(client.clone(), CONTROL);
        api.create(&PostParams::default(), &application).await?;
        Ok(())
    }
}

/// Makes the namespace of the platform's Applications, where it is not there.
async fn control_namespace(client: &Client) -> Result<(), Error> {
    let namespaces = Api::<Namespace>::all(client.clone());
    if namespaces.get_opt(CONTROL).await?.is_none() {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": CONTROL}}))?;
        namespaces.create(&PostParams::default(), &namespace).await?;
    }
    Ok(())
}

/// Runs git in a folder.
pub(crate) async fn git(folder: &Path, arguments: &[&str]) -> Result<(), Error> {
    let status =
        Command::new("git").arg("-C").arg(folder).args(arguments).stdin(Stdio::null()).status().await?;
    if status.success() { Ok(()) } else { Err(format!("git {} failed", arguments.join(" ")).into()) }
}

/// Watches until as many are in sync and their operations have succeeded.
async fn until_synced(all: &Api<Application>, count: usize) -> Result<(), Error> {
    let mut version = all.list(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default();
    let mut synced = HashSet::with_capacity(count);
    loop {
        let mut events = all.watch(&WatchParams::default(), &version).await?.boxed();
        while let Some(event) = events.try_next().await? {
            let (WatchEvent::Added(one) | WatchEvent::Modified(one)) = event else { continue };
            version = one.resource_version().unwrap_or(version);
            if is_synced(&one) {
                synced.insert(one.name_any());
            }
            if synced.len() == count {
                return Ok(());
            }
        }
    }
}

fn is_synced(application: &Application) -> bool {
    let Some(status) = &application.status else { return false };
    status.sync.as_ref().is_some_and(|sync| sync.status == "Synced")
        && status.operation_state.as_ref().is_some_and(|state| state.phase == "Succeeded")
}
