//! What the watch caches show of a team. Reading them costs no call, with one exception: a namespace
//! that a team wants and that is in no status of ours is asked for its field managers, because labels
//! alone can be forged and people want to know whose it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, LimitRange, Namespace, ResourceQuota, Secret, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::{Api, ResourceExt};
use mlp_crds::incident::IncidentState;
use mlp_crds::team::OffboardingPhase;
use mlp_crds::{Incident, Team};
use mlp_model::labels;
use mlp_reconcile::controller::Object as Kubernetes;
use mlp_reconcile::{Controller, ObjectRef, Store, watcher};
use serde_json::Value;

use super::TeamReconciler;
use super::index::Index;
use super::recent::Recent;
use super::signals::Signals;
use super::surroundings::{self, Around};
use crate::domain::SERVICE;
use crate::domain::adoption;
use crate::domain::claims::{Claimant, Existing};
use crate::domain::objects::copies::COPIED;
use crate::domain::objects::{Key, Kind, quota};
use crate::domain::plan::Observed;
use crate::error::Error;

/// Caches of everything that this service writes, and of what it shows.
pub struct Caches {
    index: Index,
    pub(super) recent: Recent,
    namespaces: Store<Namespace>,
    accounts: Store<ServiceAccount>,
    quotas: Store<ResourceQuota>,
    limits: Store<LimitRange>,
    config_maps: Store<ConfigMap>,
    secrets: Store<Secret>,
    policies: Store<NetworkPolicy>,
    roles: Store<Role>,
    bindings: Store<RoleBinding>,
    incidents: Store<Incident>,
    pub(super) around: Around,
}

/// Adds a watch for each kind that this service writes, and for incidents.
pub fn watches(
    controller: Controller<Team>,
    client: &kube::Client,
    signals: Signals,
) -> (Controller<Team>, Caches) {
    let (index, recent) = (Index::default(), Recent::default());
    let notes = Notes { index: index.clone(), recent: recent.clone() };
    let (controller, namespaces) = all_namespaces(controller, client, notes.clone());
    let (controller, accounts) = owned(controller, client, &notes, Kind::ServiceAccount);
    let (controller, quotas) = owned(controller, client, &notes, Kind::ResourceQuota);
    let (controller, limits) = owned(controller, client, &notes, Kind::LimitRange);
    let (controller, config_maps) = copied(controller, client, &notes, Kind::ConfigMap);
    let (controller, secrets) = copied(controller, client, &notes, Kind::Secret);
    let (controller, policies) = owned(controller, client, &notes, Kind::NetworkPolicy);
    let (controller, roles) = owned(controller, client, &notes, Kind::Role);
    let (controller, bindings) = owned(controller, client, &notes, Kind::RoleBinding);
    let (incidents, writer) = mlp_reconcile::store();
    let all = Api::<Incident>::all(client.clone());
    let controller =
        controller.watches_into(writer, all, watcher::Config::default(), |incident: &Incident| {
            vec![ObjectRef::new(&incident.spec.team)]
        });
    let (controller, around) = surroundings::watches(controller, client, &namespaces, signals);
    let caches = Caches {
        index,
        recent,
        namespaces,
        accounts,
        quotas,
        limits,
        config_maps,
        secrets,
        policies,
        roles,
        bindings,
        incidents,
        around,
    };
    (controller, caches)
}

/// All namespaces, so that one that is freed heals the team that waits for it.
fn all_namespaces(
    controller: Controller<Team>,
    client: &kube::Client,
    notes: Notes,
) -> (Controller<Team>, Store<Namespace>) {
    let teams = controller.handle().store().clone();
    let asked = notes.clone();
    let (store, writer) = mlp_reconcile::store();
    let wakes = move |namespace: &Namespace| {
        let holder = notes.take(namespace, Kind::Namespace);
        let stays = namespace.metadata.deletion_timestamp.is_none();
        match holder {
            Some(team) if stays => vec![ObjectRef::new(&team)],
            maybe_holder => {
                let name = namespace.name_any();
                let waiting = teams.state_filter(|team| wants(team, &name));
                let waiting = waiting.iter().map(|team| ObjectRef::new(&team.name_any()));
                waiting.chain(maybe_holder.iter().map(|team| ObjectRef::new(team))).collect()
            }
        }
    };
    let all = Api::<Namespace>::all(client.clone());
    let news = move |namespace: &Namespace| asked.is_news(namespace, Kind::Namespace);
    (controller.watches_news_into(writer, all, watcher::Config::default(), news, wakes), store)
}

/// A cache of the objects of one kind that carry our label; each wakes its team.
fn owned<K>(
    controller: Controller<Team>,
    client: &kube::Client,
    notes: &Notes,
    kind: Kind,
) -> (Controller<Team>, Store<K>)
where
    K: Kubernetes<DynamicType = ()>,
{
    cached(controller, client, notes, kind, &format!("{}={SERVICE}", labels::MANAGED_BY))
}

/// A cache of copies that this service made; its Secrets with credentials for the broker are no copies.
fn copied<K>(
    controller: Controller<Team>,
    client: &kube::Client,
    notes: &Notes,
    kind: Kind,
) -> (Controller<Team>, Store<K>)
where
    K: Kubernetes<DynamicType = ()>,
{
    cached(controller, client, notes, kind, &format!("{}={SERVICE},{COPIED}=true", labels::MANAGED_BY))
}

fn cached<K>(
    controller: Controller<Team>,
    client: &kube::Client,
    notes: &Notes,
    kind: Kind,
    selector: &str,
) -> (Controller<Team>, Store<K>)
where
    K: Kubernetes<DynamicType = ()>,
{
    let config = watcher::Config::default().labels(selector);
    let (store, writer) = mlp_reconcile::store();
    let (notes, asked) = (notes.clone(), notes.clone());
    let wakes =
        move |object: &K| notes.take(object, kind).map(|team| ObjectRef::new(&team)).into_iter().collect();
    let news = move |object: &K| asked.is_news(object, kind);
    (controller.watches_news_into(writer, Api::all(client.clone()), config, news, wakes), store)
}

/// What the watches note of the objects that they bring.
#[derive(Clone)]
struct Notes {
    index: Index,
    recent: Recent,
}

impl Notes {
    /// The team that an object belongs to; puts it into the index.
    fn take<K: kube::Resource>(&self, object: &K, kind: Kind) -> Option<String> {
        let team = team_of(object)?;
        self.index.add(&team, key_of(object, kind));
        Some(team)
    }

    /// Whether an object shows more than what was just written here: a dozen writes would else wake
    /// their team a dozen times, to find nothing.
    fn is_news<K: kube::Resource>(&self, object: &K, kind: Kind) -> bool {
        let version = object.meta().resource_version.as_deref();
        team_of(object).is_none_or(|team| !self.recent.is_echo(&team, &key_of(object, kind), version))
    }
}

fn key_of<K: kube::Resource>(object: &K, kind: Kind) -> Key {
    let name = object.name_any();
    Key { kind, namespace: object.namespace().unwrap_or_else(|| name.clone()), name }
}

/// Whether the namespace of this name is one of the Team's.
pub(super) fn wants(team: &Team, namespace: &str) -> bool {
    team.namespace_names().iter().any(|name| name == namespace)
}

/// The team in the labels of an object that carries our `managed-by`.
pub(crate) fn team_of<K: kube::Resource>(object: &K) -> Option<String> {
    let labels = object.meta().labels.as_ref()?;
    let ours = labels.get(labels::MANAGED_BY).is_some_and(|manager| manager == SERVICE);
    labels.get(labels::TEAM).filter(|_| ours).cloned()
}

/// Whether the Team is on its way out.
fn is_leaving(team: &Team) -> bool {
    let suspended =
        team.spec.offboarding.as_ref().is_some_and(|spec| spec.phase == OffboardingPhase::Suspended);
    suspended || team.metadata.deletion_timestamp.is_some()
}

/// A Team as far as ownership of namespaces is concerned.
pub(super) fn claimant(team: &Team) -> Claimant {
    let created = team.metadata.creation_timestamp.as_ref().map(|time| time.0.to_string());
    Claimant {
        team: team.name_any(),
        created: created.unwrap_or_default(),
        uid: team.metadata.uid.clone().unwrap_or_default(),
        leaving: is_leaving(team),
        namespaces: team.namespace_names(),
    }
}

impl TeamReconciler {
    /// Everything of ours that the team has, with what was just written laid over it.
    pub(super) fn observed(&self, team: &Team) -> Observed {
        self.observed_of(team, |_| true)
    }

    /// The same of some kinds alone: to show an object costs more than all else of a look.
    pub(super) fn observed_of(&self, team: &Team, counts: impl Fn(Kind) -> bool) -> Observed {
        let name = team.name_any();
        let keys = self.caches.index.keys(&name).into_iter().filter(|key| counts(key.kind));
        let mut live =
            keys.filter_map(|key| self.caches.show(&key, &name).map(|object| (key, object))).collect();
        self.caches.recent.overlay(&name, &mut live, counts);
        self.add_offered(team, &mut live);
        let quotas =
            live.iter().filter(|(key, _)| key.kind == Kind::ResourceQuota && key.name == quota::NAME);
        let in_force = quotas.filter_map(|(key, value)| {
            let live: ResourceQuota = serde_json::from_value(value.clone()).ok()?;
            quota::in_force(&live).then(|| key.namespace.clone())
        });
        let quota_in_force = in_force.collect();
        Observed { live, quota_in_force }
    }

    /// Namespaces that the team is to adopt count as its own: what is missing on them is applied.
    fn add_offered(&self, team: &Team, live: &mut BTreeMap<Key, Value>) {
        if is_leaving(team) {
            return;
        }
        let address = adoption::address(&team.name_any(), team.metadata.uid.as_deref().unwrap_or_default());
        for name in team.namespace_names() {
            let Some(namespace) = self.caches.namespaces.get(&ObjectRef::new(&name)) else { continue };
            let is_offered = adoption::offered_to(&namespace) == Some(&address);
            if is_offered
                && team_of(&*namespace).is_none()
                && let Ok(value) = serde_json::to_value(&*namespace)
            {
                live.entry(Key { kind: Kind::Namespace, namespace: name.clone(), name }).or_insert(value);
            }
        }
    }

    /// The namespaces of these names that exist, with their owners.
    pub(super) async fn existing(
        &self,
        team: &Team,
        names: &[String],
    ) -> Result<BTreeMap<String, Existing>, Error> {
        let mut known = known_uids(team);
        known.extend(self.made.uids(&team.name_any()));
        let mut existing = BTreeMap::new();
        for name in names {
            let Some(namespace) = self.caches.namespaces.get(&ObjectRef::new(name)) else { continue };
            let labelled = team_of(&*namespace);
            let uid = namespace.metadata.uid.clone().unwrap_or_default();
            let is_another_teams = labelled.as_ref().is_some_and(|holder| *holder != team.name_any());
            let managers = if is_another_teams || known.contains(&uid) {
                None
            } else {
                Some(self.managers(name).await?)
            };
            let forged =
                managers.as_ref().is_some_and(|managers| !managers.iter().any(|manager| manager == SERVICE));
            let entry = Existing {
                uid,
                offered_to: adoption::offered_to(&namespace).map(str::to_owned),
                owner: adoption::owner(&namespace),
                team: labelled.filter(|_| !forged),
                made_by: managers.and_then(|managers| managers.into_iter().next()),
                terminating: namespace.metadata.deletion_timestamp.is_some(),
            };
            existing.insert(name.clone(), entry);
        }
        Ok(existing)
    }

    /// The namespace's field managers: who wrote it, whatever its labels say.
    async fn managers(&self, name: &str) -> Result<Vec<String>, Error> {
        let api = Api::<Namespace>::all(self.client.clone());
        let found = api.get_metadata_opt(name).await;
        let found =
            found.map_err(|source| mlp_reconcile::Error::of(format!("read Namespace {name}"), source))?;
        let entries = found.map(|namespace| namespace.managed_fields().to_vec()).unwrap_or_default();
        Ok(entries.into_iter().filter_map(|entry| entry.manager).collect())
    }

    /// Namespaces that carry the team's label, sorted.
    pub(super) fn labelled_namespaces(&self, team: &str) -> Vec<String> {
        let keys = self.caches.index.keys(team).into_iter().filter(|key| key.kind == Kind::Namespace);
        keys.filter(|key| self.caches.show(key, team).is_some()).map(|key| key.name).collect()
    }

    /// The live namespace of this name, from the cache.
    pub(super) fn namespace(&self, name: &str) -> Option<Arc<Namespace>> {
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

impl Caches {
    /// All namespaces, with their labels.
    pub fn namespaces(&self) -> Store<Namespace> {
        self.namespaces.clone()
    }

    /// The object of this key as JSON, where it is there and the team's.
    fn show(&self, key: &Key, team: &str) -> Option<Value> {
        match key.kind {
            Kind::Namespace => json(self.namespaces.get(&ObjectRef::new(&key.name)), team),
            Kind::ServiceAccount => json(self.accounts.get(&reference(key)), team),
            Kind::ResourceQuota => json(self.quotas.get(&reference(key)), team),
            Kind::LimitRange => json(self.limits.get(&reference(key)), team),
            Kind::ConfigMap => json(self.config_maps.get(&reference(key)), team),
            Kind::Secret => json(self.secrets.get(&reference(key)), team),
            Kind::NetworkPolicy => json(self.policies.get(&reference(key)), team),
            Kind::Role => json(self.roles.get(&reference(key)), team),
            Kind::RoleBinding => json(self.bindings.get(&reference(key)), team),
        }
    }
}

fn reference<K: Kubernetes<DynamicType = ()>>(key: &Key) -> ObjectRef<K> {
    ObjectRef::new(&key.name).within(&key.namespace)
}

fn json<K: Kubernetes<DynamicType = ()>>(maybe_object: Option<Arc<K>>, team: &str) -> Option<Value> {
    let object = maybe_object.filter(|object| team_of(&**object).as_deref() == Some(team))?;
    serde_json::to_value(&*object).ok()
}

/// uids of the namespaces that the team's status names.
pub(super) fn known_uids(team: &Team) -> BTreeSet<String> {
    let recorded = team.status.iter().flat_map(|status| &status.namespaces);
    recorded.map(|namespace| namespace.uid.clone()).collect()
}
