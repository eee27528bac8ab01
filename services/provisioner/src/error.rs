//! Why a look at a request could not finish. The class decides when it is looked at again.

use std::time::Duration;

use mlp_bus::RelayError;
use mlp_model::{Class, Classified, OutboxFull};

/// How long to wait for the broker to take facts.
const OUTBOX_DELAY: Duration = Duration::from_secs(5);

/// Why a look at a request could not finish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused a call or did not answer.
    #[error(transparent)]
    Kubernetes(#[from] mlp_reconcile::Error),
    /// Facts are recorded, and the broker does not take them.
    #[error("facts about the request wait for the broker")]
    Broker(#[from] RelayError<mlp_reconcile::Error>),
    /// Too many facts wait for the broker.
    #[error(transparent)]
    OutboxFull(#[from] OutboxFull),
    /// AWS refused a call or did not answer, or there are no credentials for it.
    #[error(transparent)]
    Aws(#[from] crate::provider::aws::Error),
}

impl Error {
    /// Whether the provider said it: then it belongs on the request, whatever its class.
    pub const fn is_providers(&self) -> bool {
        matches!(self, Self::Aws(_))
    }
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Self::Kubernetes(error) => error.class(),
            Self::Broker(error) => error.class(),
            Self::OutboxFull(_) => Class::Waiting(OUTBOX_DELAY),
            Self::Aws(error) => error.class(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Kubernetes(error) => error.reason(),
            Self::Broker(error) => error.reason(),
            Self::OutboxFull(_) => "OutboxFull",
            Self::Aws(error) => error.reason(),
        }
    }
}
