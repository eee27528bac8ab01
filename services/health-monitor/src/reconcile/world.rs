//! The observed world: watch caches of everything that has health, and a team's objects judged.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use kube::{Resource, ResourceExt};
use mlp_crds::incident::ResourceRef;
use mlp_crds::{Application, Cache, Database, HealthRecord, Incident, Team};
use mlp_model::labels;
use mlp_reconcile::{ObjectRef, Store};

use crate::domain::{Judged, Verdict, lift, rules};

/// Services whose objects are parts of our own kinds.
const OUR_MANAGERS: [&str; 2] = ["provisioner", "team-isolation"];

/// The caches that are read. All of them are filled by the controller in [`super::controller`].
#[derive(Clone)]
pub struct World {
    pub(super) teams: Store<Team>,
    pub(super) databases: Store<Database>,
    pub(super) caches: Store<Cache>,
    pub(super) applications: Store<Application>,
    pub(super) deployments: Store<Deployment>,
    pub(super) stateful_sets: Store<StatefulSet>,
    pub(super) daemon_sets: Store<DaemonSet>,
    pub(super) jobs: Store<Job>,
    pub(super) pods: Store<Pod>,
    pub(super) claims: Store<PersistentVolumeClaim>,
    pub(super) nodes: Store<Node>,
    pub(super) incidents: Store<Incident>,
    pub(super) records: Store<HealthRecord>,
}

/// Pods of a team with their verdicts.
type Pods = Vec<(Arc<Pod>, Verdict)>;

impl World {
    /// Every object of the team, judged.
    pub fn judge(&self, team: &Team) -> Vec<Judged> {
        let namespaces = team.namespace_names();
        let pods = self.pods(&namespaces);
        let mut all = vec![judged(team, conditions_of_team(team))];
        let with_pods = |kind: &str, name: &str, own: Verdict| {
            let evidence: Vec<_> = pods
                .iter()
                .filter(|(pod, _)| {
                    lift::owner(pod).is_some_and(|owner| owner == (kind.to_owned(), name.to_owned()))
                })
                .map(|(pod, verdict)| (pod.name_any(), verdict))
                .collect();
            lift::lift(own, evidence.iter().map(|(name, verdict)| (name.as_str(), *verdict)))
        };
        for set in within(&self.deployments, &namespaces) {
            all.push(judged(&*set, with_pods("Deployment", &set.name_any(), rules::deployment(&set))));
        }
        for set in within(&self.stateful_sets, &namespaces) {
            all.push(judged(&*set, with_pods("StatefulSet", &set.name_any(), rules::stateful_set(&set))));
        }
        for set in within(&self.daemon_sets, &namespaces) {
            all.push(judged(&*set, with_pods("DaemonSet", &set.name_any(), rules::daemon_set(&set))));
        }
        all.extend(within(&self.jobs, &namespaces).map(|job| judged(&*job, rules::job(&job))));
        all.extend(within(&self.claims, &namespaces).map(|claim| judged(&*claim, rules::claim(&claim))));
        all.extend(within(&self.databases, &namespaces).map(|database| {
            let status = database.status.clone().unwrap_or_default();
            judged(&*database, conditioned(&*database, &status.conditions, status.observed_generation))
        }));
        all.extend(within(&self.caches, &namespaces).map(|cache| {
            let status = cache.status.clone().unwrap_or_default();
            judged(&*cache, conditioned(&*cache, &status.conditions, status.observed_generation))
        }));
        all.extend(
            self.applications_of(&namespaces).map(|application| judged(&*application, argo(&application))),
        );
        all.extend(pods.iter().map(|(pod, verdict)| judged(&**pod, verdict.clone())));
        all
    }

    /// The team that has the namespace, by what team-isolation says.
    pub fn team_of(&self, namespace: &str) -> Option<Arc<Team>> {
        self.teams.find(|team| team.namespace_names().iter().any(|name| name == namespace))
    }

    /// The team's incidents, open and closed.
    pub fn incidents_of(&self, team: &str) -> Vec<Arc<Incident>> {
        self.incidents.state_filter(|incident| incident.spec.team == team)
    }

    /// Closed incidents of teams that are gone: no look at their team comes upon them any more.
    pub fn orphaned_incidents(&self) -> Vec<Arc<Incident>> {
        let is_orphan = |incident: &Incident| self.teams.get(&ObjectRef::new(&incident.spec.team)).is_none();
        self.incidents.state_filter(is_orphan)
    }

    /// The team's record.
    pub fn record_of(&self, team: &str) -> Option<Arc<HealthRecord>> {
        self.records.find(|record| record.spec.team == team)
    }

    fn pods(&self, namespaces: &[String]) -> Pods {
        within(&self.pods, namespaces)
            .map(|pod| {
                let verdict = rules::pod(&pod, self.is_simulated(&pod));
                (pod, verdict)
            })
            .collect()
    }

    fn is_simulated(&self, pod: &Pod) -> bool {
        let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) else { return false };
        let node = self.nodes.find(|candidate| candidate.name_any() == node);
        node.is_some_and(|node| {
            node.labels().get(labels::SIMULATED_NODE).is_some_and(|value| value == "true")
        })
    }

    /// Applications count for the team they deploy to, wherever they stand.
    fn applications_of(&self, namespaces: &[String]) -> impl Iterator<Item = Arc<Application>> {
        let targets = |application: &Application| {
            let own = application.namespace();
            let target = application.spec.destination.namespace.clone().or(own).unwrap_or_default();
            namespaces.contains(&target)
        };
        self.applications.state().into_iter().filter(move |application| targets(application))
    }
}

fn within<K>(store: &Store<K>, namespaces: &[String]) -> impl Iterator<Item = Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let inside =
        |object: &Arc<K>| object.namespace().is_some_and(|namespace| namespaces.contains(&namespace));
    store.state().into_iter().filter(inside)
}

fn judged<K: Resource<DynamicType = ()>>(object: &K, verdict: Verdict) -> Judged {
    let resource = ResourceRef {
        group: K::group(&()).into_owned(),
        version: K::version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
    };
    let controlled = object.owner_references().iter().any(|owner| owner.controller == Some(true));
    let manager = object.labels().get(labels::MANAGED_BY).map(String::as_str).unwrap_or_default();
    let part = controlled || (K::group(&()) != labels::GROUP && OUR_MANAGERS.contains(&manager));
    Judged { resource, generation: object.meta().generation.unwrap_or_default(), verdict, answers: !part }
}

fn conditioned<K: Resource>(
    object: &K,
    conditions: &[mlp_crds::Condition],
    observed: Option<i64>,
) -> Verdict {
    rules::conditioned(conditions, observed, object.meta().generation)
}

fn conditions_of_team(team: &Team) -> Verdict {
    let status = team.status.clone().unwrap_or_default();
    conditioned(team, &status.conditions, status.observed_generation)
}

fn argo(application: &Application) -> Verdict {
    let status = application.status.clone().unwrap_or_default();
    let health = status.health.unwrap_or_default();
    // One that only tries has changed nothing.
    let operation = status.operation_state.filter(|state| !state.operation.is_dry_run());
    let phase = operation.as_ref().map(|operation| operation.phase.as_str());
    let message = match phase {
        Some("Failed" | "Error") => operation.as_ref().and_then(|operation| operation.message.as_deref()),
        _ => health.message.as_deref(),
    };
    // Each failed sync is a failure of its own, however the health of the objects stands.
    let since = match phase {
        Some("Failed" | "Error") => operation.as_ref().and_then(|operation| operation.finished_at.as_deref()),
        _ => health.last_transition_time.as_deref(),
    };
    let since = since.and_then(|time| time.parse::<Timestamp>().ok());
    rules::application(health.status.as_deref(), message, phase, since)
}
