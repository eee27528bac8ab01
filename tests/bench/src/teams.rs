//! Teams like the seed's: applied, and watched until they are ready.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt};
use mlp_crds::Team;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::Error;

/// Creations on the way at once.
const CREATORS: usize = 16;
/// How long all teams of one call may take.
const LIMIT: Duration = Duration::from_secs(600);
/// News that may wait to be read.
const NEWS: usize = 16_384;

/// What a platform engineer declares.
pub(crate) fn team(name: &str) -> Result<Team, Error> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": { "name": name },
        "spec": {
            "displayName": name, "costCenter": name, "owners": [format!("{name}@company.com")],
            "quota": {
                "requests": { "cpu": "8", "memory": "24Gi", "storage": "200Gi" },
                "limits": { "cpu": "16", "memory": "48Gi" },
                "objects": { "pods": 30, "services": 10, "configmaps": 20, "secrets": 10 },
            },
            "limitRange": { "container": {
                "default": { "cpu": "500m", "memory": "1Gi" }, "defaultRequest": { "cpu": "125m", "memory": "256Mi" },
            } },
            "access": {
                "admin": { "groups": [format!("{name}-admins")] }, "edit": { "groups": [format!("{name}-engineers")] },
                "view": { "groups": [format!("{name}-viewers")] },
            },
            "networkPolicy": { "mode": "Enforced" },
        },
    }))?)
}

/// Teams of a control plane, and who of them became ready when.
pub(crate) struct Teams {
    client: Client,
    news: mpsc::Receiver<(String, Instant)>,
    watch: JoinHandle<Result<(), Error>>,
}

impl Drop for Teams {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Teams {
    /// Begins to watch.
    pub(crate) async fn watch(client: Client) -> Result<Self, Error> {
        let (sender, news) = mpsc::channel(NEWS);
        let api: Api<Team> = Api::all(client.clone());
        let list = api.list(&ListParams::default()).await?;
        let version = list.metadata.resource_version.unwrap_or_default();
        let watch = tokio::spawn(follow(api, version, sender));
        Ok(Self { client, news, watch })
    }

    /// Creates teams like the seed's; see [`Teams::onboard_all`].
    pub(crate) async fn onboard(&mut self, names: &[String]) -> Result<Vec<Duration>, Error> {
        let teams = names.iter().map(|name| team(name)).collect::<Result<Vec<_>, _>>()?;
        self.onboard_all(teams, Duration::ZERO).await
    }

    /// Creates the teams, several at once but none earlier than `every` after the one before, and gives the
    /// time from each request to its `Ready=True` seen by a watch, in the order of becoming ready.
    pub(crate) async fn onboard_all(
        &mut self,
        teams: Vec<Team>,
        every: Duration,
    ) -> Result<Vec<Duration>, Error> {
        let api: Api<Team> = Api::all(self.client.clone());
        let names: Vec<String> = teams.iter().map(ResourceExt::name_any).collect();
        let start = tokio::time::Instant::now();
        let creations = stream::iter(teams).enumerate().map(|(number, team)| {
            let api = &api;
            async move {
                tokio::time::sleep_until(start + every * u32::try_from(number)?).await;
                let begun = Instant::now();
                api.create(&PostParams::default(), &team).await?;
                Ok::<_, Error>((team.name_any(), begun))
            }
        });
        let begun = creations.buffer_unordered(CREATORS).try_collect::<HashMap<_, _>>();
        let wanted: HashSet<&String> = names.iter().collect();
        let ready = async {
            let mut ready: HashMap<String, Instant> = HashMap::with_capacity(names.len());
            while ready.len() < names.len() {
                let (name, seen) = self.news.recv().await.ok_or("the watch on teams ended")?;
                if wanted.contains(&name) {
                    ready.entry(name).or_insert(seen);
                }
            }
            Ok(ready)
        };
        let both = async { tokio::try_join!(begun, ready) };
        let (begun, ready) = tokio::time::timeout(LIMIT, both)
            .await
            .map_err(|_| format!("{} teams were not all ready within {LIMIT:?}", names.len()))??;
        let mut times: Vec<Duration> = ready
            .iter()
            .filter_map(|(name, seen)| Some(seen.saturating_duration_since(*begun.get(name)?)))
            .collect();
        times.sort_unstable();
        Ok(times)
    }

    /// Fails unless quota is in force and rights are bound in each team's namespace: ready must
    /// not be said too early.
    pub(crate) async fn check_enforced(&self, names: &[String]) -> Result<(), Error> {
        let all = ListParams::default();
        let quotas = Api::<ResourceQuota>::all(self.client.clone()).list(&all).await?;
        let in_force = |quota: &&ResourceQuota| {
            quota.status.as_ref().and_then(|status| status.hard.as_ref()).is_some_and(|hard| !hard.is_empty())
        };
        let quotas: HashSet<String> =
            quotas.iter().filter(in_force).filter_map(kube::ResourceExt::namespace).collect();
        let bindings = Api::<RoleBinding>::all(self.client.clone()).list(&all).await?;
        let bound: HashSet<String> = bindings.iter().filter_map(kube::ResourceExt::namespace).collect();
        for name in names {
            let namespace = format!("{name}-team");
            if !quotas.contains(&namespace) || !bound.contains(&namespace) {
                return Err(
                    format!("team {name} said to be ready without quota or rights in {namespace}").into()
                );
            }
        }
        Ok(())
    }

    /// Each team's version in the record; a write changes it.
    pub(crate) async fn versions(&self) -> Result<Vec<(String, Option<String>)>, Error> {
        let teams = Api::<Team>::all(self.client.clone()).list(&ListParams::default()).await?;
        let mut versions: Vec<_> =
            teams.iter().map(|team| (team.name_any(), team.resource_version())).collect();
        versions.sort();
        Ok(versions)
    }
}

/// Reports each team that says `Ready=True` of its current generation.
async fn follow(
    api: Api<Team>,
    mut version: String,
    sender: mpsc::Sender<(String, Instant)>,
) -> Result<(), Error> {
    loop {
        let mut events = api.watch(&WatchParams::default(), &version).await?.boxed();
        while let Some(event) = events.try_next().await? {
            let (WatchEvent::Added(team) | WatchEvent::Modified(team)) = event else { continue };
            version = team.resource_version().unwrap_or(version);
            if is_ready(&team) {
                sender.send((team.name_any(), Instant::now())).await?;
            }
        }
    }
}

fn is_ready(team: &Team) -> bool {
    let Some(status) = &team.status else { return false };
    let ready = status.conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True");
    ready && status.observed_generation == team.metadata.generation
}
