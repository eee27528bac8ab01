//! Every way the bus can fail, each with its class.

use std::path::PathBuf;

use mlp_model::{Class, Classified};

/// A cause kept for the chain of errors; its class is decided where it is wrapped.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a connection to the broker was not made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No server was named.
    #[error("no NATS server is named; set the NATS URL, for example nats://127.0.0.1:4222")]
    NoServer,
    /// A server address is not one.
    #[error("`{0}` is not a NATS server address; write nats://host:port")]
    Address(String),
    /// The credentials file cannot be read.
    #[error("cannot read the NATS credentials file {path}; check the path and its permissions")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `MLP_FAULT` names no fault point.
    #[error(transparent)]
    Fault(#[from] crate::fault::UnknownFault),
    /// The server was not reached, or refused us.
    #[error(
        "cannot connect to NATS at {servers}; check that the server runs and that the credentials are its own"
    )]
    Refused {
        /// The addresses tried.
        servers: String,
        /// What the client said.
        source: Source,
    },
}

impl Classified for ConnectError {
    fn class(&self) -> Class {
        match self {
            Self::Refused { .. } => Class::Transient,
            _ => Class::Terminal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NoServer | Self::Address(_) => "InvalidServer",
            Self::Credentials { .. } => "InvalidCredentials",
            Self::Fault(_) => "UnknownFault",
            Self::Refused { .. } => "BrokerUnreachable",
        }
    }
}

/// Why a fact was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The fact cannot be put on the wire as it is.
    #[error("the fact cannot be published")]
    Invalid(#[from] crate::envelope::EncodeError),
    /// The message is larger than the platform allows.
    #[error(
        "the fact has {size} bytes; at most {limit} are allowed, put large data in an object and name it"
    )]
    TooLarge {
        /// Bytes of the protobuf message.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The server's storage is full or failed; nothing was stored. A server that met a write error
    /// answers questions about the stream, but no publish, until it is restarted.
    #[error(
        "the event broker cannot store in stream {stream}: its disk or its limit is full; make room and, where its \
         /healthz reports a write error, restart it; the fact waits meanwhile"
    )]
    StorageFull {
        /// The stream.
        stream: String,
        /// What the server said.
        source: Source,
    },
    /// No acknowledgement came within the time allowed; the fact may or may not be stored.
    #[error(
        "stream {stream} gave no acknowledgement within {seconds} s; is the broker up and the stream created?"
    )]
    NoAck {
        /// The stream.
        stream: String,
        /// How long was tried.
        seconds: u64,
        /// The last attempt's failure.
        source: Source,
    },
    /// The server refused the message for good.
    #[error("stream {stream} refused the fact")]
    Refused {
        /// The stream.
        stream: String,
        /// What the server said.
        source: Source,
    },
}

impl PublishError {
    /// Whether the fact itself is at fault, so that no attempt will ever succeed.
    pub(crate) const fn is_the_facts_own(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::TooLarge { .. })
    }
}

impl Classified for PublishError {
    fn class(&self) -> Class {
        match self {
            Self::Invalid(_) | Self::TooLarge { .. } | Self::Refused { .. } => Class::Terminal,
            Self::StorageFull { .. } | Self::NoAck { .. } => Class::Transient,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "InvalidFact",
            Self::TooLarge { .. } => "FactTooLarge",
            Self::StorageFull { .. } => "BrokerStorageFull",
            Self::NoAck { .. } => "BrokerUnavailable",
            Self::Refused { .. } => "BrokerRefused",
        }
    }
}

/// Why a relay stopped. What it published stays published; the rest waits for the next flush.
#[derive(Debug, thiserror::Error)]
pub enum RelayError<E: Classified + 'static> {
    /// The outbox could not be read or trimmed.
    #[error("the outbox cannot be read or trimmed")]
    Store(#[source] E),
    /// A fact could not be published.
    #[error("the outbox waits for the event broker")]
    Publish(#[from] PublishError),
}

impl<E: Classified + 'static> Classified for RelayError<E> {
    fn class(&self) -> Class {
        match self {
            Self::Store(error) => error.class(),
            Self::Publish(error) => error.class(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Store(error) => error.reason(),
            Self::Publish(error) => error.reason(),
        }
    }
}

/// Why streams or consumers are not as their definition says.
#[derive(Debug, thiserror::Error)]
pub enum EnsureError {
    /// A setting that the server cannot change differs from the definition.
    #[error(
        "{what} exists with {setting} = {live}, the definition says {wanted}; this cannot be changed in place: \
         keep the old value, or move the data and delete it by hand"
    )]
    Conflict {
        /// `stream TEAM` or `consumer x on TEAM`.
        what: String,
        /// The setting.
        setting: &'static str,
        /// As the server has it.
        live: String,
        /// As the definition has it.
        wanted: String,
    },
    /// The definition itself is wrong.
    #[error(transparent)]
    Definition(#[from] crate::topology::DefinitionError),
    /// The server refused the definition.
    #[error("the event broker refuses {what}")]
    Refused {
        /// The stream or consumer.
        what: String,
        /// What the server said.
        source: Source,
    },
    /// The server gave no answer, or what is needed first is not there yet.
    #[error("the event broker cannot serve {what} now; is it up, and are the streams made?")]
    Unavailable {
        /// The stream or consumer.
        what: String,
        /// What the client said.
        source: Source,
    },
}

impl Classified for EnsureError {
    fn class(&self) -> Class {
        match self {
            Self::Unavailable { .. } => Class::Transient,
            _ => Class::Terminal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "StreamConflict",
            Self::Definition(_) => "InvalidStreamDefinition",
            Self::Refused { .. } => "BrokerRefused",
            Self::Unavailable { .. } => "BrokerUnavailable",
        }
    }
}

/// Why a consumer loop ended other than by its shutdown.
#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// The consumer is not as its definition says and cannot be made so.
    #[error(transparent)]
    Ensure(#[from] EnsureError),
    /// A worker of the pool ended unexpectedly.
    #[error("a worker of consumer {0} died; restart the service")]
    WorkerDied(String),
}

impl Classified for ConsumeError {
    fn class(&self) -> Class {
        match self {
            Self::Ensure(error) => error.class(),
            Self::WorkerDied(_) => Class::Transient,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Ensure(error) => error.reason(),
            Self::WorkerDied(_) => "WorkerDied",
        }
    }
}
