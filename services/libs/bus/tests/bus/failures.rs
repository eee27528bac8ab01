//! What becomes of messages whose handling fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mlp_bus::deadletter::{DeadLetter, Filter};
use mlp_bus::{Bus, ConsumerSpec, Event, Handled};
use mlp_harness::wait_until;
use mlp_model::Class;

use crate::support::*;

async fn wait_for_dead(bus: &Bus, count: usize) -> Vec<DeadLetter> {
    let all = Filter::default();
    let seen = || async {
        let found = bus.dead_letters(&all, 100).await.unwrap();
        (found.len() >= count).then_some(found)
    };
    wait_until(LIMIT, "dead letters", seen).await.unwrap()
}

#[tokio::test]
async fn a_transient_failure_comes_again_and_holds_back_only_its_own_aggregate() {
    let server = server().await;
    let bus = platform(&server).await;
    let facts: Vec<_> = (1..=4).flat_map(|version| [fact("bad", version), fact("good", version)]).collect();
    publish_all(&bus, &facts).await;
    let first_fails_twice = |event: Event| async move {
        if event.aggregate == "bad" && event.version == 1 && event.delivery <= 2 {
            TRANSIENT
        } else {
            Ok(Handled::Done)
        }
    };
    let running = run(&bus, spec("reader"), first_fails_twice);
    running.wait_for_effects(8).await;
    wait_settled(&server, "reader").await;
    let effects = running.effects();
    for aggregate in ["bad", "good"] {
        let versions: Vec<_> =
            effects.iter().filter(|(name, _)| name == aggregate).map(|(_, version)| *version).collect();
        assert_eq!(versions, [1, 2, 3, 4], "{aggregate}");
    }
    let good = effects.iter().rposition(|(name, _)| name == "good").unwrap();
    let bad = effects.iter().position(|(name, _)| name == "bad").unwrap();
    assert!(good < bad, "the healthy aggregate went ahead: {effects:?}");
    assert!(bus.dead_letters(&Filter::default(), 10).await.unwrap().is_empty());
    running.stop().await;
}

#[tokio::test]
async fn poison_goes_to_the_dead_letters_byte_for_byte_and_the_rest_goes_on() {
    let server = server().await;
    let bus = platform(&server).await;
    let jetstream = stranger(&server).await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Odd-Case", "kept  as is ");
    headers.append("many", "1");
    headers.append("many", "2");
    headers.insert("ce-id", "%ff");
    let body = bytes::Bytes::from_static(&[0, 255, 13, 10, 1]);
    jetstream
        .publish_with_headers("mlp.team.team-isolated.v1.ml.u-9", headers, body.clone())
        .await
        .unwrap()
        .await
        .unwrap();
    publish_all(&bus, &[fact("u-1", 1), fact("u-2", 1)]).await;
    let poison =
        |event: Event| async move { if event.aggregate == "u-1" { TERMINAL } else { Ok(Handled::Done) } };
    let running = run(&bus, spec("reader"), poison);
    running.wait_for_effects(1).await;
    let dead = wait_for_dead(&bus, 2).await;
    wait_settled(&server, "reader").await;
    running.stop().await;

    let malformed = &dead.iter().find(|letter| letter.stream_sequence == 1).unwrap();
    assert_eq!(malformed.reason, "MissingAttribute");
    assert_eq!(malformed.data, body);
    let raw = raw_headers(&server, 1).await;
    assert_eq!(malformed.headers, raw, "the header block is the stored one");
    assert!(malformed.event().is_none());

    let terminal = &dead.iter().find(|letter| letter.stream_sequence == 2).unwrap();
    assert_eq!((terminal.reason.as_str(), terminal.error.as_str()), ("Scripted", "scripted Terminal"));
    assert_eq!(
        (terminal.consumer.as_str(), terminal.stream.as_str(), terminal.deliveries),
        ("reader", "TEAM", 1)
    );
    assert_eq!(terminal.event().unwrap().id, fact("u-1", 1).id);
    assert_eq!(terminal.headers, raw_headers(&server, 2).await);
    let ml = Filter { team: Some("ml".into()), consumer: Some("reader".into()), ..Filter::default() };
    assert_eq!(bus.dead_letters(&ml, 10).await.unwrap().len(), 2);
    let other = Filter { team: Some("data".into()), ..Filter::default() };
    assert!(bus.dead_letters(&other, 10).await.unwrap().is_empty());
}

async fn raw_headers(server: &mlp_harness::NatsServer, sequence: u64) -> Vec<u8> {
    use base64::Engine as _;
    let query = serde_json::json!({ "seq": sequence });
    let reply: serde_json::Value =
        stranger(server).await.request("STREAM.MSG.GET.TEAM", &query).await.unwrap();
    let text = reply.pointer("/message/hdrs").unwrap().as_str().unwrap().to_owned();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

#[tokio::test]
async fn a_panic_is_transient_and_the_last_failure_is_a_dead_letter() {
    let server = server().await;
    let bus = platform(&server).await;
    publish_all(&bus, &[fact("panics", 1), fact("panics", 2), fact("fine", 1)]).await;
    let panics = |event: Event| async move {
        assert!(!(event.aggregate == "panics" && event.version == 1), "scripted panic");
        Ok(Handled::Done)
    };
    let running = run(&bus, spec("reader"), panics);
    let dead = wait_for_dead(&bus, 1).await;
    running.wait_for_effects(2).await;
    wait_settled(&server, "reader").await;
    assert_eq!((dead[0].reason.as_str(), dead[0].deliveries), ("HandlerPanicked", 3));
    assert_eq!(running.effects(), [("fine".into(), 1), ("panics".into(), 2)]);
    running.stop().await;
}

#[tokio::test]
async fn a_slow_handler_is_kept_alive_and_one_above_its_cap_is_stopped() {
    let server = server().await;
    let bus = platform(&server).await;
    let mut spec = spec("reader");
    spec.ack_wait = Duration::from_secs(1);
    spec.handler_cap = Duration::from_secs(4);
    spec.max_deliver = 1;
    publish_all(&bus, &[fact("slow", 1), fact("stuck", 1)]).await;
    let script = |event: Event| async move {
        let pause = if event.aggregate == "slow" { 3 } else { 3600 };
        tokio::time::sleep(Duration::from_secs(pause)).await;
        Ok(Handled::Done)
    };
    let running = run(&bus, spec, script);
    let dead = wait_for_dead(&bus, 1).await;
    running.wait_for_effects(1).await;
    let info = wait_settled(&server, "reader").await;
    assert_eq!(info.delivered.consumer_sequence, 2, "neither was delivered twice");
    assert_eq!(dead[0].reason, "HandlerTimedOut");
    assert_eq!(dead[0].event().unwrap().aggregate, "stuck");
    running.stop().await;
}

#[tokio::test]
async fn waiting_is_no_failure() {
    let server = server().await;
    let bus = platform(&server).await;
    publish_all(&bus, &[fact("u-1", 1)]).await;
    let calls = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&calls);
    let waits = move |_: Event| {
        let call = seen.fetch_add(1, Ordering::SeqCst);
        async move {
            if call < 6 {
                Err(Scripted(Class::Waiting(Duration::from_millis(50))))
            } else {
                Ok(Handled::Done)
            }
        }
    };
    // The long last step is for failures alone: a delay that was asked for is not stretched by it.
    let back_off = [200, 400, 300_000].map(Duration::from_millis).to_vec();
    let running = run(&bus, ConsumerSpec { back_off, ..spec("reader") }, waits);
    running.wait_for_effects(1).await;
    wait_settled(&server, "reader").await;
    assert_eq!(calls.load(Ordering::SeqCst), 7, "more often than maxDeliver allows failures");
    assert!(bus.dead_letters(&Filter::default(), 10).await.unwrap().is_empty());
    running.stop().await;
}

#[tokio::test]
async fn redrive_reaches_the_failing_consumer_alone_and_once() {
    let server = server().await;
    let bus = platform(&server).await;
    let broken = Arc::new(AtomicU64::new(1));
    let switch = Arc::clone(&broken);
    let script = move |_: Event| {
        let failing = switch.load(Ordering::SeqCst) == 1;
        async move { if failing { TERMINAL } else { Ok(Handled::Done) } }
    };
    publish_all(&bus, &[fact("u-1", 1)]).await;
    let failing = run(&bus, spec("failing"), script);
    let healthy = run(&bus, spec("healthy"), done);
    wait_for_dead(&bus, 1).await;
    healthy.wait_for_effects(1).await;
    let planned = bus.redrive(&Filter::default(), "tester", true).await.unwrap();
    assert_eq!(planned[0].subject, "mlp.redrive.failing.team.team-isolated.v1.ml.u-1");
    assert_eq!(wait_for_dead(&bus, 1).await.len(), 1, "a dry run changes nothing");

    broken.store(0, Ordering::SeqCst);
    assert_eq!(bus.redrive(&Filter::default(), "tester", false).await.unwrap(), planned);
    failing.wait_for_effects(1).await;
    assert!(bus.redrive(&Filter::default(), "tester", false).await.unwrap().is_empty());
    wait_settled(&server, "failing").await;
    wait_settled(&server, "healthy").await;
    let (failing, healthy) = (failing.stop().await, healthy.stop().await);
    assert_eq!((failing.len(), healthy.len()), (2, 1));
    assert_eq!(failing[1].0.id, fact("u-1", 1).id, "same id, same content");
    assert_eq!(failing[1].0.data, fact("u-1", 1).data);
    let audit = stranger(&server).await.get_stream("AUDIT").await.unwrap();
    let record = audit.get_last_raw_message_by_subject("mlp.audit.redrive.failing").await.unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record.payload).unwrap();
    assert_eq!((record["by"].as_str(), record["action"].as_str()), (Some("tester"), Some("redrive")));
}

#[tokio::test]
async fn what_the_server_gave_up_is_buried_from_its_advisory() {
    let server = server().await;
    let bus = platform(&server).await;
    publish_all(&bus, &[fact("u-1", 1)]).await;
    let mut spec = spec("reader");
    spec.max_deliver = 1;
    spec.back_off = vec![Duration::from_millis(100)];
    bus.ensure_consumers(&[spec.clone()]).await.unwrap();
    let stream = stranger(&server).await.get_stream("TEAM").await.unwrap();
    let consumer: async_nats::jetstream::consumer::PullConsumer =
        stream.get_consumer("reader").await.unwrap();
    let exhausted = || async {
        let mut batch = consumer.fetch().max_messages(1).messages().await.unwrap();
        while let Some(message) = futures::StreamExt::next(&mut batch).await {
            let nak = async_nats::jetstream::AckKind::Nak(None);
            message.unwrap().ack_with(nak).await.unwrap();
        }
        let audit = stranger(&server).await.get_stream("AUDIT").await.unwrap();
        (audit.cached_info().state.messages > 0).then_some(())
    };
    wait_until(LIMIT, "the server's advisory", exhausted).await.unwrap();
    let running = run(&bus, spec, done);
    let dead = wait_for_dead(&bus, 1).await;
    assert_eq!((dead[0].reason.as_str(), dead[0].stream_sequence), ("NeverAnswered", 1));
    assert_eq!(dead[0].data, fact("u-1", 1).data);
    assert!(running.stop().await.is_empty());
}
