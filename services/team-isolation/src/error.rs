//! Why a look at a team could not finish. The class decides when it is looked at again.

use std::time::Duration;

use mlp_bus::RelayError;
use mlp_model::{Class, Classified, OutboxFull};

/// How long to wait for the cache to show what the API server said.
const CACHE_DELAY: Duration = Duration::from_secs(1);
/// How long to wait for the broker to take facts.
const OUTBOX_DELAY: Duration = Duration::from_secs(5);

/// Why a look at a team could not finish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused a call or did not answer.
    #[error(transparent)]
    Kubernetes(#[from] mlp_reconcile::Error),
    /// Facts are recorded, and the broker does not take them.
    #[error("facts about the team wait for the broker")]
    Broker(#[from] RelayError<mlp_reconcile::Error>),
    /// The team's account on the broker could not be taken away.
    #[error(transparent)]
    Account(#[from] mlp_bus::accounts::AccountsError),
    /// A namespace appeared between the look at the cache and its creation.
    #[error("namespace {0} appeared a moment ago; its owner is looked at again")]
    NamespaceAppeared(String),
    /// Too many facts wait for the broker; the team changes again once it has taken them.
    #[error(transparent)]
    OutboxFull(#[from] OutboxFull),
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Self::Kubernetes(error) => error.class(),
            Self::Broker(error) => error.class(),
            Self::Account(error) => error.class(),
            Self::NamespaceAppeared(_) => Class::Waiting(CACHE_DELAY),
            Self::OutboxFull(_) => Class::Waiting(OUTBOX_DELAY),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Kubernetes(error) => error.reason(),
            Self::Broker(error) => error.reason(),
            Self::Account(error) => error.reason(),
            Self::NamespaceAppeared(_) => "NamespaceAppeared",
            Self::OutboxFull(_) => "OutboxFull",
        }
    }
}
