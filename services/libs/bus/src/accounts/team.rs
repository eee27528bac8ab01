//! Making and taking away a team's account on a running broker.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, push};
use async_nats::jetstream::stream::{
    Config, External, Source as StreamSource, StorageType, StreamConsumerSource,
};
use async_nats::jetstream::{self, Context as JetStream};
use async_nats::{Client, ConnectOptions};
use mlp_model::name::PLATFORM;
use mlp_model::{Class, Classified, Context, Secret, TeamName};
use serde::Deserialize;
use tracing::info;

use super::claims::TeamLimits;
use super::jwt::claims_of;
use super::keyring::{Keyring, Party};
use super::{API_PREFIX, EVENTS, deliver_subject};
use crate::connection::REQUEST_TIMEOUT;
use crate::error::Source;

/// How long a team keeps its copies of facts.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// Unconfirmed messages on the way to a team's stream.
const MAX_ACK_PENDING: i64 = 512;
/// The user under which we act in accounts.
const ACTING: &str = "mlp-accounts";

/// A team that has an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// uid of its Team resource.
    pub uid: String,
    /// Its name, as in subjects.
    pub name: TeamName,
    /// What its account may use.
    pub limits: TeamLimits,
    /// Copies of its stream: 1 embedded, 3 elsewhere.
    pub replicas: usize,
}

/// Why an account was not made or taken away. Both may be repeated.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The broker was not reached as the account.
    #[error("cannot connect to the event broker as account {account}; does it run with this operator?")]
    Connect {
        /// Which account.
        account: String,
        /// What the client said.
        source: Source,
    },
    /// The broker did not take the account's token.
    #[error("the event broker refuses account {account}: {message}")]
    Refused {
        /// Which account.
        account: String,
        /// What the server said.
        message: String,
    },
    /// A step on the broker failed.
    #[error("cannot {step} for account {account}")]
    Step {
        /// Which step.
        step: &'static str,
        /// Which account.
        account: String,
        /// What the client said.
        source: Source,
    },
}

impl Classified for AccountsError {
    fn class(&self) -> Class {
        match self {
            Self::Refused { .. } => Class::Terminal,
            Self::Connect { .. } | Self::Step { .. } => Class::Transient,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "BrokerUnreachable",
            Self::Refused { .. } => "AccountRefused",
            Self::Step { .. } => "AccountStepFailed",
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Option<AnswerData>,
    error: Option<AnswerError>,
}

#[derive(Deserialize)]
struct AnswerData {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct AnswerError {
    #[serde(default)]
    description: String,
}

/// Makes and takes away teams' accounts.
#[derive(Debug)]
pub struct TeamAccounts {
    keyring: Keyring,
    servers: Vec<String>,
    system: Client,
    platform: JetStream,
}

impl TeamAccounts {
    /// Connects to the system and to the platform account.
    ///
    /// # Errors
    /// [`AccountsError::Connect`] when the servers do not answer or have another operator.
    pub async fn connect(servers: Vec<String>, keyring: Keyring) -> Result<Self, AccountsError> {
        let system = join(&servers, &keyring, Party::System).await?;
        let platform = jetstream::new(join(&servers, &keyring, Party::Platform).await?);
        Ok(Self { keyring, servers, system, platform })
    }

    /// Makes a team's account, its consumers on the platform's streams and its stream; repeating
    /// it changes nothing. Facts from before are copied too, oldest first.
    ///
    /// # Errors
    /// [`AccountsError`] names the step; repeat it.
    pub async fn ensure(&self, team: &Team) -> Result<(), AccountsError> {
        let account = self.keyring.public_key(Party::Team(&team.uid));
        let token = self.keyring.team_account_token(&team.uid, team.name.as_str(), &team.limits, now());
        if !self.is_known(&account, &token).await {
            self.push("$SYS.REQ.CLAIMS.UPDATE", &account, token).await?;
            info!(team = team.name.as_str(), account, "team's event account pushed");
        }
        for context in Context::ALL {
            let stream = context.stream();
            let made = self.platform.create_consumer_on_stream(consumer(team, &account, context), stream);
            made.await.map_err(|error| step("make the consumer", &account, error))?;
        }
        let client = join(&self.servers, &self.keyring, Party::Team(&team.uid)).await?;
        let own = jetstream::new(client.clone());
        let wanted = stream(team, &account);
        let live = own.get_stream(EVENTS).await.ok();
        if !live.is_some_and(|live| is_as_wanted(&live.cached_info().config, &wanted)) {
            let made = own.create_or_update_stream(wanted).await;
            made.map_err(|error| step("make the stream", &account, error))?;
        }
        let _closed = client.drain().await;
        Ok(())
    }

    /// Whether the broker has the account with the same claims, whenever they were signed.
    async fn is_known(&self, account: &str, token: &str) -> bool {
        let subject = format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP");
        let Ok(known) = self.system.request(subject, "".into()).await else { return false };
        let known = std::str::from_utf8(&known.payload).ok().and_then(claims_of);
        known.is_some() && known == claims_of(token)
    }

    /// Takes a team's account away: its users are cut off first, then its copies, its consumers and
    /// its token go. Repeating it is harmless.
    ///
    /// # Errors
    /// [`AccountsError`] names the step; repeat it.
    pub async fn revoke(&self, team: &Team) -> Result<(), AccountsError> {
        let account = self.keyring.public_key(Party::Team(&team.uid));
        if let Ok(client) = join(&self.servers, &self.keyring, Party::Team(&team.uid)).await {
            let gone = jetstream::new(client.clone()).delete_stream(EVENTS).await;
            let absent = |error: &jetstream::context::DeleteStreamError| matches!(error.kind(), jetstream::context::DeleteStreamErrorKind::JetStream(said) if said.code() == 404);
            if let Err(error) = gone
                && !absent(&error)
            {
                return Err(step("remove the stream", &account, error));
            }
            let _closed = client.drain().await;
        }
        let closed = self.keyring.closed_account_token(&team.uid, team.name.as_str(), now());
        self.push("$SYS.REQ.CLAIMS.UPDATE", &account, closed).await?;
        for context in Context::ALL {
            let gone = self.platform.delete_consumer_from_stream(&account, context.stream()).await;
            if let Err(error) = gone
                && !matches!(error.kind(), jetstream::stream::ConsumerErrorKind::JetStream(said) if said.code() == 404)
            {
                return Err(step("remove the consumer", &account, error));
            }
        }
        self.purge(&account).await?;
        let token = self.keyring.delete_token(std::slice::from_ref(&account), now());
        self.push("$SYS.REQ.CLAIMS.DELETE", &account, token).await?;
        info!(team = team.name.as_str(), account, "team's event account taken away");
        Ok(())
    }

    /// Removes what a server keeps on disk of an account. What stays of one that is unknown is looked up
    /// in vain, for two seconds each, at every start and every `/healthz` (nats-server 2.15, monitor.go).
    /// A cluster removes the streams only; its folders stay until the server's volume goes.
    async fn purge(&self, account: &str) -> Result<(), AccountsError> {
        let subject = format!("$JS.API.ACCOUNT.PURGE.{account}");
        let answer = self.ask("purge the account", subject, account, Vec::new()).await?;
        match answer.error {
            // A cluster that is choosing a leader, or a disk that is busy: it passes.
            Some(error) => Err(step("purge the account", account, error.description)),
            None => Ok(()),
        }
    }

    /// Asks the servers as the system account; `what` is done to `account`.
    async fn ask(
        &self,
        what: &'static str,
        subject: String,
        account: &str,
        body: Vec<u8>,
    ) -> Result<Answer, AccountsError> {
        let asked = self.system.request(subject, body.into()).await;
        let reply = asked.map_err(|error| step(what, account, error))?;
        serde_json::from_slice(&reply.payload).map_err(|error| step("read the answer", account, error))
    }

    async fn push(&self, subject: &'static str, account: &str, token: String) -> Result<(), AccountsError> {
        let answer = self.ask("push the token", subject.to_owned(), account, token.into_bytes()).await?;
        let refused = |message: String| AccountsError::Refused { account: account.to_owned(), message };
        match answer {
            Answer { error: Some(error), .. } => Err(refused(error.description)),
            Answer { data: Some(data), .. } if data.code != 200 => Err(refused(data.message)),
            _ => Ok(()),
        }
    }
}

fn step(step: &'static str, account: &str, source: impl Into<Source>) -> AccountsError {
    AccountsError::Step { step, account: account.to_owned(), source: source.into() }
}

async fn join(servers: &[String], keyring: &Keyring, party: Party<'_>) -> Result<Client, AccountsError> {
    let credentials: Secret<String> = keyring.service_credentials(party, ACTING, now());
    let failed = |source: Source| AccountsError::Connect { account: party.to_string(), source };
    let options =
        ConnectOptions::with_credentials(credentials.expose()).map_err(|error| failed(error.into()))?;
    let options = options.name(ACTING).request_timeout(Some(REQUEST_TIMEOUT));
    options.connect(servers.to_vec()).await.map_err(|error| failed(error.into()))
}

/// The consumer that feeds a team's stream: made by us, named by its account.
fn consumer(team: &Team, account: &str, context: Context) -> push::Config {
    let subjects = |team: &str| format!("mlp.{}.*.*.{team}.*", context.as_str());
    push::Config {
        durable_name: Some(account.to_owned()),
        name: Some(account.to_owned()),
        description: Some(format!("Feeds the stream of team {}", team.name)),
        deliver_subject: deliver_subject(account, context),
        ack_policy: AckPolicy::FlowControl,
        max_ack_pending: MAX_ACK_PENDING,
        flow_control: true,
        idle_heartbeat: Duration::from_secs(1),
        filter_subjects: vec![subjects(team.name.as_str()), subjects(PLATFORM)],
        ..Default::default()
    }
}

fn stream(team: &Team, account: &str) -> Config {
    let source = |context: Context| StreamSource {
        name: context.stream().to_owned(),
        external: Some(External { api_prefix: API_PREFIX.to_owned(), delivery_prefix: None }),
        consumer: Some(StreamConsumerSource::new(account, deliver_subject(account, context))),
        ..Default::default()
    };
    let copies = i64::try_from(team.replicas).unwrap_or(1).max(1);
    Config {
        name: EVENTS.to_owned(),
        description: Some("Facts of this team and of the platform".to_owned()),
        sources: Some(Context::ALL.into_iter().map(source).collect()),
        storage: StorageType::File,
        num_replicas: team.replicas,
        max_age: KEPT,
        max_bytes: team.limits.disk_bytes / copies,
        ..Default::default()
    }
}

fn is_as_wanted(live: &Config, wanted: &Config) -> bool {
    let feeds = |config: &Config| -> Vec<_> {
        let sources = config.sources.iter().flatten();
        sources
            .map(|source| (source.name.clone(), source.consumer.as_ref().map(|c| c.deliver_subject.clone())))
            .collect()
    };
    feeds(live) == feeds(wanted)
        && live.num_replicas == wanted.num_replicas
        && (live.max_age, live.max_bytes) == (wanted.max_age, wanted.max_bytes)
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
