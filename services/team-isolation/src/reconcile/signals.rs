//! What the API server says beside its objects: refusals, as wishes for quota and as news for a team.

use k8s_openapi::api::core::v1::Namespace;
use mlp_crds::Team;
use mlp_reconcile::{Handle, ObjectRef, Store};

use super::demand::Demand;
use super::denials::Denials;
use super::enforcer::Enforcer;
use super::observe::team_of;
use crate::audit::Refused;

/// What is told to the reconciler, shared between the watches, the audit log, the nodes and it.
#[derive(Clone, Default)]
pub struct Signals {
    pub(super) demand: Demand,
    pub(super) denials: Denials,
    pub(super) enforcer: Enforcer,
}

impl Signals {
    /// Nothing heard yet, in a cluster with this enforcer of NetworkPolicy.
    pub fn new(enforcer: Enforcer) -> Self {
        Self { enforcer, ..Self::default() }
    }

    /// Takes a refusal from the audit log, and has its team looked at where that changes anything.
    pub fn take(&self, refused: Refused, namespaces: &Store<Namespace>, teams: &Handle<Team>) {
        let Some(team) =
            namespaces.get(&ObjectRef::new(&refused.namespace)).and_then(|namespace| team_of(&*namespace))
        else {
            return;
        };
        let wanted = self.demand.note(&refused.namespace, &refused.said);
        if self.denials.note(&team, refused) || wanted {
            teams.wake(ObjectRef::new(&team));
        }
    }
}
