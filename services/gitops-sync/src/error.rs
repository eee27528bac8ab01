//! Why a look at an Application could not finish. The class decides when it is looked at again.

use std::time::Duration;

use mlp_bus::RelayError;
use mlp_model::{Class, Classified, OutboxFull};

/// How long to wait for the broker to take facts.
const OUTBOX_DELAY: Duration = Duration::from_secs(5);

/// Why a look at an Application could not finish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused a call or did not answer.
    #[error(transparent)]
    Kubernetes(#[from] mlp_reconcile::Error),
    /// Facts are recorded, and the broker does not take them.
    #[error("facts about the application wait for the broker")]
    Broker(#[from] RelayError<mlp_reconcile::Error>),
    /// Too many facts wait for the broker; the application changes again once it has taken them.
    #[error(transparent)]
    OutboxFull(#[from] OutboxFull),
}

impl Error {
    /// Classifies a failed call to the API server.
    pub fn call(action: impl Into<String>, mut source: kube::Error) -> Self {
        // A field of the wrong type in an apply is the object's fault, whatever the server takes it for
        // (`failed to create typed patch object`): it does not pass by itself.
        if let kube::Error::Api(status) = &mut source
            && status.code == 500
            && status.message.contains("typed patch object")
        {
            status.code = 422;
        }
        Self::Kubernetes(mlp_reconcile::Error::of(action, source))
    }
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Self::Kubernetes(error) => error.class(),
            Self::Broker(error) => error.class(),
            Self::OutboxFull(_) => Class::Waiting(OUTBOX_DELAY),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Kubernetes(error) => error.reason(),
            Self::Broker(error) => error.reason(),
            Self::OutboxFull(_) => "OutboxFull",
        }
    }
}
