//! Others' facts: each names a team whose Applications are to be looked at, and nothing more.
//!
//! A team that became isolated frees the Applications that wait for its namespaces; a database that
//! became ready frees those that wait for it. Both are found by looking, so a lost or repeated fact
//! changes nothing but the time.

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use mlp_bus::{Event, Handled, Handler};
use mlp_crds::{Application, Team};
use mlp_model::labels;
use mlp_reconcile::{Failure, Handle, ObjectRef, Store};

/// Durable consumers of this service, as `deploy/streams/consumers.yaml` defines them.
pub const CONSUMERS: [&str; 2] = ["gitops-sync-team", "gitops-sync-provision"];

/// Has the Applications of an event's team looked at.
#[derive(Clone)]
pub struct WakeApplications {
    applications: Handle<Application>,
    teams: Store<Team>,
    namespaces: Store<Namespace>,
}

impl WakeApplications {
    /// Wakes Applications of this controller; the caches tell which are of a team.
    pub const fn new(
        applications: Handle<Application>,
        teams: Store<Team>,
        namespaces: Store<Namespace>,
    ) -> Self {
        Self { applications, teams, namespaces }
    }

    fn is_of(&self, application: &Application, team: &str) -> bool {
        let Some(destination) = &application.spec.destination.namespace else { return false };
        let namespace = self.namespaces.get(&ObjectRef::new(destination));
        let labelled = namespace.is_some_and(|it| it.labels().get(labels::TEAM).is_some_and(|of| of == team));
        let declared = self.teams.get(&ObjectRef::new(team));
        labelled || declared.is_some_and(|it| it.namespace_names().contains(destination))
    }
}

impl Handler for WakeApplications {
    type Error = Failure;

    async fn handle(&self, event: &Event) -> Result<Handled, Failure> {
        // The watch on Teams may be behind the fact; what is woken too early is woken again by it.
        let woken = self.applications.wake_all_where(|application| self.is_of(application, &event.team));
        Ok(if woken > 0 { Handled::Done } else { Handled::Ignored })
    }
}
