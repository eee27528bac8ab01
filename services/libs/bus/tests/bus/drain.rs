//! Stopping: what is held is finished, nothing comes twice because of it.

use std::time::Duration;

use mlp_bus::{Bus, Handled};
use mlp_harness::wait_until;

use crate::support::*;

#[tokio::test]
async fn a_rolling_restart_under_load_causes_no_redelivery() {
    let server = server().await;
    let bus = platform(&server).await;
    let total = 400;
    let publishing = tokio::spawn({
        let bus = bus.clone();
        async move {
            for number in 0..total {
                let aggregate = format!("u-{}", number % 20);
                bus.publisher().publish(&fact(&aggregate, number / 20 + 1)).await.unwrap();
            }
        }
    });
    let takes_a_moment = |_| async {
        tokio::time::sleep(Duration::from_millis(2)).await;
        Ok(Handled::Done)
    };
    let mut handled = Vec::new();
    while handled.len() < usize::try_from(total).unwrap() {
        let instance = connect(&server.url()).await;
        let running = run(&instance, spec("reader"), takes_a_moment);
        let some = || async {
            let seen = running.effects().len();
            (seen >= 60 || handled.len() + seen >= 400).then_some(())
        };
        wait_until(LIMIT, "some effects", some).await.unwrap();
        handled.extend(running.stop().await);
        instance.drain(LIMIT).await;
    }
    publishing.await.unwrap();
    let info = wait_settled(&server, "reader").await;
    assert_eq!(info.delivered.consumer_sequence, total, "each message was delivered once");
    assert_eq!(handled.len(), 400);
    assert!(handled.iter().all(|(event, _)| event.delivery == 1));
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_put_back_at_once() {
    let server = server().await;
    platform(&server).await;
    let mut options = options(&server.url());
    options.drain_within = Duration::from_millis(300);
    let impatient = Bus::connect(options).await.unwrap();
    let mut long = spec("reader");
    long.ack_wait = Duration::from_secs(600);
    publish_all(&impatient, &[fact("stuck", 1), fact("stuck", 2)]).await;
    let started = std::sync::Arc::new(tokio::sync::Notify::new());
    let signal = std::sync::Arc::clone(&started);
    let stuck = move |_| {
        signal.notify_one();
        std::future::pending()
    };
    let running = run(&impatient, long.clone(), stuck);
    tokio::time::timeout(LIMIT, started.notified()).await.unwrap();
    assert!(running.stop().await.is_empty());
    let next = run(&impatient, long, done);
    next.wait_for_effects(2).await;
    assert_eq!(next.effects(), [("stuck".into(), 1), ("stuck".into(), 2)]);
    next.stop().await;
}
