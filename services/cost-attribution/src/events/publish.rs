//! Facts of this service, with ids that depend on team and hour alone.
//!
//! The version of a team's fact is the number of the hour at whose start it became true: metering
//! that began within hour n has version n, and that hour, closed, n + 1.

use mlp_bus::Relay;
use mlp_model::{Context, Fact, FactId};
use mlp_proto::cost::events::v1 as proto;
use mlp_proto::{Message, Name};

use crate::domain::hour::{Closed, Metered};
use crate::domain::time::{Hour, Millis};
use crate::reconcile::clock::rfc3339;
use crate::store::Store;

/// Kind of the aggregate.
const KIND: &str = "Team";

/// Metering of a team began. `flow` is that of the change that isolated it.
pub fn metering_started(team: &Metered, generation: i64, flow: String, now: Millis) -> Fact {
    let message = proto::MeteringStarted {
        team: team.team.clone(),
        uid: team.uid.clone(),
        generation,
        cost_center: team.cost_center.clone(),
        namespaces: team.namespaces.clone(),
        from: Some(timestamp(team.from)),
    };
    let version = Hour::of(team.from).0;
    fact("metering-started", &message, (&team.team, &team.uid), version, flow, now)
}

/// An hour of a team is final.
pub fn hour_closed(closed: &Closed, flow: String, now: Millis) -> Fact {
    let namespaces = closed.total.namespaces.iter().filter(|(_, cost)| cost.total() != 0);
    let message = proto::CostHourClosed {
        team: closed.team.clone(),
        uid: closed.uid.clone(),
        hour: closed.hour.0,
        start: Some(timestamp(closed.hour.start())),
        end: Some(timestamp(closed.hour.end())),
        cost_center: closed.total.cost_center.clone(),
        total_nano_usd: closed.total.cost.total(),
        cpu_nano_usd: closed.total.cost.cpu,
        memory_nano_usd: closed.total.cost.memory,
        gpu_nano_usd: closed.total.cost.gpu,
        namespaces: namespaces
            .map(|(namespace, cost)| proto::NamespaceCost {
                namespace: namespace.clone(),
                nano_usd: cost.total(),
            })
            .collect(),
        unpriced: closed.total.unpriced,
    };
    fact("cost-hour-closed", &message, (&closed.team, &closed.uid), closed.hour.next().0, flow, now)
}

/// An instant as the contract's time.
pub(crate) fn timestamp(instant: Millis) -> prost_types::Timestamp {
    let nanos = i32::try_from(instant.rem_euclid(1_000) * 1_000_000).unwrap_or(0);
    prost_types::Timestamp { seconds: instant.div_euclid(1_000), nanos }
}

fn fact<M: Message + Name>(
    name: &str,
    message: &M,
    (team, uid): (&str, &str),
    version: i64,
    flow: String,
    now: Millis,
) -> Fact {
    let version = u64::try_from(version).unwrap_or(0);
    let message_type = M::full_name();
    Fact {
        id: FactId::derive(KIND, uid, version, &message_type),
        context: Context::Cost,
        name: name.to_owned(),
        message_type,
        team: team.to_owned(),
        aggregate: uid.to_owned(),
        version,
        subject: format!("teams/{team}"),
        time: rfc3339(now),
        data: message.encode_to_vec(),
        flow,
        cause: mlp_reconcile::current_traceparent(),
    }
}

/// Hands waiting facts to the broker. What it does not take waits for the next tick.
pub async fn flush(relay: &Relay, store: &Store) {
    if let Err(error) = relay.flush(store).await {
        tracing::warn!(%error, "facts wait for the broker");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::allocate::Cost;
    use crate::domain::hour::TeamTotal;

    #[test]
    fn facts_are_in_the_catalogue_and_their_ids_depend_on_team_and_hour_alone() {
        let metered = Metered {
            team: "ml".into(),
            uid: "u-1".into(),
            cost_center: "ml".into(),
            namespaces: vec!["ml-team".into()],
            from: 3_600_000 * 5 + 1,
            until: None,
            version: 3,
        };
        let cost = Cost { cpu: 1, memory: 2, gpu: 0 };
        let total =
            TeamTotal { cost, namespaces: [("ml-team".to_owned(), cost)].into(), ..TeamTotal::default() };
        let closed = Closed { hour: Hour(5), team: "ml".into(), uid: "u-1".into(), total };
        let started = metering_started(&metered, 1, String::new(), 7);
        let ended = hour_closed(&closed, String::new(), 8);
        for fact in [&started, &ended] {
            let event = mlp_proto::EventSpec::of(&fact.message_type).unwrap();
            assert_eq!((event.fact, event.context, event.kind), (fact.name.as_str(), "cost", KIND));
            assert!(mlp_bus::Event::of(fact).is_ok());
        }
        assert!(ended.version > started.version);
        assert_eq!(hour_closed(&closed, "x".into(), 99).id, ended.id);
        let message = proto::CostHourClosed::decode(ended.data.as_slice()).unwrap();
        assert_eq!((message.total_nano_usd, message.namespaces[0].nano_usd, message.hour), (3, 3, 5));
    }

    #[test]
    fn the_platforms_fact_has_a_subject_too() {
        let closed = Closed {
            hour: Hour(5),
            team: "_platform".into(),
            uid: "_platform".into(),
            total: TeamTotal::default(),
        };
        let fact = hour_closed(&closed, String::new(), 0);
        assert_eq!(fact.nats_subject(), "mlp.cost.cost-hour-closed.v1._platform._platform");
        assert!(mlp_bus::Event::of(&fact).is_ok());
    }
}
