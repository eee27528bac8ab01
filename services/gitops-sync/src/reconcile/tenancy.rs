//! Whose a namespace is, and whether it is ready: from watch caches, at no call.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::{Api, ResourceExt};
use mlp_crds::{AppProject, Application, ApplicationRecord, PolicyExemption, Team};
use mlp_model::labels;
use mlp_reconcile::conditions::READY;
use mlp_reconcile::{Controller, Handle, ObjectRef, Store, conditions, watcher};

use crate::domain::application_set::Cluster;
use crate::domain::credential::{Credential, SECRET_TYPE};
use crate::domain::project::Tenant;
use crate::events::consume::WakeApplications;

/// Caches of what decides where an Application may write, and of our own records.
#[derive(Clone)]
pub struct Caches {
    pub(super) control_namespace: String,
    pub(super) namespaces: Store<Namespace>,
    pub(super) teams: Store<Team>,
    pub(super) projects: Store<AppProject>,
    pub(super) records: Store<ApplicationRecord>,
    /// Argo CD's own configuration.
    pub(super) settings: Store<ConfigMap>,
    /// Argo CD's credentials for repositories.
    pub(super) credentials: Store<Secret>,
    /// Rules before a sync that are lifted.
    pub(super) exemptions: Store<PolicyExemption>,
}

/// Where kubectl keeps what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The word that labels a Secret as a cluster's.
const CLUSTER: &str = "cluster";
/// The ConfigMap of Argo CD's configuration, in its control namespace.
pub(super) const SETTINGS: &str = "argocd-cm";

/// Adds the watches that fill the caches and wake the Applications concerned.
pub fn watches(
    controller: Controller<Application>,
    client: &kube::Client,
    control_namespace: &str,
) -> (Controller<Application>, Caches) {
    let applications = controller.handle().store().clone();
    let destined = applications.clone();
    let (namespaces, writer) = mlp_reconcile::store();
    let all = Api::<Namespace>::all(client.clone());
    let controller =
        controller.watches_into(writer, all, watcher::Config::default(), move |namespace: &Namespace| {
            let name = namespace.name_any();
            references(&destined, |application| destination(application) == Some(&name))
        });
    let destined = applications.clone();
    let (teams, writer) = mlp_reconcile::store();
    let all = Api::<Team>::all(client.clone());
    let controller = controller.watches_into(writer, all, watcher::Config::default(), move |team: &Team| {
        let names = team.namespace_names();
        references(&destined, |application| destination(application).is_some_and(|name| names.contains(name)))
    });
    let (projects, writer) = mlp_reconcile::store();
    let of_project = applications.clone();
    let own = Api::<AppProject>::namespaced(client.clone(), control_namespace);
    let controller =
        controller.watches_into(writer, own, watcher::Config::default(), move |project: &AppProject| {
            let name = project.name_any();
            references(&of_project, |application| application.spec.project == name)
        });
    let (settings, writer) = mlp_reconcile::store();
    let own = Api::<ConfigMap>::namespaced(client.clone(), control_namespace);
    let named = watcher::Config::default().fields(&format!("metadata.name={SETTINGS}"));
    let all_of_them = applications.clone();
    let controller =
        controller.watches_into(writer, own, named, move |_: &ConfigMap| references(&all_of_them, |_| true));
    let (exemptions, writer) = mlp_reconcile::store();
    let (all, exempted) = (Api::<PolicyExemption>::all(client.clone()), applications.clone());
    let controller =
        controller.watches_into(writer, all, watcher::Config::default(), move |one: &PolicyExemption| {
            references(&exempted, |application| application.namespace().as_ref() == Some(&one.spec.namespace))
        });
    let recorded = applications.clone();
    let (credentials, writer) = mlp_reconcile::store();
    let own = Api::<Secret>::namespaced(client.clone(), control_namespace);
    let labelled = watcher::Config::default().labels(SECRET_TYPE);
    let controller =
        controller.watches_into(writer, own, labelled, move |_: &Secret| references(&applications, |_| true));
    let (records, writer) = mlp_reconcile::store();
    let all = Api::<ApplicationRecord>::all(client.clone());
    // A record whose Application is gone wakes a key that is absent, and is then removed. Another's record is our own
    // word, and no reason to look again.
    let controller = controller.watches_into(
        writer,
        all,
        watcher::Config::default(),
        move |record: &ApplicationRecord| {
            let key = ObjectRef::new(&record.spec.name).within(&record.namespace().unwrap_or_default());
            let owner = recorded.get(&key).and_then(|application| application.uid());
            if owner.as_deref() == Some(record.spec.uid.as_str()) { Vec::new() } else { vec![key] }
        },
    );
    // Argo CD's status has no place for it.
    let stated = records.clone();
    let controller = controller.observed_by(move |application: &Application| {
        let uid = application.uid().unwrap_or_default();
        let record =
            stated.get(&ObjectRef::new(&uid).within(&application.namespace().unwrap_or_default()))?;
        record.status.as_ref()?.observed_generation
    });
    let control_namespace = control_namespace.to_owned();
    let caches =
        Caches { control_namespace, namespaces, teams, projects, records, settings, credentials, exemptions };
    (controller, caches)
}

/// The texts that a Secret holds, by key.
pub fn texts(secret: &Secret) -> BTreeMap<String, String> {
    let data = secret.data.iter().flatten();
    data.filter_map(|(key, value)| Some((key.clone(), String::from_utf8(value.0.clone()).ok()?))).collect()
}

fn cluster(secret: &Secret) -> Cluster {
    let data = texts(secret);
    let text = |key: &str| data.get(key).cloned().unwrap_or_default();
    Cluster {
        name: text("name"),
        server: text("server"),
        project: text("project"),
        labels: secret.labels().clone(),
        // What kubectl keeps there holds the Secret's data.
        annotations: secret.annotations().iter().filter(|(key, _)| *key != LAST_APPLIED).map(owned).collect(),
    }
}

fn owned((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

fn destination(application: &Application) -> Option<&String> {
    application.spec.destination.namespace.as_ref()
}

fn references(
    applications: &Store<Application>,
    chosen: impl Fn(&Application) -> bool,
) -> Vec<ObjectRef<Application>> {
    let found = applications.state_filter(|application| chosen(application));
    found.iter().map(|application| ObjectRef::from_obj(&**application)).collect()
}

impl Caches {
    /// Whose a namespace is; none where it does not exist.
    pub(super) fn tenant(&self, name: &str) -> Option<Tenant> {
        if name == self.control_namespace {
            return Some(Tenant::Platform);
        }
        let namespace = self.namespaces.get(&ObjectRef::new(name))?;
        let team = namespace.labels().get(labels::TEAM).filter(|team| !team.is_empty());
        Some(team.map_or(Tenant::Nobody, |team| Tenant::Team(team.clone())))
    }

    /// The team of a namespace: by its label, else by the Team that declares it, for a namespace that
    /// is not made yet.
    pub(super) fn team_of(&self, namespace: &str) -> Option<String> {
        if let Some(Tenant::Team(team)) = self.tenant(namespace) {
            return Some(team);
        }
        let declares = |team: &Team| team.namespace_names().iter().any(|name| name == namespace);
        self.teams.find(declares).map(|team| team.name_any())
    }

    /// What keeps objects from going into a namespace now: it is not there, or its team's isolation
    /// is not in force yet.
    pub(super) fn obstacle(&self, name: &str) -> Option<String> {
        match self.tenant(name) {
            None => Some(format!("waiting for namespace {name} to be made")),
            Some(Tenant::Team(team)) if !self.is_isolated(&team, name) => {
                Some(format!("waiting for team {team} to be isolated in namespace {name}"))
            }
            Some(_) => None,
        }
    }

    fn is_isolated(&self, team: &str, namespace: &str) -> bool {
        let Some(team) = self.teams.get(&ObjectRef::new(team)) else { return false };
        let Some(status) = &team.status else { return false };
        let listed = status.namespaces.iter().any(|entry| entry.name == namespace && entry.ready);
        listed || conditions::is_true(&status.conditions, READY, None)
    }

    /// Argo CD's credentials for repositories.
    pub(super) fn credentials(&self) -> Vec<Credential> {
        let secrets = self.credentials.state_filter(|_| true);
        let read = |secret: &Arc<Secret>| {
            let kind = secret.labels().get(SECRET_TYPE)?;
            let (uid, version) =
                (secret.uid().unwrap_or_default(), secret.resource_version().unwrap_or_default());
            Credential::read(&secret.name_any(), &uid, &version, kind, &texts(secret))
        };
        secrets.iter().filter_map(read).collect()
    }

    /// Clusters that Argo CD's Secrets name.
    pub(super) fn clusters(&self) -> Vec<Cluster> {
        let named = |secret: &Secret| secret.labels().get(SECRET_TYPE).is_some_and(|kind| kind == CLUSTER);
        let mut found: Vec<Cluster> =
            self.credentials.state_filter(named).iter().map(|secret| cluster(secret)).collect();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found
    }

    /// The record of an Application.
    pub(super) fn record(&self, namespace: &str, uid: &str) -> Option<ApplicationRecord> {
        self.records.get(&ObjectRef::new(uid).within(namespace)).map(|record| (*record).clone())
    }
}

impl Caches {
    /// A handler that wakes the Applications of a team, over these caches.
    pub fn wakes(&self, applications: Handle<Application>) -> WakeApplications {
        WakeApplications::new(applications, self.teams.clone(), self.namespaces.clone())
    }
}
