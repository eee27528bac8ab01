//! The harness itself: servers start, keep what they stored, and end.

use std::time::Duration;

use async_nats::jetstream;
use mlp_harness::{Access, NatsCluster, NatsOptions, NatsServer, wait_until};

async fn jetstream(url: &str) -> Result<jetstream::Context, async_nats::ConnectError> {
    let servers: Vec<String> = url.split(',').map(String::from).collect();
    Ok(jetstream::new(async_nats::connect(servers).await?))
}

#[tokio::test]
async fn a_stream_survives_a_kill_and_a_restart_on_the_same_port() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let url = server.url();
    let context = jetstream(&url).await.unwrap();
    let config =
        jetstream::stream::Config { name: "S".into(), subjects: vec!["s".into()], ..Default::default() };
    context.create_stream(config).await.unwrap();
    context.publish("s", "kept".into()).await.unwrap().await.unwrap();
    server.kill();
    server.restart().await.unwrap();
    assert_eq!(server.url(), url);
    let mut stream = jetstream(&url).await.unwrap().get_stream("S").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.messages, 1);
}

#[tokio::test]
async fn a_paused_server_answers_again_when_resumed() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let context = jetstream(&server.url()).await.unwrap();
    context.query_account().await.unwrap();
    server.pause();
    assert!(tokio::time::timeout(Duration::from_millis(200), context.query_account()).await.is_err());
    server.resume();
    context.query_account().await.unwrap();
}

#[tokio::test]
async fn a_password_keeps_others_out() {
    let access =
        Access::Password { user: "platform".into(), password: mlp_model::Secret::new("pässword\"".into()) };
    let server = NatsServer::start(NatsOptions { access, ..NatsOptions::default() }).await.unwrap();
    assert!(async_nats::connect(server.url()).await.is_err());
    let options = async_nats::ConnectOptions::with_user_and_password("platform".into(), "pässword\"".into());
    let client = options.connect(server.url()).await.unwrap();
    jetstream::new(client).query_account().await.unwrap();
}

#[tokio::test]
async fn a_cluster_of_three_elects_again_without_its_leader() {
    let cluster = NatsCluster::start(3).await.unwrap();
    let first = cluster.wait_for_leader(Duration::from_secs(10)).await.unwrap();
    cluster.servers()[first].kill();
    let second = wait_until(Duration::from_secs(30), "another leader", || async {
        cluster.wait_for_leader(Duration::from_secs(1)).await.ok().filter(|index| *index != first)
    });
    second.await.unwrap();
    cluster.servers()[first].restart().await.unwrap();
}
