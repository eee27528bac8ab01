//! Brings streams and consumers to their definition, idempotently; deletes nothing.
//!
//! What equals the definition is not written. A setting that the server cannot change in place is
//! a clear error that names it, and the operator decides.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, ConsumerErrorKind, RetentionPolicy, StorageType};
use tracing::info;

use crate::connection::Bus;
use crate::error::{EnsureError, Source};
use crate::topology::{ConsumerSpec, Start, StreamSpec};

/// The server's own delivery limit, in multiples of ours: deliveries that were put back for no
/// fault of the message count there too.
const SERVER_LIMIT_FACTOR: u64 = 10;

/// After how long a stream that the server could not make is tried again.
const CREATE_AGAIN: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(900),
    Duration::from_millis(1_500),
];

/// What it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// It was as defined.
    Unchanged,
    /// It was absent.
    Created,
    /// It differed.
    Updated,
}

impl Bus {
    /// Creates or updates streams.
    ///
    /// # Errors
    /// [`EnsureError`] names the first stream that cannot be brought to its definition.
    pub async fn ensure_streams(&self, specs: &[StreamSpec]) -> Result<Vec<Ensured>, EnsureError> {
        let mut ensured = Vec::with_capacity(specs.len());
        for spec in specs {
            ensured.push(stream(self, spec).await?);
        }
        Ok(ensured)
    }

    /// Creates or updates consumers. [`Bus::consume`] does it for its own.
    ///
    /// # Errors
    /// [`EnsureError`] names the first consumer that cannot be brought to its definition.
    pub async fn ensure_consumers(&self, specs: &[ConsumerSpec]) -> Result<Vec<Ensured>, EnsureError> {
        let mut ensured = Vec::with_capacity(specs.len());
        for spec in specs {
            ensured.push(consumer(self, spec).await?);
        }
        Ok(ensured)
    }
}

async fn stream(bus: &Bus, spec: &StreamSpec) -> Result<Ensured, EnsureError> {
    spec.check()?;
    let what = format!("stream {}", spec.name);
    let live = match bus.jetstream().get_stream(&spec.name).await {
        Ok(stream) => Some(stream.cached_info().config.clone()),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(said) if said.code() == 404 => None,
            _ => return Err(EnsureError::Unavailable { what, source: error.into() }),
        },
    };
    let Some(live) = live else {
        return create(bus, spec, &what).await;
    };
    check_fixed(&what, &live)?;
    let wanted = wanted(spec, live.clone());
    if wanted == live {
        return Ok(Ensured::Unchanged);
    }
    bus.jetstream().update_stream(wanted).await.map_err(|error| stream_failed(&what, error))?;
    info!(stream = spec.name, "stream updated");
    Ok(Ensured::Updated)
}

/// Makes a stream. A new server may fail at it for a moment: the folder of an account is made by the first of its
/// streams, and five services ask at once.
async fn create(bus: &Bus, spec: &StreamSpec, what: &str) -> Result<Ensured, EnsureError> {
    let mut delays = CREATE_AGAIN.into_iter();
    loop {
        let created = bus.jetstream().create_stream(wanted(spec, Config::default())).await;
        let Err(error) = created else {
            info!(stream = spec.name, "stream created");
            return Ok(Ensured::Created);
        };
        match delays.next().filter(|_| is_servers_own(&error.kind())) {
            Some(delay) => tokio::time::sleep(delay).await,
            None => return Err(stream_failed(what, error)),
        }
    }
}

/// The definition laid over `base`; what it does not speak of stays.
fn wanted(spec: &StreamSpec, base: Config) -> Config {
    Config {
        name: spec.name.clone(),
        description: Some(spec.description.clone()),
        subjects: spec.subjects.clone(),
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: spec.replicas,
        max_age: spec.max_age,
        max_bytes: spec.max_bytes,
        max_message_size: spec.max_message_bytes,
        duplicate_window: spec.duplicate_window,
        ..base
    }
}

fn check_fixed(what: &str, live: &Config) -> Result<(), EnsureError> {
    let conflict = |setting, live: String, wanted: &str| {
        Err(EnsureError::Conflict { what: what.to_owned(), setting, live, wanted: wanted.to_owned() })
    };
    if live.storage != StorageType::File {
        return conflict("storage", format!("{:?}", live.storage).to_lowercase(), "file");
    }
    if live.retention != RetentionPolicy::Limits {
        return conflict("retention", format!("{:?}", live.retention).to_lowercase(), "limits");
    }
    if live.mirror.is_some() {
        return conflict("mirror", "set".to_owned(), "none");
    }
    Ok(())
}

/// Creates or updates a durable pull consumer.
pub(crate) async fn consumer(bus: &Bus, spec: &ConsumerSpec) -> Result<Ensured, EnsureError> {
    spec.check()?;
    durable(bus, spec, consumer_config(spec, spec.subjects())).await
}

/// The same for the reader of advisories, which has no redrive subject.
pub(crate) async fn advisory_consumer(bus: &Bus, spec: &ConsumerSpec) -> Result<Ensured, EnsureError> {
    durable(bus, spec, consumer_config(spec, spec.filters.clone())).await
}

async fn durable(bus: &Bus, spec: &ConsumerSpec, wanted: pull::Config) -> Result<Ensured, EnsureError> {
    let what = format!("consumer {} on stream {}", spec.durable, spec.stream);
    let unavailable = |source: Source| EnsureError::Unavailable { what: what.clone(), source };
    let jetstream = bus.jetstream();
    let stream =
        jetstream.get_stream_no_info(&spec.stream).await.map_err(|error| unavailable(error.into()))?;
    let live = match stream.consumer_info(&spec.durable).await {
        Ok(info) => Some(info.config),
        Err(error) => match error.kind() {
            async_nats::jetstream::context::ConsumerInfoErrorKind::NotFound => None,
            _ => return Err(unavailable(error.into())),
        },
    };
    let ensured = match &live {
        None => Ensured::Created,
        Some(live) => {
            check_fixed_consumer(&what, live, &wanted)?;
            if is_as_wanted(live, &wanted) {
                return Ok(Ensured::Unchanged);
            }
            Ensured::Updated
        }
    };
    stream.create_consumer(wanted).await.map_err(|error| match error.kind() {
        ConsumerErrorKind::JetStream(said) if said.code() < 500 && said.code() != 404 => {
            EnsureError::Refused { what: what.clone(), source: error.into() }
        }
        _ => unavailable(error.into()),
    })?;
    info!(durable = spec.durable, stream = spec.stream, ?ensured, "consumer ensured");
    Ok(ensured)
}

fn consumer_config(spec: &ConsumerSpec, subjects: Vec<String>) -> pull::Config {
    // At the server these delays run from a delivery that nobody answers; ours run from a failure. They
    // are all alike: the server dates a NAK's delay back by ackWait alone and then waits for the entry
    // of its count (nats-server 2.15, checkPending), so a longer entry would stretch every NAK by it.
    let backoff = vec![spec.ack_wait; spec.back_off.len()];
    let limit = spec.max_deliver.saturating_mul(SERVER_LIMIT_FACTOR).max(backoff.len() as u64 + 1);
    pull::Config {
        durable_name: Some(spec.durable.clone()),
        name: Some(spec.durable.clone()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: spec.ack_wait,
        max_deliver: i64::try_from(limit).unwrap_or(i64::MAX),
        max_ack_pending: spec.max_ack_pending,
        filter_subjects: subjects,
        deliver_policy: match spec.start {
            Start::All => DeliverPolicy::All,
            Start::New => DeliverPolicy::New,
        },
        backoff,
        ..Default::default()
    }
}

fn check_fixed_consumer(
    what: &str,
    live: &async_nats::jetstream::consumer::Config,
    wanted: &pull::Config,
) -> Result<(), EnsureError> {
    let conflict = |setting, live: String, wanted: String| {
        Err(EnsureError::Conflict { what: what.to_owned(), setting, live, wanted })
    };
    if live.deliver_subject.is_some() {
        return conflict("delivery", "push".to_owned(), "pull".to_owned());
    }
    if live.ack_policy != wanted.ack_policy {
        return conflict("ackPolicy", format!("{:?}", live.ack_policy), format!("{:?}", wanted.ack_policy));
    }
    if live.deliver_policy != wanted.deliver_policy {
        let (live, wanted) = (live.deliver_policy, wanted.deliver_policy);
        return conflict("start", format!("{live:?}"), format!("{wanted:?}"));
    }
    Ok(())
}

fn is_as_wanted(live: &async_nats::jetstream::consumer::Config, wanted: &pull::Config) -> bool {
    let mut subjects = live.filter_subjects.clone();
    if !live.filter_subject.is_empty() {
        subjects.push(live.filter_subject.clone());
    }
    subjects == wanted.filter_subjects
        && live.backoff == wanted.backoff
        && live.max_deliver == wanted.max_deliver
        && live.max_ack_pending == wanted.max_ack_pending
}

/// The server said no; or it did not answer.
fn stream_failed(what: &str, error: CreateStreamError) -> EnsureError {
    let kind = error.kind();
    let (what, source) = (what.to_owned(), error.into());
    match kind {
        CreateStreamErrorKind::TimedOut
        | CreateStreamErrorKind::Response
        | CreateStreamErrorKind::ResponseParse
        | CreateStreamErrorKind::JetStreamUnavailable => EnsureError::Unavailable { what, source },
        failed if is_servers_own(&failed) => EnsureError::Unavailable { what, source },
        _ => EnsureError::Refused { what, source },
    }
}

/// The server could not, and no fault of the definition kept it from it.
fn is_servers_own(kind: &CreateStreamErrorKind) -> bool {
    matches!(kind, CreateStreamErrorKind::JetStream(said) if said.code() >= 500 && !is_placement(said))
}

/// Too few servers for the replicas: waiting does not make servers.
fn is_placement(said: &async_nats::jetstream::Error) -> bool {
    [ErrorCode::CLUSTER_NO_PEERS, ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED].contains(&said.error_code())
}
