//! What the watch caches show of a team. Reading them costs no call, with one exception: a
//! namespace that carries our labels but is in no status of ours is asked for its field managers,
//! because labels alone can be forged.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::{Api, ResourceExt};
use mlp_crds::incident::IncidentState;
use mlp_crds::{Incident, Team};
use mlp_model::labels;
use mlp_reconcile::controller::Object as Kubernetes;
use mlp_reconcile::{Controller, ObjectRef, Store, watcher};
use serde_json::Value;

use super::TeamReconciler;
use crate::domain::SERVICE;
use crate::domain::claims::{Claimant, Existing};
use crate::domain::objects::{Key, Kind, quota};
use crate::domain::plan::Observed;
use crate::error::Error;

/// Caches of everything that this service writes, and of what it shows.
pub struct Caches {
    namespaces: Store<Namespace>,
    accounts: Store<ServiceAccount>,
    quotas: Store<ResourceQuota>,
    limits: Store<LimitRange>,
    policies: Store<NetworkPolicy>,
    roles: Store<Role>,
    bindings: Store<RoleBinding>,
    incidents: Store<Incident>,
}

/// Adds a watch for each kind that this service writes, and for incidents.
pub fn watches(controller: Controller<Team>, client: &kube::Client) -> (Controller<Team>, Caches) {
    // All namespaces, so that one that is freed heals the team that waits for it.
    let teams = controller.handle().store().clone();
    let (namespaces, writer) = mlp_reconcile::store();
    let all = Api::<Namespace>::all(client.clone());
    let controller = controller.watches_into(writer, all, watcher::Config::default(), move |namespace: &Namespace| {
        let name = namespace.name_any();
        let waiting = teams.state_filter(|team| team.namespace_names().contains(&name));
        let labelled = team_label(namespace).map(|team| ObjectRef::new(&team));
        waiting.iter().map(|team| ObjectRef::new(&team.name_any())).chain(labelled).collect()
    });
    let (controller, accounts) = owned(controller, client);
    let (controller, quotas) = owned(controller, client);
    let (controller, limits) = owned(controller, client);
    let (controller, policies) = owned(controller, client);
    let (controller, roles) = owned(controller, client);
    let (controller, bindings) = owned(controller, client);
    let (incidents, writer) = mlp_reconcile::store();
    let all = Api::<Incident>::all(client.clone());
    let controller = controller.watches_into(writer, all, watcher::Config::default(), |incident: &Incident| {
        vec![ObjectRef::new(&incident.spec.team)]
    });
    (controller, Caches { namespaces, accounts, quotas, limits, policies, roles, bindings, incidents })
}

/// A cache of the objects of one kind that carry our label; each wakes its team.
fn owned<K>(controller: Controller<Team>, client: &kube::Client) -> (Controller<Team>, Store<K>)
where
    K: Kubernetes<DynamicType = ()>,
{
    let config = watcher::Config::default().labels(&format!("{}={SERVICE}", labels::MANAGED_BY));
    let (store, writer) = mlp_reconcile::store();
    let wakes = |object: &K| team_label(object).map(|team| ObjectRef::new(&team)).into_iter().collect();
    (controller.watches_into(writer, Api::all(client.clone()), config, wakes), store)
}

/// The team in the labels of an object that carries our `managed-by`.
fn team_label<K: kube::Resource>(object: &K) -> Option<String> {
    let labels = object.meta().labels.as_ref()?;
    let ours = labels.get(labels::MANAGED_BY).is_some_and(|manager| manager == SERVICE);
    labels.get(labels::TEAM).filter(|_| ours).cloned()
}

/// A Team as far as ownership of namespaces is concerned.
pub(super) fn claimant(team: &Team) -> Claimant {
    let created = team.metadata.creation_timestamp.as_ref().map(|time| time.0.to_string());
    Claimant {
        team: team.name_any(),
        created: created.unwrap_or_default(),
        uid: team.metadata.uid.clone().unwrap_or_default(),
        leaving: team.metadata.deletion_timestamp.is_some(),
        namespaces: team.namespace_names(),
    }
}

impl TeamReconciler {
    /// Everything of ours that the team has, with what was just written laid over it.
    pub(super) fn observed(&self, team: &Team) -> Observed {
        let name = team.name_any();
        let caches = &self.caches;
        let mut live = BTreeMap::new();
        collect(&mut live, Kind::Namespace, &name, &caches.namespaces);
        collect(&mut live, Kind::ServiceAccount, &name, &caches.accounts);
        collect(&mut live, Kind::ResourceQuota, &name, &caches.quotas);
        collect(&mut live, Kind::LimitRange, &name, &caches.limits);
        collect(&mut live, Kind::NetworkPolicy, &name, &caches.policies);
        collect(&mut live, Kind::Role, &name, &caches.roles);
        collect(&mut live, Kind::RoleBinding, &name, &caches.bindings);
        self.recent.overlay(&name, &mut live);
        let quotas = live.iter().filter(|(key, _)| key.kind == Kind::ResourceQuota);
        let in_force = quotas.filter_map(|(key, value)| {
            let live: ResourceQuota = serde_json::from_value(value.clone()).ok()?;
            quota::in_force(&live).then(|| key.namespace.clone())
        });
        let quota_in_force = in_force.collect();
        Observed { live, quota_in_force }
    }

    /// The namespaces of these names that exist, with their owners.
    pub(super) async fn existing(&self, team: &Team, names: &[String]) -> Result<BTreeMap<String, Existing>, Error> {
        let known = known_uids(team);
        let mut existing = BTreeMap::new();
        for name in names {
            let Some(namespace) = self.caches.namespaces.get(&ObjectRef::new(name)) else { continue };
            let labelled = team_label(&*namespace);
            let uid = namespace.metadata.uid.clone().unwrap_or_default();
            let claims_to_be_ours = labelled.as_deref() == Some(team.name_any().as_str());
            let forged = claims_to_be_ours && !known.contains(&uid) && !self.wrote_namespace(name).await?;
            let entry = Existing {
                uid,
                team: labelled.filter(|_| !forged),
                made_by: namespace.labels().get(labels::MANAGED_BY).cloned().filter(|_| !forged),
                terminating: namespace.metadata.deletion_timestamp.is_some(),
            };
            existing.insert(name.clone(), entry);
        }
        Ok(existing)
    }

    /// Whether the namespace's field managers name this service.
    async fn wrote_namespace(&self, name: &str) -> Result<bool, Error> {
        let api = Api::<Namespace>::all(self.client.clone());
        let found = api.get_metadata_opt(name).await;
        let found = found.map_err(|source| mlp_reconcile::Error::of(format!("read Namespace {name}"), source))?;
        Ok(found.is_some_and(|namespace| {
            namespace.managed_fields().iter().any(|entry| entry.manager.as_deref() == Some(SERVICE))
        }))
    }

    /// Namespaces that carry the team's label, the team's name being the only key.
    pub(super) fn labelled_namespaces(&self, team: &str) -> Vec<String> {
        let ours = self.caches.namespaces.state_filter(|namespace| team_label(namespace).as_deref() == Some(team));
        let mut names: Vec<_> = ours.iter().map(|namespace| namespace.name_any()).collect();
        names.sort();
        names
    }

    /// The live namespace of this name, from the cache.
    pub(super) fn namespace(&self, name: &str) -> Option<std::sync::Arc<Namespace>> {
        self.caches.namespaces.get(&ObjectRef::new(name))
    }

    /// Titles of the team's open incidents, sorted.
    pub(super) fn open_incidents(&self, team: &str) -> Vec<String> {
        let open = self.caches.incidents.state_filter(|incident| {
            let state = incident.status.as_ref().map(|status| status.state).unwrap_or_default();
            incident.spec.team == team && state == IncidentState::Open
        });
        let mut titles: Vec<_> = open.iter().map(|incident| incident.spec.title.clone()).collect();
        titles.sort();
        titles
    }
}

fn collect<K>(live: &mut BTreeMap<Key, Value>, kind: Kind, team: &str, store: &Store<K>)
where
    K: Kubernetes<DynamicType = ()>,
{
    for object in store.state_filter(|object| team_label(object).as_deref() == Some(team)) {
        let name = object.name_any();
        let key = Key { kind, namespace: object.namespace().unwrap_or_else(|| name.clone()), name };
        live.insert(key, serde_json::to_value(&*object).unwrap_or_default());
    }
}

fn known_uids(team: &Team) -> BTreeSet<String> {
    let recorded = team.status.iter().flat_map(|status| &status.namespaces);
    recorded.map(|namespace| namespace.uid.clone()).collect()
}
