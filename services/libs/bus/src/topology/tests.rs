use mlp_model::Context;

use super::*;

#[test]
fn the_built_in_definition_is_right_and_covers_every_context() {
    let topology = Topology::builtin().unwrap();
    for context in Context::ALL {
        let stream = topology.streams.iter().find(|stream| stream.name == context.stream()).unwrap();
        assert!(stream.subjects.contains(&format!("mlp.{}.>", context.as_str())));
        assert!(stream.subjects.contains(&format!("mlp.redrive.*.{}.>", context.as_str())));
    }
    for consumer in &topology.consumers {
        let stream = topology.streams.iter().find(|stream| stream.name == consumer.stream);
        assert!(stream.is_some(), "{} reads a stream that is not defined", consumer.durable);
        let same = topology.consumers.iter().filter(|other| other.durable == consumer.durable);
        assert_eq!(same.count(), 1, "{} is defined twice", consumer.durable);
    }
    assert!(topology.consumer("nobody").is_err());
    let replicas = topology.with_replicas(3);
    assert!(replicas.streams.iter().all(|stream| stream.replicas == 3));
}

#[test]
fn wrong_definitions_name_the_entry_and_the_field() {
    let good = ConsumerSpec::new("c", "TEAM", &["mlp.team.>"]);
    assert!(good.check().is_ok());
    type Break = fn(&mut ConsumerSpec);
    let cases: [(&str, Break); 7] = [
        ("filters", |spec| spec.filters.clear()),
        ("ackWait", |spec| spec.ack_wait = Duration::ZERO),
        ("backOff", |spec| spec.back_off = vec![Duration::ZERO]),
        ("maxDeliver", |spec| spec.max_deliver = 0),
        ("workers", |spec| spec.workers = 0),
        ("buffer", |spec| spec.buffer = 1),
        ("maxAckPending", |spec| spec.max_ack_pending = 1),
    ];
    for (field, breaks) in cases {
        let mut spec = good.clone();
        breaks(&mut spec);
        let message = spec.check().unwrap_err().to_string();
        assert!(message.contains(field) && message.starts_with("c: "), "{message}");
    }
    let unknown = Topology::parse("streams: []\nsurprise: 1", "consumers: []");
    assert!(unknown.unwrap_err().to_string().contains("surprise"));
    let duration = "consumers: [{durable: c, stream: TEAM, filters: [a], ackWait: soon}]";
    assert!(Topology::parse("streams: []", duration).unwrap_err().to_string().contains("soon"));
}

#[test]
fn a_definition_survives_json() {
    let spec = ConsumerSpec::new("c", "TEAM", &["mlp.team.>"]);
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<ConsumerSpec>(&text).unwrap(), spec);
    assert_eq!(spec.subjects(), ["mlp.team.>", "mlp.redrive.c.>"]);
}
