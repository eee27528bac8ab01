//! What can go wrong between us and AWS.

use std::time::Duration;

use aws_sdk_rds::config::http::HttpResponse;
use aws_sdk_rds::error::{ProvideErrorMetadata, SdkError};
use mlp_aws::{Unconfigured, chain};
use mlp_model::{Class, Classified, Secret};

use crate::domain::aws::Refusal;
use crate::domain::aws::code::{self, Meaning};

/// Why AWS could not be asked, or refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Region or credentials are missing.
    #[error(transparent)]
    Unconfigured(#[from] Unconfigured),
    /// The wish cannot be met in AWS.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// AWS refused a call, or did not answer it.
    #[error("{operation}: {message}")]
    Call {
        /// For example `rds:CreateDBInstance`.
        operation: &'static str,
        /// AWS' code, where there was an answer.
        code: Option<String>,
        /// AWS' words, or what failed on the way.
        message: String,
        /// What follows from it.
        meaning: Meaning,
    },
}

/// Credentials may come without a change of the request.
const CREDENTIALS_DELAY: Duration = Duration::from_secs(60);

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Self::Unconfigured(_) => Class::Waiting(CREDENTIALS_DELAY),
            Self::Refused(refusal) => refusal.class(),
            Self::Call { meaning, .. } => meaning.class,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Unconfigured(Unconfigured::Region) => "AwsRegionMissing",
            Self::Unconfigured(Unconfigured::Credentials { .. }) => "AwsCredentialsMissing",
            Self::Refused(refusal) => refusal.reason(),
            Self::Call { meaning, .. } => meaning.reason,
        }
    }
}

impl Error {
    /// The error of a call.
    pub(super) fn call<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let code = error.code().map(str::to_owned);
        let message = match (error.message(), &code) {
            (Some(message), Some(code)) => format!("{message} ({code})"),
            (_, Some(code)) => code.clone(),
            (_, None) => chain(error),
        };
        let http_status = error.raw_response().map(|response| response.status().as_u16());
        let meaning = code::meaning(code.as_deref(), http_status, &message);
        Self::Call { operation, code, message, meaning }
    }

    /// The same without `password`, should AWS have repeated it.
    pub(super) fn without(self, password: &Secret<String>) -> Self {
        match self {
            Self::Call { operation, code, message, meaning } => {
                let message = message.replace(password.expose(), "[redacted]");
                Self::Call { operation, code, message, meaning }
            }
            other => other,
        }
    }

    /// Whether AWS found the change already made.
    pub(super) fn is_already_so(&self) -> bool {
        matches!(self, Self::Call { code, message, .. } if code::is_already_so(code.as_deref(), message))
    }

    /// Whether AWS found the deletion already begun.
    pub(super) fn is_already_leaving(&self) -> bool {
        matches!(self, Self::Call { code, message, .. } if code::is_already_leaving(code.as_deref(), message))
    }
}
