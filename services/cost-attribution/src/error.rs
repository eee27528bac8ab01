//! Why a look could not finish. The class decides when it is tried again.

use mlp_model::{Class, Classified};

use crate::store;

/// Why a look could not finish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused a call or did not answer.
    #[error(transparent)]
    Kubernetes(#[from] mlp_reconcile::Error),
    /// The store refused or did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A message of a known type does not hold that type.
    #[error("the message is no {message_type}")]
    Message {
        /// Full protobuf name.
        message_type: String,
        /// The decoder's error.
        #[source]
        source: prost::DecodeError,
    },
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Self::Kubernetes(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Message { .. } => Class::Terminal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Kubernetes(error) => error.reason(),
            Self::Store(error) => error.reason(),
            Self::Message { .. } => "MalformedMessage",
        }
    }
}
