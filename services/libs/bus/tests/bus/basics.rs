//! From fact to handler, the definition of streams, duplicates, order, reading along.

use std::time::Duration;

use futures::StreamExt as _;
use mlp_bus::ensure::Ensured;
use mlp_bus::tail::TailOptions;
use mlp_bus::topology::Start;
use mlp_bus::{EnsureError, Event, Fence, Fenced, Handled, PublishError};
use mlp_harness::wait_until;

use crate::support::*;

#[tokio::test]
async fn a_fact_reaches_the_handler_as_it_was_stated() {
    let server = server().await;
    let bus = platform(&server).await;
    let running = run(&bus, spec("reader"), done);
    let published = bus.publisher().publish(&fact("u-1", 1)).await.unwrap();
    assert_eq!((published.stream.as_str(), published.duplicate), ("TEAM", false));
    running.wait_for_effects(1).await;
    wait_settled(&server, "reader").await;
    let log = running.stop().await;
    let traceparent = log[0].0.traceparent.clone();
    assert!(traceparent.is_some());
    let expected = Event { traceparent, ..Event::of(&fact("u-1", 1)).unwrap() };
    assert_eq!(log, [(expected, Some(Handled::Done))]);
    assert!(bus.is_connected());
    bus.drain(Duration::from_secs(5)).await;
    assert!(!bus.is_connected());
}

#[tokio::test]
async fn a_repeated_publish_is_one_fact() {
    let server = server().await;
    let bus = platform(&server).await;
    let first = bus.publisher().publish(&fact("u-1", 1)).await.unwrap();
    let again = bus.publisher().publish(&fact("u-1", 1)).await.unwrap();
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(first.sequence, again.sequence);
    publish_all(&bus, &[fact("u-1", 2)]).await;
    let running = run(&bus, spec("reader"), done);
    running.wait_for_effects(2).await;
    wait_settled(&server, "reader").await;
    assert_eq!(running.stop().await.len(), 2);
}

#[tokio::test]
async fn order_holds_per_aggregate_while_aggregates_run_beside_each_other() {
    let server = server().await;
    let bus = platform(&server).await;
    let slow_first = |event: Event| async move {
        if event.aggregate == "slow" {
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        Ok(Handled::Done)
    };
    let facts: Vec<_> = (1..=10)
        .flat_map(|version| ["slow", "a", "b", "c"].map(|aggregate| fact(aggregate, version)))
        .collect();
    publish_all(&bus, &facts).await;
    let running = run(&bus, spec("reader"), slow_first);
    running.wait_for_effects(40).await;
    let log = running.stop().await;
    for aggregate in ["slow", "a", "b", "c"] {
        let versions: Vec<_> = log
            .iter()
            .filter(|(event, _)| event.aggregate == aggregate)
            .map(|(event, _)| event.version)
            .collect();
        assert_eq!(versions, (1..=10).collect::<Vec<_>>(), "{aggregate}");
    }
    let last_quick = log.iter().rposition(|(event, _)| event.aggregate != "slow").unwrap();
    let slow_before = log[..last_quick].iter().filter(|(event, _)| event.aggregate == "slow").count();
    assert!(slow_before < 10, "quick lanes do not wait for the slow one");
}

#[tokio::test]
async fn what_comes_late_is_stale_behind_a_fence() {
    let server = server().await;
    let bus = platform(&server).await;
    publish_all(&bus, &[fact("u-1", 2), fact("u-1", 1), fact("u-2", 1), fact("u-1", 3)]).await;
    let log = Log::default();
    let inner = Recorder { log: Log::clone(&log), script: done };
    let running = run_handler(&bus, spec("reader"), Fenced::with(Fence::new(8), inner), log);
    running.wait_for_effects(3).await;
    let info = wait_settled(&server, "reader").await;
    assert_eq!(info.ack_floor.stream_sequence, 4, "the stale one is acknowledged too");
    let mut effects = running.effects();
    effects.sort();
    assert_eq!(effects, [("u-1".into(), 2), ("u-1".into(), 3), ("u-2".into(), 1)]);
    running.stop().await;
}

#[tokio::test]
async fn streams_and_consumers_are_brought_to_their_definition_and_then_left_alone() {
    let server = server().await;
    let bus = connect(&server.url()).await;
    let mut specs = streams(1);
    let count = specs.len();
    assert_eq!(bus.ensure_streams(&specs).await.unwrap(), vec![Ensured::Created; count]);
    assert_eq!(bus.ensure_streams(&specs).await.unwrap(), vec![Ensured::Unchanged; count]);
    specs[0].max_age /= 2;
    assert_eq!(bus.ensure_streams(&specs[..1]).await.unwrap(), [Ensured::Updated]);
    let mut consumer = spec("reader");
    assert_eq!(bus.ensure_consumers(std::slice::from_ref(&consumer)).await.unwrap(), [Ensured::Created]);
    assert_eq!(bus.ensure_consumers(std::slice::from_ref(&consumer)).await.unwrap(), [Ensured::Unchanged]);
    consumer.max_ack_pending = 2000;
    assert_eq!(bus.ensure_consumers(std::slice::from_ref(&consumer)).await.unwrap(), [Ensured::Updated]);
    consumer.start = Start::New;
    let error = bus.ensure_consumers(&[consumer]).await.unwrap_err();
    assert!(matches!(error, EnsureError::Conflict { setting: "start", .. }), "{error}");

    let config = async_nats::jetstream::stream::Config {
        name: "HELD".into(),
        subjects: vec!["held.>".into()],
        storage: async_nats::jetstream::stream::StorageType::Memory,
        ..Default::default()
    };
    let jetstream = stranger(&server).await;
    jetstream.create_stream(config).await.unwrap();
    let held =
        mlp_bus::StreamSpec { name: "HELD".into(), subjects: vec!["held.>".into()], ..specs[0].clone() };
    let error = bus.ensure_streams(&[held]).await.unwrap_err();
    assert!(error.to_string().contains("storage = memory, the definition says file"), "{error}");
    let overlap = mlp_bus::StreamSpec { name: "OTHER".into(), ..specs[0].clone() };
    assert!(matches!(bus.ensure_streams(&[overlap]).await, Err(EnsureError::Refused { .. })));
    assert!(jetstream.get_stream("HELD").await.is_ok(), "nothing is deleted");
}

#[tokio::test]
async fn a_fact_that_cannot_be_stored_says_why() {
    let server = server().await;
    let bus = platform(&server).await;
    let mut large = fact("u-1", 1);
    large.data = vec![0; mlp_bus::publish::FACT_LIMIT + 1];
    assert!(matches!(bus.publisher().publish(&large).await, Err(PublishError::TooLarge { .. })));
    let foreign = mlp_model::Fact { team: "Not-A-Team".into(), ..fact("u-1", 1) };
    assert!(matches!(bus.publisher().publish(&foreign).await, Err(PublishError::Invalid(_))));
    stranger(&server).await.delete_stream("TEAM").await.unwrap();
    let publisher = bus.publisher().within(Duration::from_millis(500));
    let error = publisher.publish(&fact("u-1", 1)).await.unwrap_err();
    assert!(matches!(error, PublishError::NoAck { .. }), "{error}");
}

#[tokio::test]
async fn reading_along_shows_the_past_or_the_new_of_one_team() {
    let server = server().await;
    let bus = platform(&server).await;
    publish_all(&bus, &[fact_of("ml", "u-1", 1), fact_of("data", "u-2", 1)]).await;
    let all = TailOptions { team: Some("ml".into()), ..TailOptions::default() };
    let mut past = bus.tail(&all).await.unwrap();
    let new = TailOptions { start: Start::New, ..TailOptions::default() };
    let mut coming = bus.tail(&new).await.unwrap();
    let first = tokio::time::timeout(LIMIT, past.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((first.event.unwrap().aggregate.as_str(), first.sequence), ("u-1", 1));
    publish_all(&bus, &[fact_of("data", "u-2", 2), fact_of("ml", "u-1", 2)]).await;
    let next = tokio::time::timeout(LIMIT, past.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(next.event.unwrap().version, 2);
    let seen = tokio::time::timeout(LIMIT, coming.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((seen.subject.as_str(), seen.stream.as_str()), ("mlp.team.team-isolated.v1.data.u-2", "TEAM"));
    assert!(seen.stored.ends_with('Z'));
    let stored = TailOptions { stored_only: true, ..all };
    let ended: Vec<_> =
        tokio::time::timeout(LIMIT, bus.tail(&stored).await.unwrap().collect()).await.unwrap();
    assert_eq!(ended.len(), 2, "it ends with what is stored");
}

#[tokio::test]
async fn a_consumer_that_is_deleted_is_made_again() {
    let server = server().await;
    let bus = platform(&server).await;
    let running = run(&bus, spec("reader"), done);
    publish_all(&bus, &[fact("u-1", 1)]).await;
    running.wait_for_effects(1).await;
    let stream = stranger(&server).await.get_stream("TEAM").await.unwrap();
    stream.delete_consumer("reader").await.unwrap();
    publish_all(&bus, &[fact("u-1", 2)]).await;
    let again = || async { running.effects().contains(&("u-1".into(), 2)).then_some(()) };
    wait_until(LIMIT, "the new fact", again).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn connecting_says_what_is_wrong() {
    let none = mlp_bus::Bus::connect(mlp_bus::BusOptions::default()).await.unwrap_err();
    assert!(none.to_string().contains("nats://"), "{none}");
    let mut quick = options("nats://127.0.0.1:1");
    quick.connect_within = Duration::from_millis(300);
    let refused = mlp_bus::Bus::connect(quick).await.unwrap_err();
    assert!(refused.to_string().contains("127.0.0.1:1"), "{refused}");
    let mut missing = options("nats://127.0.0.1:1");
    missing.credentials = Some("/nowhere.creds".into());
    let missing = mlp_bus::Bus::connect(missing).await.unwrap_err();
    assert!(missing.to_string().contains("/nowhere.creds"), "{missing}");
}
