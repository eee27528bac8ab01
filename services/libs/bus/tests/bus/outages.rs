//! What the bus rides out: restarts, no leader, a full disk, slow handlers, a pull that stalls.

use std::process::Command;
use std::time::{Duration, Instant};

use mlp_bus::{Fenced, Handled, PublishError, Relay, StreamSpec};
use mlp_harness::{NatsCluster, NatsOptions, NatsServer, wait_until};
use mlp_model::Classified as _;

use crate::support::*;

fn assert_in_order(effects: &[(String, u64)], aggregates: u64, versions: u64) {
    for aggregate in 0..aggregates {
        assert_in_order_of(&format!("u-{aggregate}"), effects, versions);
    }
}

fn assert_in_order_of(name: &str, effects: &[(String, u64)], versions: u64) {
    let seen: Vec<_> = effects.iter().filter(|(own, _)| own == name).map(|(_, version)| *version).collect();
    assert_eq!(seen, (1..=versions).collect::<Vec<_>>(), "{name}");
}

#[tokio::test]
async fn a_restarted_server_loses_nothing_and_keeps_order() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let bus = platform(&server).await;
    let log = Log::default();
    let fenced = Fenced::new(Recorder { log: Log::clone(&log), script: done });
    let running = run_handler(&bus, spec("reader"), fenced, log);
    let publishing = tokio::spawn({
        let bus = bus.clone();
        async move {
            for number in 0..300 {
                bus.publisher().publish(&fact(&format!("u-{}", number % 5), number / 5 + 1)).await.unwrap();
            }
        }
    });
    running.wait_for_effects(40).await;
    server.kill();
    server.restart().await.unwrap();
    running.wait_for_effects(120).await;
    server.stop().await.unwrap();
    server.restart().await.unwrap();
    publishing.await.unwrap();
    running.wait_for_effects(300).await;
    wait_settled(&server, "reader").await;
    assert_in_order(&running.effects(), 5, 60);
    running.stop().await;
}

#[tokio::test]
async fn ten_seconds_without_a_leader_delay_and_lose_nothing() {
    let cluster = NatsCluster::start(3).await.unwrap();
    let bus = connect(&cluster.url()).await;
    let replicated = || async { bus.ensure_streams(&streams(3)).await.ok() };
    wait_until(LIMIT, "replicated streams", replicated).await.unwrap();
    let running = run(&bus, spec("reader"), done);
    let publisher = bus.publisher();
    publish_all(&bus, &[fact("u-0", 1)]).await;
    running.wait_for_effects(1).await;

    let jetstream = async_nats::jetstream::new(
        async_nats::connect(cluster.url().split(',').next().unwrap()).await.unwrap(),
    );
    let stream = jetstream.get_stream("TEAM").await.unwrap();
    let leader = stream.cached_info().cluster.clone().unwrap().leader.unwrap();
    let leader: usize = leader.rsplit('-').next().unwrap().parse().unwrap();
    let other = (leader + 1) % 3;
    cluster.servers()[leader].kill();
    cluster.servers()[other].kill();
    let killed = Instant::now();
    let delayed = tokio::spawn(async move { publisher.publish(&fact("u-0", 2)).await });
    tokio::time::sleep_until((killed + Duration::from_secs(10)).into()).await;
    assert!(!delayed.is_finished(), "one of three stores nothing");
    // It is up, but not healthy by its own account, before all its groups have a leader again.
    let (_healthy, published) = tokio::join!(cluster.servers()[other].restart(), delayed);
    let published = published.unwrap().unwrap();
    assert!(killed.elapsed() >= Duration::from_secs(10));
    assert_eq!(published.sequence, 2);
    running.wait_for_effects(2).await;
    let third = [fact("u-0", 3)];
    let (_healthy, ()) = tokio::join!(cluster.servers()[leader].restart(), publish_all(&bus, &third));
    running.wait_for_effects(3).await;
    assert_in_order(&running.effects(), 1, 3);
    running.stop().await;
}

struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options.as_str(), "mlp-test"])
            .arg(folder.path())
            .status();
        assert!(mounted.unwrap().success(), "run this test as root: it mounts a tmpfs");
        Self(folder)
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let mounted = Command::new("mount").args(["-o", options.as_str()]).arg(self.0.path()).status();
        assert!(mounted.unwrap().success(), "the disk could not be made {how}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_a_clear_condition_and_loses_nothing() {
    let disk = SmallDisk::mount("24m");
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 8 * 1024 * 1024]).unwrap();
    let store = Some(disk.0.path().join("store"));
    let options = NatsOptions { store, max_file_store: Some(1024 * 1024 * 1024), ..NatsOptions::default() };
    let server = NatsServer::start(options).await.unwrap();
    let bus = connect(&server.url()).await;
    bus.ensure_streams(&streams(1)).await.unwrap();
    let publisher = bus.publisher().within(Duration::from_secs(3));
    let large = |version| mlp_model::Fact { data: vec![7; 128 * 1024], ..fact("u-1", version) };
    let mut acknowledged = 0;
    let error = loop {
        match publisher.publish(&large(acknowledged + 1)).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 300, "the disk never fills");
    };
    assert!(acknowledged > 10);
    assert!(matches!(error.class(), mlp_model::Class::Transient), "{error:?}");
    assert!(matches!(error, PublishError::StorageFull { .. }), "{error:?}\n{}", server.log_tail());

    std::fs::remove_file(&ballast).unwrap();
    server.restart().await.unwrap();
    bus.publisher().publish(&large(acknowledged + 1)).await.unwrap();
    let running = run(&bus, spec("reader"), done);
    let total = usize::try_from(acknowledged + 1).unwrap();
    running.wait_for_effects(total).await;
    let versions: Vec<_> = running.effects().into_iter().map(|(_, version)| version).collect();
    assert_eq!(versions, (1..=acknowledged + 1).collect::<Vec<_>>());
    running.stop().await;
}

#[tokio::test]
async fn a_slow_handler_bounds_memory_and_gets_everything() {
    let server = server().await;
    let bus = platform(&server).await;
    let facts: Vec<_> =
        (1..=150).map(|number| fact(&format!("u-{}", number % 50), number / 50 + 1)).collect();
    publish_all(&bus, &facts).await;
    let mut small = spec("reader");
    (small.workers, small.buffer) = (2, 8);
    let slow = |_| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(Handled::Done)
    };
    let running = run(&bus, small, slow);
    let mut most = 0;
    while running.effects().len() < 150 {
        most = most.max(consumer_info(&server, "reader").await.num_ack_pending);
        tokio::task::yield_now().await;
    }
    assert!(most <= 8, "{most} messages were held");
    wait_settled(&server, "reader").await;
    running.stop().await;
}

#[tokio::test]
async fn a_hot_aggregate_leaves_room_for_the_others() {
    let server = server().await;
    let bus = platform(&server).await;
    let mut facts: Vec<_> = (1..=24).map(|version| fact("hot", version)).collect();
    facts.push(fact("cool", 1));
    publish_all(&bus, &facts).await;
    let mut small = spec("reader");
    (small.workers, small.buffer) = (4, 16);
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let opened = std::sync::Arc::clone(&gate);
    let script = move |event: mlp_bus::Event| {
        let gate = std::sync::Arc::clone(&gate);
        async move {
            if event.aggregate == "hot" {
                let _permit = gate.acquire().await.unwrap();
            }
            Ok(Handled::Done)
        }
    };
    let running = run(&bus, small, script);
    running.wait_for_effects(1).await;
    assert_eq!(running.effects(), [("cool".into(), 1)], "it did not wait behind the hot one");
    opened.add_permits(1);
    running.wait_for_effects(25).await;
    let hot: Vec<_> = running.effects().into_iter().skip(1).map(|(_, version)| version).collect();
    assert_eq!(hot, (1..=24).collect::<Vec<_>>());
    running.stop().await;
}

#[tokio::test]
async fn a_pull_that_stalls_is_made_anew() {
    let server = server().await;
    let bus = platform(&server).await;
    let mut spec = spec("stalling");
    spec.stall_after = Duration::from_secs(1);
    let before = crate::telemetry::counter("mlp.bus.pull.recreated", "stalling");
    let running = run(&bus, spec, done);
    publish_all(&bus, &[fact("u-1", 1)]).await;
    running.wait_for_effects(1).await;
    let stream = stranger(&server).await.get_stream("TEAM").await.unwrap();
    let until = std::time::SystemTime::now() + Duration::from_secs(3600);
    stream.pause_consumer("stalling", until.into()).await.unwrap();
    publish_all(&bus, &[fact("u-1", 2)]).await;
    let recreated =
        || async { (crate::telemetry::counter("mlp.bus.pull.recreated", "stalling") > before).then_some(()) };
    wait_until(LIMIT, "the watchdog", recreated).await.unwrap();
    stream.resume_consumer("stalling").await.unwrap();
    running.wait_for_effects(2).await;
    running.stop().await;
}

#[tokio::test]
async fn a_stream_too_large_for_the_server_is_refused_by_name() {
    let server = server().await;
    let bus = connect(&server.url()).await;
    let replicas = StreamSpec { replicas: 3, ..streams(1)[0].clone() };
    let error = bus.ensure_streams(&[replicas]).await.unwrap_err();
    assert!(error.to_string().contains("stream TEAM"), "{error}");
    assert!(matches!(error.class(), mlp_model::Class::Terminal), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_make_a_stream_yet_is_asked_again() {
    let disk = SmallDisk::mount("24m");
    let store = Some(disk.0.path().join("store"));
    let options = NatsOptions { store, max_file_store: Some(1024 * 1024 * 1024), ..NatsOptions::default() };
    let server = NatsServer::start(options).await.unwrap();
    let bus = connect(&server.url()).await;
    // It fails to make a folder, as a new server does for a moment when several ask at once.
    disk.remount("ro");
    let ensure = tokio::spawn(async move { bus.ensure_streams(&streams(1)[..1]).await });
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(!ensure.is_finished(), "nothing is made on a disk that cannot be written, and that is no end");
    disk.remount("rw");
    assert_eq!(ensure.await.unwrap().unwrap(), [mlp_bus::ensure::Ensured::Created]);
}

#[tokio::test]
async fn a_consumer_that_is_early_waits_for_its_stream() {
    let server = server().await;
    let bus = connect(&server.url()).await;
    let running = run(&bus, spec("reader"), done);
    bus.ensure_streams(&streams(1)).await.unwrap();
    publish_all(&bus, &[fact("u-1", 1)]).await;
    running.wait_for_effects(1).await;
    running.stop().await;
}

#[tokio::test]
async fn two_instances_share_the_work_and_one_takes_over() {
    let server = server().await;
    let bus = platform(&server).await;
    let other = connect(&server.url()).await;
    let (first, second) = (run(&bus, spec("reader"), done), run(&other, spec("reader"), done));
    let facts: Vec<_> = (0..200).map(|number| fact(&format!("u-{number}"), 1)).collect();
    publish_all(&bus, &facts[..100]).await;
    let all = |count: usize| {
        let (first, second) = (&first, &second);
        move || async move { (first.effects().len() + second.effects().len() >= count).then_some(()) }
    };
    wait_until(LIMIT, "half the effects", all(100)).await.unwrap();
    let taken = first.stop().await;
    publish_all(&bus, &facts[100..]).await;
    second.wait_for_effects(200 - taken.len()).await;
    let info = wait_settled(&server, "reader").await;
    assert_eq!(info.delivered.consumer_sequence, 200, "nothing came twice");
    assert_eq!(taken.len() + second.stop().await.len(), 200);
}

/// A client that keeps to no rule: headers that are no text.
async fn publish_unreadable(server: &NatsServer) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = server.url().trim_start_matches("nats://").to_owned();
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let headers = b"NATS/1.0\r\nce-id: \xff\xfe\r\n\r\n";
    let line = format!("HPUB mlp.team.team-isolated.v1.ml.u-9 {} {}\r\n", headers.len(), headers.len() + 2);
    let connect = b"CONNECT {\"verbose\":false,\"headers\":true}\r\n";
    for part in [connect.as_slice(), line.as_bytes(), headers, b"hi\r\n", b"PING\r\n"] {
        socket.write_all(part).await.unwrap();
    }
    let mut said = Vec::new();
    while !said.windows(4).any(|word| word == b"PONG") {
        assert!(socket.read_buf(&mut said).await.unwrap() > 0, "{}", String::from_utf8_lossy(&said));
    }
}

#[tokio::test]
async fn headers_that_no_client_can_read_end_in_the_dead_letters() {
    let server = server().await;
    let bus = platform(&server).await;
    publish_unreadable(&server).await;
    let mut short = spec("reader");
    short.max_deliver = 2;
    short.ack_wait = Duration::from_secs(1);
    short.back_off = vec![Duration::from_secs(1)];
    let log = Log::default();
    let fenced = Fenced::new(Recorder { log: Log::clone(&log), script: done });
    let running = run_handler(&bus, short, fenced, log);
    publish_all(&bus, &[fact("u-1", 1), fact("u-1", 2)]).await;
    running.wait_for_effects(2).await;
    let watching = connect(&server.url()).await;
    let buried = || async { watching.dead_letters(&Default::default(), 1).await.unwrap().pop() };
    let letter = wait_until(LIMIT * 2, "the dead letter", buried).await.unwrap();
    assert_eq!((letter.reason.as_str(), letter.data.as_ref()), ("NeverAnswered", b"hi".as_slice()));
    assert!(letter.headers.windows(2).any(|bytes| bytes == [0xff, 0xfe]), "kept byte for byte");
    let refused = watching.redrive(&Default::default(), "tester", false).await.unwrap_err();
    assert!(refused.to_string().contains("not UTF-8"), "{refused}");
    publish_all(&bus, &[fact("u-1", 3)]).await;
    running.wait_for_effects(3).await;
    running.stop().await;
}

#[derive(Default)]
struct MemoryOutbox(std::sync::Mutex<Vec<mlp_model::Fact>>);

impl mlp_model::OutboxStore for MemoryOutbox {
    type Error = Scripted;

    async fn pending(&self, limit: usize) -> Result<Vec<mlp_model::Fact>, Scripted> {
        Ok(self.0.lock().unwrap().iter().take(limit).cloned().collect())
    }

    async fn trim(&self, published: &[mlp_model::FactId]) -> Result<(), Scripted> {
        self.0.lock().unwrap().retain(|fact| !published.contains(&fact.id));
        Ok(())
    }
}

#[tokio::test]
async fn an_outbox_waits_for_the_broker_and_then_drains_in_order() {
    let server = server().await;
    let bus = platform(&server).await;
    let outbox = MemoryOutbox::default();
    *outbox.0.lock().unwrap() = (1..=70).map(|version| fact("u-1", version)).collect();
    server.kill();
    let impatient = Relay::new(bus.publisher().within(Duration::from_millis(300)));
    let error = impatient.flush(&outbox).await.unwrap_err();
    assert_eq!(error.reason(), "BrokerUnavailable");
    assert!(matches!(error.class(), mlp_model::Class::Transient));
    assert_eq!(outbox.0.lock().unwrap().len(), 70, "nothing is trimmed unacknowledged");
    server.restart().await.unwrap();
    assert_eq!(Relay::new(bus.publisher()).flush(&outbox).await.unwrap(), 70);
    assert!(outbox.0.lock().unwrap().is_empty());
    let running = run(&bus, spec("reader"), done);
    running.wait_for_effects(70).await;
    assert_in_order_of("u-1", &running.effects(), 70);
    running.stop().await;
}

#[tokio::test]
async fn a_fact_that_cannot_be_published_at_all_holds_back_no_later_one() {
    let server = server().await;
    let bus = platform(&server).await;
    let outbox = MemoryOutbox::default();
    let mut facts: Vec<_> = (1..=3).map(|version| fact("u-1", version)).collect();
    facts[1].data = vec![0; 200 * 1024];
    *outbox.0.lock().unwrap() = facts;
    Relay::new(bus.publisher()).flush(&outbox).await.unwrap();
    assert!(outbox.0.lock().unwrap().is_empty());
    let running = run(&bus, spec("reader"), done);
    running.wait_for_effects(2).await;
    assert_eq!(running.effects(), [("u-1".to_owned(), 1), ("u-1".to_owned(), 3)]);
    running.stop().await;
}
