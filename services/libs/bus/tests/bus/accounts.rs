//! A team reads its own facts with its own credentials, and nothing of another's.

use std::time::Duration;

use futures::StreamExt as _;
use mlp_bus::accounts::{EVENTS, Keyring, OperatorMode, Party, Team, TeamAccounts, TeamLimits};
use mlp_bus::{Bus, BusOptions};
use mlp_harness::{Access, NatsOptions, NatsServer, Operator, wait_until};

use crate::support::*;

pub struct Platform {
    pub server: NatsServer,
    pub keyring: Keyring,
    pub bus: Bus,
    pub folder: tempfile::TempDir,
}

pub async fn platform_with_accounts() -> Platform {
    let (keyring, folder) = (Keyring::generate(), tempfile::tempdir().unwrap());
    let mode = OperatorMode::of(&keyring, 1_700_000_000);
    let operator = Operator {
        jwt: mode.operator,
        system_account: mode.system_account,
        resolver: folder.path().join("resolver"),
        preload: mode.preload,
    };
    let options =
        NatsOptions { access: Access::Operator(operator), sync_always: false, ..NatsOptions::default() };
    let server = NatsServer::start(options).await.unwrap();
    let credentials = folder.path().join("platform.creds");
    let user = keyring.service_credentials(Party::Platform, "services", 1_700_000_000);
    std::fs::write(&credentials, user.expose()).unwrap();
    let bus =
        Bus::connect(BusOptions { credentials: Some(credentials), ..options_of(&server) }).await.unwrap();
    bus.ensure_streams(&streams(1)).await.unwrap();
    Platform { server, keyring, bus, folder }
}

fn options_of(server: &NatsServer) -> BusOptions {
    options(&server.url())
}

pub fn team(name: &str) -> Team {
    Team {
        uid: format!("uid-{name}"),
        name: name.parse().unwrap(),
        limits: TeamLimits::default(),
        replicas: 1,
    }
}

impl Platform {
    pub async fn accounts(&self) -> TeamAccounts {
        TeamAccounts::connect(vec![self.server.url()], self.keyring.clone()).await.unwrap()
    }

    fn team_options(&self, name: &str) -> async_nats::ConnectOptions {
        let credentials = self.keyring.team_credentials(&team(name).uid, "reader", 1_700_000_000, None);
        async_nats::ConnectOptions::with_credentials(credentials.expose()).unwrap()
    }

    async fn team_client(&self, name: &str) -> async_nats::Client {
        self.team_options(name).connect(self.server.url()).await.unwrap()
    }
}

/// The token of team ml's account, as the server keeps it.
async fn pushed(platform: &Platform) -> (Vec<u8>, std::time::SystemTime) {
    let account = platform.keyring.public_key(Party::Team("uid-ml"));
    let file = platform.folder.path().join("resolver").join(format!("{account}.jwt"));
    let written =
        || async { Some((std::fs::read(&file).ok()?, std::fs::metadata(&file).ok()?.modified().ok()?)) };
    wait_until(LIMIT, "the account's token on disk", written).await.unwrap()
}

/// Subjects of a team's stream, read as a team does: by a consumer of its own.
async fn subjects(client: &async_nats::Client, count: usize) -> Vec<String> {
    let jetstream = async_nats::jetstream::new(client.clone());
    let stream = jetstream.get_stream(EVENTS).await.unwrap();
    let full = || async { (stream.get_info().await.ok()?.state.messages >= count as u64).then_some(()) };
    wait_until(LIMIT, "the team's facts", full).await.unwrap();
    let config = async_nats::jetstream::consumer::pull::OrderedConfig::default();
    let messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
    let read = messages.take(count).map(|message| message.unwrap().subject.to_string()).collect();
    let mut read: Vec<String> = tokio::time::timeout(LIMIT, read).await.unwrap();
    read.sort();
    read
}

#[tokio::test]
async fn a_team_gets_its_own_facts_and_the_platforms_and_none_of_others() {
    let platform = platform_with_accounts().await;
    publish_all(&platform.bus, &[fact_of("ml", "before", 1), fact_of("data", "other", 1)]).await;
    let accounts = platform.accounts().await;
    accounts.ensure(&team("ml")).await.unwrap();
    accounts.ensure(&team("data")).await.unwrap();
    publish_all(&platform.bus, &[fact_of("ml", "after", 1), fact_of("_platform", "public", 1)]).await;
    let token = pushed(&platform).await;
    accounts.ensure(&team("ml")).await.unwrap();
    assert_eq!(pushed(&platform).await, token, "repeating it writes nothing");
    publish_all(&platform.bus, &[fact_of("data", "other", 2), fact_of("ml", "after", 2)]).await;

    let subject = |team: &str, aggregate: &str| format!("mlp.team.team-isolated.v1.{team}.{aggregate}");
    let ml = platform.team_client("ml").await;
    let expected = [
        subject("_platform", "public"),
        subject("ml", "after"),
        subject("ml", "after"),
        subject("ml", "before"),
    ];
    assert_eq!(subjects(&ml, 4).await, expected);
    let data = platform.team_client("data").await;
    let expected = [subject("_platform", "public"), subject("data", "other"), subject("data", "other")];
    assert_eq!(subjects(&data, 3).await, expected);
    let stream = async_nats::jetstream::new(ml).get_stream(EVENTS).await.unwrap();
    assert_eq!(stream.get_info().await.unwrap().state.messages, 4, "none of data");
    let message = stream.get_raw_message(1).await.unwrap();
    let event =
        mlp_bus::envelope::decode(&message.subject, Some(&message.headers), message.payload.clone(), 1)
            .unwrap();
    assert_eq!(event.id, fact_of("ml", &event.aggregate, event.version).id, "the envelope is whole");
}

#[tokio::test]
async fn a_team_is_denied_every_verb_on_the_platforms_account() {
    let platform = platform_with_accounts().await;
    let accounts = platform.accounts().await;
    accounts.ensure(&team("ml")).await.unwrap();
    accounts.ensure(&team("data")).await.unwrap();
    publish_all(&platform.bus, &[fact_of("data", "secret", 1), fact_of("ml", "own", 1)]).await;
    let ml = platform.team_client("ml").await;
    subjects(&ml, 1).await;
    let other = platform.keyring.public_key(Party::Team("uid-data"));
    let own = platform.keyring.public_key(Party::Team("uid-ml"));
    let verbs = [
        "INFO",
        "STREAM.CREATE.TEAM",
        "STREAM.UPDATE.TEAM",
        "STREAM.INFO.TEAM",
        "STREAM.DELETE.TEAM",
        "STREAM.PURGE.TEAM",
        "STREAM.MSG.GET.TEAM",
        "STREAM.MSG.DELETE.TEAM",
        "STREAM.SNAPSHOT.TEAM",
        "STREAM.RESTORE.TEAM",
        "STREAM.NAMES",
        "STREAM.LIST",
        "DIRECT.GET.TEAM",
        "CONSUMER.CREATE.TEAM",
        "CONSUMER.CREATE.TEAM.spy",
        "CONSUMER.CREATE.TEAM.spy.mlp.team.>",
        "CONSUMER.DURABLE.CREATE.TEAM.spy",
        "CONSUMER.INFO.TEAM.spy",
        "CONSUMER.NAMES.TEAM",
        "CONSUMER.LIST.TEAM",
        "CONSUMER.DELETE.TEAM.spy",
        "CONSUMER.MSG.NEXT.TEAM.spy",
        "CONSUMER.PAUSE.TEAM.spy",
        "CONSUMER.UNPIN.TEAM.spy",
        "STREAM.LEADER.STEPDOWN.TEAM",
        "STREAM.PEER.REMOVE.TEAM",
        "CONSUMER.LEADER.STEPDOWN.TEAM.spy",
    ];
    for prefix in ["$JS.API", "mlp.platform.API"] {
        for verb in verbs {
            let asked = ml.request(format!("{prefix}.{verb}"), "{}".into());
            let reply = tokio::time::timeout(Duration::from_millis(150), asked).await;
            // The few verbs without a stream answer for the team's own account.
            if let Ok(Ok(reply)) = reply {
                let text = String::from_utf8_lossy(&reply.payload).into_owned();
                let reply: serde_json::Value = serde_json::from_str(&text).unwrap();
                let own_only = match verb {
                    "INFO" => reply["streams"] == 1,
                    "STREAM.NAMES" => reply["streams"] == serde_json::json!([EVENTS]),
                    "STREAM.LIST" => reply["total"] == 1 && reply["streams"][0]["config"]["name"] == EVENTS,
                    _ => false,
                };
                assert!(own_only && prefix == "$JS.API", "{prefix}.{verb}: {text}");
            }
        }
    }
    for consumer in [&own, &other] {
        for prefix in ["$JS.API", "mlp.platform.API"] {
            let reset = ml.request(format!("{prefix}.CONSUMER.RESET.TEAM.{consumer}"), "{}".into());
            assert!(!matches!(tokio::time::timeout(Duration::from_millis(150), reset).await, Ok(Ok(_))));
        }
    }
    let mut spies = Vec::new();
    for subject in ["mlp.>", ">", "mlp.team.>", "$JS.>", "_INBOX.*.>"] {
        spies.push(ml.subscribe(subject).await.unwrap());
    }
    let deliver = format!("mlp.deliver.{other}.team");
    spies.push(ml.subscribe(deliver).await.unwrap());
    ml.flush().await.unwrap();
    publish_all(&platform.bus, &[fact_of("data", "secret", 2), fact_of("ml", "own", 2)]).await;
    subjects(&ml, 2).await;
    let seen = |spy: &mut async_nats::Subscriber| futures::FutureExt::now_or_never(spy.next()).flatten();
    for spy in &mut spies {
        while let Some(message) = seen(spy) {
            assert!(message.subject.starts_with("_INBOX."), "saw {}", message.subject);
        }
    }
    // Forged facts reach neither the platform nor another team.
    ml.publish("mlp.team.team-isolated.v1.data.forged", "x".into()).await.unwrap();
    ml.flush().await.unwrap();
    let data = platform.team_client("data").await;
    assert!(subjects(&data, 2).await.iter().all(|subject| !subject.contains("forged")));
}

async fn healthz(port: u16) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut connection = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    connection.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_revoked_team_is_cut_off_and_the_rest_goes_on() {
    let platform = platform_with_accounts().await;
    let accounts = platform.accounts().await;
    accounts.ensure(&team("ml")).await.unwrap();
    accounts.ensure(&team("data")).await.unwrap();
    let (ml, data) = (platform.team_client("ml").await, platform.team_client("data").await);
    accounts.revoke(&team("ml")).await.unwrap();
    accounts.revoke(&team("ml")).await.unwrap();
    let cut = || async {
        let connected = ml.connection_state() == async_nats::connection::State::Connected;
        (!connected).then_some(())
    };
    wait_until(LIMIT, "the revoked client to be cut off", cut).await.unwrap();
    assert!(platform.team_options("ml").connect(platform.server.url()).await.is_err());
    publish_all(&platform.bus, &[fact_of("data", "goes-on", 1)]).await;
    assert_eq!(subjects(&data, 1).await.len(), 1);
    let jetstream = async_nats::jetstream::new(
        async_nats::ConnectOptions::with_credentials_file(platform.folder.path().join("platform.creds"))
            .await
            .unwrap()
            .connect(platform.server.url())
            .await
            .unwrap(),
    );
    let stream = jetstream.get_stream("TEAM").await.unwrap();
    let names: Vec<_> = stream.consumer_names().map(Result::unwrap).collect().await;
    assert_eq!(names, [platform.keyring.public_key(Party::Team("uid-data"))]);

    platform.server.restart().await.unwrap();
    // Nothing is left on disk of the revoked account: the server would look for it at every health check.
    assert!(healthz(platform.server.monitor_port()).await.contains("\"ok\""));
    let log = platform.server.log_tail();
    assert!(!log.contains("fetching jwt timed out"), "{log}");
    publish_all(&platform.bus, &[fact_of("data", "goes-on", 2)]).await;
    let data = platform.team_client("data").await;
    assert_eq!(subjects(&data, 2).await.len(), 2, "accounts and feeds survive the server");
}
