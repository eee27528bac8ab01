//! The controller over teams: every change of anything that has health wakes the team it belongs to.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::Api;
use kube::{Client, Resource, ResourceExt};
use mlp_crds::{Application, HealthRecord, Incident, Team};
use mlp_reconcile::controller::Object;
use mlp_reconcile::{Controller, ObjectRef, Options, Store, WriteCounter, store, watcher};

use super::World;

/// Looks at every team at least this often: what a watch lost is met then.
const RESYNC: Duration = Duration::from_secs(60);

/// A controller over teams, and the caches that it fills. `writes` counts those of the client that the
/// reconciler writes with: a look that changed nothing leaves no span.
pub fn controller(client: &Client, writes: WriteCounter) -> (Controller<Team>, World) {
    let options = Options { resync: RESYNC, workers: 4, writes: Some(writes), ..Options::default() };
    let teams =
        Controller::<Team>::new("team-health", Api::all(client.clone()), watcher::Config::default(), options);
    let owner = Owners { teams: teams.handle().store().clone() };
    let (teams, databases) = namespaced(teams, client, &owner);
    let (teams, caches) = namespaced(teams, client, &owner);
    let (teams, deployments) = namespaced(teams, client, &owner);
    let (teams, stateful_sets) = namespaced(teams, client, &owner);
    let (teams, daemon_sets) = namespaced(teams, client, &owner);
    let (teams, jobs) = namespaced(teams, client, &owner);
    let (teams, pods) = namespaced(teams, client, &owner);
    let (teams, claims) = namespaced(teams, client, &owner);
    let (teams, applications) = applications(teams, client, &owner);
    let (teams, nodes) = watched(teams, client, |_node: &Node| Vec::new());
    let (teams, incidents) = watched(teams, client, |incident: &Incident| vec![key(&incident.spec.team)]);
    let (teams, records) = watched(teams, client, |record: &HealthRecord| vec![key(&record.spec.team)]);
    let world = World {
        teams: owner.teams,
        databases,
        caches,
        applications,
        deployments,
        stateful_sets,
        daemon_sets,
        jobs,
        pods,
        claims,
        nodes,
        incidents,
        records,
    };
    (teams, world)
}

/// Which team has a namespace.
#[derive(Clone)]
struct Owners {
    teams: Store<Team>,
}

impl Owners {
    fn of(&self, namespace: &str) -> Vec<ObjectRef<Team>> {
        let has = |team: &Team| team.namespace_names().iter().any(|name| name == namespace);
        self.teams.state().into_iter().filter(|team| has(team)).map(|team| key(&team.name_any())).collect()
    }
}

fn key(team: &str) -> ObjectRef<Team> {
    ObjectRef::new(team)
}

/// Watches a kind that lives in team namespaces.
fn namespaced<K>(teams: Controller<Team>, client: &Client, owners: &Owners) -> (Controller<Team>, Store<K>)
where
    K: Object + Resource<DynamicType = ()>,
{
    let owners = owners.clone();
    watched(teams, client, move |object: &K| owners.of(&object.namespace().unwrap_or_default()))
}

/// Applications wake the team they deploy to, wherever they stand.
fn applications(
    teams: Controller<Team>,
    client: &Client,
    owners: &Owners,
) -> (Controller<Team>, Store<Application>) {
    let owners = owners.clone();
    watched(teams, client, move |application: &Application| {
        let target = application.spec.destination.namespace.clone().or_else(|| application.namespace());
        owners.of(&target.unwrap_or_default())
    })
}

fn watched<K>(
    teams: Controller<Team>,
    client: &Client,
    mapper: impl Fn(&K) -> Vec<ObjectRef<Team>> + Send + Sync + 'static,
) -> (Controller<Team>, Store<K>)
where
    K: Object + Resource<DynamicType = ()>,
{
    let (reader, writer) = store::<K>();
    let api: Api<K> = Api::all(client.clone());
    (teams.watches_into(writer, api, watcher::Config::default(), mapper), reader)
}
