//! Why a reconcile could not finish; the class decides when it is tried again.

use mlp_bus::RelayError;
use mlp_model::{Class, Classified, OutboxFull};

/// One variant per step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server was asked to write something and did not.
    #[error("the health of the team cannot be recorded")]
    Record(#[from] mlp_reconcile::Error),
    /// The broker has not taken earlier facts yet.
    #[error("no more health changes can be stated now")]
    Outbox(#[from] OutboxFull),
    /// The broker did not take a fact.
    #[error("facts wait in the outbox")]
    Publish(#[from] RelayError<mlp_reconcile::Error>),
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Self::Record(error) => error.class(),
            Self::Outbox(_) => Class::Transient,
            Self::Publish(error) => error.class(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Record(error) => error.reason(),
            Self::Outbox(_) => "OutboxFull",
            Self::Publish(error) => error.reason(),
        }
    }
}
