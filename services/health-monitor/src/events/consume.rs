//! Facts of other services wake the team they name; what to do is decided from state.

use kube::ResourceExt;
use mlp_bus::{Event, Handled, Handler};
use mlp_crds::Team;
use mlp_reconcile::{Failure, Handle, ObjectRef};

/// The durable consumers of this service, as `deploy/streams/consumers.yaml` defines them.
pub const DURABLES: [&str; 3] = ["health-monitor-team", "health-monitor-provision", "health-monitor-gitops"];

/// Looks at the team that an event names, and acknowledges after the look.
#[derive(Clone)]
pub struct WakeTeam {
    teams: Handle<Team>,
}

impl WakeTeam {
    /// Wakes teams of the given controller.
    pub const fn new(teams: Handle<Team>) -> Self {
        Self { teams }
    }
}

impl Handler for WakeTeam {
    type Error = Failure;

    async fn handle(&self, event: &Event) -> Result<Handled, Failure> {
        let key = ObjectRef::<Team>::new(&event.team);
        // A team that the cache does not have yet is looked at when the watch brings it.
        let known = self.teams.store().find(|team| team.name_any() == event.team).is_some();
        if !known {
            return Ok(Handled::Ignored);
        }
        self.teams.wake_and_wait(key).await?;
        Ok(Handled::Done)
    }
}
