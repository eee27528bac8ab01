//! Whom it is metered for, by the Teams themselves: repairs what a lost fact left out.

use std::sync::Arc;

use kube::ResourceExt;
use mlp_bus::Relay;
use mlp_crds::Team;
use mlp_model::{Flow, labels};
use mlp_reconcile::conditions::{READY, find};
use mlp_reconcile::{Next, ObjectRef, Reconciler, effect};

use crate::domain::hour::Metered;
use crate::error::Error;
use crate::events::publish;
use crate::reconcile::clock::Clock;
use crate::store::{Begun, Store};

/// Meters Teams that are isolated.
pub struct TeamReconciler {
    store: Store,
    clock: Clock,
    relay: Relay,
}

impl TeamReconciler {
    /// Meters into `store`, stating through `relay`.
    pub const fn new(store: Store, clock: Clock, relay: Relay) -> Self {
        Self { store, clock, relay }
    }
}

impl Reconciler<Team> for TeamReconciler {
    type Error = Error;

    async fn reconcile(&self, team: Arc<Team>) -> Result<Next, Error> {
        let status = team.status.clone().unwrap_or_default();
        let Some(ready) = find(&status.conditions, READY).filter(|ready| ready.status == "True") else {
            return Ok(Next::Done);
        };
        let metered = Metered {
            team: team.name_any(),
            uid: team.uid().unwrap_or_default(),
            cost_center: team.cost_center().to_owned(),
            namespaces: status.namespaces.iter().map(|namespace| namespace.name.clone()).collect(),
            from: ready.last_transition_time.0.as_millisecond(),
            until: None,
            version: 0,
        };
        let generation = team.metadata.generation.unwrap_or_default();
        let annotation = team.annotations().get(labels::TRACEPARENT).map(String::as_str);
        let flow = Flow::of(&metered.uid, generation, annotation).traceparent();
        let fact = publish::metering_started(&metered, generation, flow, self.clock.now());
        if self.store.begin_metering(&metered, "", &fact).await? != Begun::Stale {
            effect::note();
        }
        publish::flush(&self.relay, &self.store).await;
        Ok(Next::Done)
    }

    async fn absent(&self, key: &ObjectRef<Team>) -> Result<(), Error> {
        if self.store.end_metering_of(&key.name, self.clock.now()).await? {
            effect::note();
            tracing::info!(team = key.name, "metering ended with the team");
        }
        Ok(())
    }
}
