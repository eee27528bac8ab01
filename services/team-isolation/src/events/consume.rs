//! Others' facts: each names a team to look at, and nothing more.
//!
//! An incident that opened or closed shows on the team; a database, cache or application that went
//! away may have been the last thing that kept a team from going. Both are found by looking, so a
//! lost or repeated fact changes nothing but the time.

use mlp_bus::{Event, Handled, Handler};
use mlp_crds::Team;
use mlp_model::{Class, Classified as _};
use mlp_reconcile::controller::Seen;
use mlp_reconcile::{Failure, Handle, ObjectRef};

/// Durable consumers of this service, as `deploy/streams/consumers.yaml` defines them.
pub const CONSUMERS: [&str; 2] = ["team-isolation-health", "team-isolation-provision"];

/// Has the team of an event looked at, and answers when that is done.
#[derive(Clone)]
pub struct WakeTeam {
    teams: Handle<Team>,
}

impl WakeTeam {
    /// Wakes teams of this controller.
    pub fn new(teams: Handle<Team>) -> Self {
        Self { teams }
    }
}

impl Handler for WakeTeam {
    type Error = Failure;

    async fn handle(&self, event: &Event) -> Result<Handled, Failure> {
        // A fact about the platform itself, or about a team that is gone, concerns no team here.
        match self.teams.wake_and_wait(ObjectRef::new(&event.team)).await {
            Ok(Seen::Reconciled) => Ok(Handled::Done),
            Ok(Seen::Absent) => Ok(Handled::Ignored),
            // The look itself is repeated by the controller; the message has done its part.
            Err(failure) if matches!(failure.class(), Class::Waiting(_) | Class::Terminal) => {
                Ok(Handled::Done)
            }
            Err(failure) => Err(failure),
        }
    }
}
