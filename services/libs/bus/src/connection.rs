//! One connection to the broker per process.
//!
//! The client reconnects for ever, with jitter, so that a restarted server is not met by all
//! clients at once. Everything here is cheap to clone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{Client, ConnectOptions, Event, jetstream};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::backoff::Backoff;
use crate::error::ConnectError;
use crate::fault::Faults;
use crate::metrics::Metrics;
use crate::publish::Publisher;

/// How long one request to the JetStream API or one acknowledgement may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// A half-open connection is noticed within about two of these.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// How long one TCP and TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Delays between attempts to reconnect.
const RECONNECT: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(4) };

/// How to reach the broker.
#[derive(Clone, Debug)]
pub struct BusOptions {
    /// `nats://host:port`, one or several; an entry may also name several, separated by commas.
    pub servers: Vec<String>,
    /// A `.creds` file with JWT and seed.
    pub credentials: Option<PathBuf>,
    /// CA of the servers, PEM; with it TLS is required.
    pub tls_ca: Option<PathBuf>,
    /// Shown in the server's connection list.
    pub client_name: String,
    /// A private prefix instead of `_INBOX`, so that others cannot read replies.
    pub inbox_prefix: Option<String>,
    /// How long the first connection is tried.
    pub connect_within: Duration,
    /// How long a consumer may finish what it holds when it is told to stop.
    pub drain_within: Duration,
    /// Fault points for tests; unarmed, `MLP_FAULT` is read.
    pub faults: Faults,
}

impl Default for BusOptions {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            credentials: None,
            tls_ca: None,
            client_name: "mlp".to_owned(),
            inbox_prefix: None,
            connect_within: Duration::from_secs(10),
            drain_within: Duration::from_secs(15),
            faults: Faults::default(),
        }
    }
}

/// A connection to the broker.
#[derive(Clone, Debug)]
pub struct Bus {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    jetstream: jetstream::Context,
    faults: Faults,
    metrics: Arc<Metrics>,
    drain_within: Duration,
    connection: watch::Receiver<Connection>,
}

/// What the client last said about its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Connection {
    /// Counts connections; a consumer whose pull was made on an earlier one makes it anew.
    pub(crate) generation: u64,
    closed: bool,
}

impl Bus {
    /// Connects, trying for [`BusOptions::connect_within`].
    ///
    /// # Errors
    /// [`ConnectError`] names the option that is wrong, or the servers not reached.
    pub async fn connect(options: BusOptions) -> Result<Self, ConnectError> {
        let faults = if options.faults.is_armed() { options.faults.clone() } else { Faults::from_env()? };
        let addresses = read_addresses(&options.servers)?;
        let (sender, mut connection) = watch::channel(Connection::default());
        let settings = settings(&options, sender).await?;
        let started = Instant::now();
        let mut attempt = 0;
        let client = loop {
            match settings.clone().connect(addresses.clone()).await {
                Ok(client) => break client,
                Err(source) if started.elapsed() >= options.connect_within => {
                    let servers =
                        options.servers.iter().map(|url| without_user(url)).collect::<Vec<_>>().join(", ");
                    return Err(ConnectError::Refused { servers, source: source.into() });
                }
                Err(error) => {
                    attempt += 1;
                    debug!(%error, attempt, "broker not reached yet");
                    tokio::time::sleep(RECONNECT.delay(attempt)).await;
                }
            }
        };
        // The client tells of its first connection a moment later; consumers count from there.
        let told = connection.wait_for(|state| state.generation > 0);
        drop(tokio::time::timeout(HANDSHAKE_TIMEOUT, told).await);
        let jetstream = jetstream::ContextBuilder::new().timeout(REQUEST_TIMEOUT).build(client.clone());
        let metrics = Arc::new(Metrics::new());
        let drain_within = options.drain_within;
        Ok(Self { inner: Arc::new(Inner { client, jetstream, faults, metrics, drain_within, connection }) })
    }

    /// Whether the connection is up now.
    pub fn is_connected(&self) -> bool {
        let up = self.inner.client.connection_state() == async_nats::connection::State::Connected;
        up && !self.inner.connection.borrow().closed
    }

    /// A publisher on this connection.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.clone())
    }

    /// Flushes what is written and closes the connection; call after the consumers have returned.
    pub async fn drain(&self, deadline: Duration) {
        let mut connection = self.inner.connection.clone();
        let closing = async {
            let _flushed = self.inner.client.flush().await;
            if self.inner.client.drain().await.is_ok() {
                let _closed = connection.wait_for(|state| state.closed).await;
            }
        };
        if tokio::time::timeout(deadline, closing).await.is_err() {
            warn!(seconds = deadline.as_secs(), "connection to the broker not drained in time");
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    pub(crate) fn jetstream(&self) -> &jetstream::Context {
        &self.inner.jetstream
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.metrics
    }

    pub(crate) fn drain_within(&self) -> Duration {
        self.inner.drain_within
    }

    pub(crate) fn connection(&self) -> watch::Receiver<Connection> {
        self.inner.connection.clone()
    }
}

fn read_addresses(servers: &[String]) -> Result<Vec<async_nats::ServerAddr>, ConnectError> {
    if servers.is_empty() {
        return Err(ConnectError::NoServer);
    }
    let parse = |text: &str| text.trim().parse().map_err(|_| ConnectError::Address(without_user(text)));
    servers.iter().flat_map(|servers| servers.split(',')).map(parse).collect()
}

/// A server's address as errors show it: a user and password in it are nobody's to read.
fn without_user(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            if scheme.is_empty() { format!("***@{host}") } else { format!("{scheme}://***@{host}") }
        }
        None => url.to_owned(),
    }
}

async fn settings(
    options: &BusOptions,
    sender: watch::Sender<Connection>,
) -> Result<ConnectOptions, ConnectError> {
    let mut settings = ConnectOptions::new()
        .name(&options.client_name)
        .connection_timeout(HANDSHAKE_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .reconnect_delay_callback(|attempt| RECONNECT.delay(u32::try_from(attempt).unwrap_or(u32::MAX)))
        .event_callback(move |event| {
            report(&event);
            sender.send_modify(|state| match event {
                Event::Connected => state.generation += 1,
                Event::Closed => state.closed = true,
                _ => (),
            });
            std::future::ready(())
        });
    if let Some(path) = &options.credentials {
        let failed = |source| ConnectError::Credentials { path: path.clone(), source };
        let text = tokio::fs::read_to_string(path).await.map_err(failed)?;
        settings = settings.credentials(&text).map_err(failed)?;
    }
    if let Some(path) = &options.tls_ca {
        settings = settings.add_root_certificates(path.clone()).require_tls(true);
    }
    if let Some(prefix) = &options.inbox_prefix {
        settings = settings.custom_inbox_prefix(prefix);
    }
    Ok(settings)
}

fn report(event: &Event) {
    match event {
        Event::Connected => info!("connected to the broker"),
        Event::Disconnected => warn!("disconnected from the broker, reconnecting"),
        Event::SlowConsumer(subscription) => debug!(subscription, "slow subscription"),
        Event::ServerError(error) => warn!(%error, "the broker reports an error"),
        Event::ClientError(error) => warn!(%error, "the broker's client reports an error"),
        other => debug!(event = %other, "broker connection"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_an_error_shows_no_password() {
        for (url, shown) in [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
            ("nats://me:p@ss@host:4222", "nats://***@host:4222"),
            ("me:secret@host", "***@host"),
        ] {
            assert_eq!(without_user(url), shown);
        }
        let error = read_addresses(&["nats://me:secret@:x".to_owned()]).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
