//! A host in this process: probes, metrics, tasks that die, the order of the drain.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use opentelemetry::metrics::MeterProvider as _;

use mlp_host::{BoxError, Outcome, StartError};

use crate::fake_api::FakeApi;
use crate::support::{args, get, host, starting, until};

#[tokio::test]
async fn readiness_follows_its_checks_and_names_them() {
    let host = host(&FakeApi::default(), &[]).await;
    let admin = host.admin_address();
    let connected = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&connected);
    host.readiness("bus", move || {
        seen.load(Ordering::Relaxed).then_some(()).ok_or_else(|| "not connected".to_owned())
    });
    assert_eq!(get(admin, "/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(get(admin, "/readyz").await, (503, "not ready: bus\n".to_owned()));
    let (code, verbose) = get(admin, "/readyz?verbose").await;
    assert_eq!((code, verbose.as_str()), (503, "[-]bus failed: not connected\nreadyz check failed\n"));
    connected.store(true, Ordering::Relaxed);
    assert_eq!(get(admin, "/readyz").await, (200, "ok\n".to_owned()));
    let (_, verbose) = get(admin, "/readyz?verbose").await;
    assert_eq!(verbose, "[+]bus ok\nreadyz check passed\n");
    host.request_shutdown();
    assert_eq!(host.finish(|| async {}).await, Outcome::Drained);
}

/// A probe that asked while the store was opened was told yes, and sent calls to a port nobody had bound.
#[tokio::test]
async fn a_process_is_not_ready_before_it_serves_what_it_is_for() {
    let host = starting(&FakeApi::default(), &[]).await;
    let admin = host.admin_address();
    assert_eq!(get(admin, "/livez").await.0, 200);
    assert_eq!(get(admin, "/readyz").await, (503, "not ready: start\n".to_owned()));
    let (running, stopping) = (host.clone(), host.clone());
    let running = tokio::spawn(async move { running.finish(|| async {}).await });
    until("ready", || async move { get(admin, "/readyz").await.0 == 200 }).await;
    stopping.request_shutdown();
    assert_eq!(running.await.unwrap(), Outcome::Drained);
}

#[tokio::test]
async fn metrics_are_prometheus_text_of_the_same_instruments() {
    let host = host(&FakeApi::default(), &[]).await;
    let counter = host.telemetry().metrics().meter("test").u64_counter("mlp.test.things").build();
    counter.add(3, &[opentelemetry::KeyValue::new("kind", "round")]);
    let (code, text) = get(host.admin_address(), "/metrics").await;
    assert_eq!(code, 200);
    let line = text.lines().find(|line| line.starts_with("mlp_test_things_total{")).unwrap_or(&text);
    assert!(line.contains("kind=\"round\"") && line.ends_with(" 3"), "{line}");
    assert!(text.contains("service_name=\"test\""), "{text}");
    #[cfg(target_os = "linux")]
    assert!(text.contains("\nprocess_memory_usage_bytes"), "{text}");
}

#[tokio::test]
async fn a_dead_task_makes_the_process_unready_by_name_and_ends_it() {
    for (how, expected) in [
        ("end", "task worker failed: ended by itself"),
        ("fail", "task worker failed: failed: no more work"),
        ("panic", "task worker failed: panicked: the invariant broke"),
    ] {
        let host = host(&FakeApi::default(), &[]).await;
        let admin = host.admin_address();
        host.spawn("worker", async move {
            match how {
                "end" => Ok(()),
                "fail" => Err(BoxError::from("no more work")),
                _ => panic!("the invariant broke"),
            }
        });
        // The hook holds the drain open for as long as it takes to look.
        let outcome = host
            .finish(|| async {
                let (code, text) = get(admin, "/readyz?verbose").await;
                assert_eq!(code, 503);
                assert!(text.contains(expected), "{text}");
            })
            .await;
        assert_eq!(outcome, Outcome::TaskDied("worker".to_owned()));
        assert_eq!(outcome.code(), 1);
    }
}

#[tokio::test]
async fn the_drain_goes_in_order() {
    let host = host(&FakeApi::default(), &[]).await;
    let log = Arc::new(Mutex::new(Vec::new()));
    let note = |text: &'static str| {
        let log = Arc::clone(&log);
        move || log.lock().unwrap().push(text)
    };
    let (draining, stop) = (host.draining(), host.shutdown());
    let (admin, note_stop) = (host.admin_address(), note("tasks stopped"));
    host.spawn("worker", async move {
        stop.cancelled().await;
        note_stop();
    });
    host.request_shutdown();
    let (stopping, note_hook) = (host.shutdown(), note("drain hook"));
    let outcome = host
        .finish(|| async move {
            assert!(draining.is_cancelled() && !stopping.is_cancelled());
            let (code, text) = get(admin, "/readyz").await;
            assert_eq!(
                (code, text.as_str()),
                (503, "not ready: drain\n"),
                "the admin port is the last to go"
            );
            note_hook();
        })
        .await;
    assert_eq!(outcome, Outcome::Drained);
    assert_eq!(*log.lock().unwrap(), ["drain hook", "tasks stopped"]);
    let closed = tokio::net::TcpStream::connect(admin).await;
    assert!(closed.is_err(), "the admin port is closed at the end");
}

#[tokio::test]
async fn a_task_that_does_not_stop_is_left_behind_at_the_limit() {
    let host = host(&FakeApi::default(), &["--drain-timeout", "1s"]).await;
    host.spawn("stubborn", std::future::pending::<()>());
    host.request_shutdown();
    let outcome = host.finish(|| async {}).await;
    assert_eq!(outcome, Outcome::DrainTimedOut("stop tasks"));
    assert_eq!(outcome.code(), 3);
}

#[tokio::test]
async fn a_task_may_die_while_the_process_drains() {
    let host = host(&FakeApi::default(), &[]).await;
    let stop = host.shutdown();
    host.spawn("worker", async move {
        stop.cancelled().await;
        Err::<(), BoxError>("could not save".into())
    });
    host.request_shutdown();
    assert_eq!(host.finish(|| async {}).await, Outcome::TaskDied("worker".to_owned()));
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_flag() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let args = args(&["--admin-listen", &address]);
    let builder = mlp_host::HostBuilder::new("test", args).kube(FakeApi::default().client());
    let Err(error) = builder.start().await else { panic!("started on a port in use") };
    assert!(matches!(error, StartError::Bind { flag: "admin-listen", .. }));
    assert!(error.to_string().contains(&format!("--admin-listen {address} cannot be bound")), "{error}");
}

#[tokio::test]
async fn readiness_recovers_by_itself_when_a_check_does() {
    let host = host(&FakeApi::default(), &[]).await;
    let admin = host.admin_address();
    host.readiness("cache", || Err("cold".to_owned()));
    host.readiness("cache", || Ok(()));
    until("ready", || async move { get(admin, "/readyz").await.0 == 200 }).await;
}
