//! Facts of team-isolation: an isolated team is metered from then on, a removed one no longer.
//!
//! The effect and our own fact are one transaction, fenced by the team's version, so a message that
//! comes twice or late changes nothing.

use mlp_bus::{Event, Handled, Handler, Relay};
use mlp_proto::team::events::v1::{TeamIsolated, TeamRemoved};
use mlp_proto::{Message, Name};

use crate::domain::hour::Metered;
use crate::domain::time::Millis;
use crate::error::Error;
use crate::events::publish;
use crate::reconcile::clock::Clock;
use crate::store::{Begun, Store};

/// The durable consumer of this service, as `deploy/streams/consumers.yaml` defines it.
pub const CONSUMER: &str = "cost-attribution-team";

/// Meters the teams that events speak of.
#[derive(Clone)]
pub struct MeterTeams {
    store: Store,
    clock: Clock,
    relay: Relay,
}

impl MeterTeams {
    /// Meters into `store`, stating through `relay`.
    pub const fn new(store: Store, clock: Clock, relay: Relay) -> Self {
        Self { store, clock, relay }
    }

    async fn isolated(&self, event: &Event, message: TeamIsolated) -> Result<Handled, Error> {
        let metered = Metered {
            team: message.team,
            uid: message.uid,
            cost_center: message.cost_center,
            namespaces: message.namespaces.into_iter().map(|namespace| namespace.name).collect(),
            from: self.instant(event),
            until: None,
            version: event.version,
        };
        let flow = event.flow.clone().unwrap_or_default();
        let fact = publish::metering_started(&metered, message.generation, flow, self.clock.now());
        let begun = self.store.begin_metering(&metered, event.id.as_str(), &fact).await?;
        publish::flush(&self.relay, &self.store).await;
        Ok(if begun == Begun::Stale { Handled::Stale } else { Handled::Done })
    }

    /// When the fact became true, which is not when it came.
    fn instant(&self, event: &Event) -> Millis {
        let stated: Option<jiff::Timestamp> = event.time.parse().ok();
        stated.map_or_else(|| self.clock.now(), |time| time.as_millisecond())
    }
}

impl Handler for MeterTeams {
    type Error = Error;

    async fn handle(&self, event: &Event) -> Result<Handled, Error> {
        if event.message_type == TeamIsolated::full_name() {
            let message = decode::<TeamIsolated>(event)?;
            return self.isolated(event, message).await;
        }
        if event.message_type == TeamRemoved::full_name() {
            let message = decode::<TeamRemoved>(event)?;
            let ended =
                self.store.end_metering(&message.uid, self.instant(event), event.version, event.id.as_str());
            return Ok(if ended.await? { Handled::Done } else { Handled::Stale });
        }
        Ok(Handled::Ignored)
    }
}

fn decode<M: Message + Default>(event: &Event) -> Result<M, Error> {
    let message_type = || event.message_type.clone();
    M::decode(event.data.clone()).map_err(|source| Error::Message { message_type: message_type(), source })
}
