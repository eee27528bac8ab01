//! Failed calls to the API server, classified.
//!
//! Enters: what was attempted and a `kube::Error`. Leaves: an [`Error`] whose class decides what
//! happens next. The table is in [`classify_status`]; nothing else in the platform reads HTTP codes
//! of the API server.

use std::time::Duration;

use kube::core::Status;
use mlp_model::{Class, Classified};

/// How long to wait for a namespace or kind that is not there yet.
pub const NOT_FOUND_DELAY: Duration = Duration::from_secs(5);
/// How long to wait for an object or its namespace that is being deleted.
pub const TERMINATING_DELAY: Duration = Duration::from_secs(5);
/// How long to wait for room in a quota.
pub const QUOTA_DELAY: Duration = Duration::from_secs(30);

/// Reason of a write that named a version which is not the newest.
pub const CONFLICT: &str = "Conflict";

/// Why a call to the API server had no effect.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server answered with an error status.
    #[error("cannot {action}: {message}")]
    Refused {
        /// What was attempted, for example `apply ConfigMap ml-team/settings`.
        action: String,
        /// HTTP code of the answer.
        code: u16,
        /// CamelCase reason, see [`classify_status`].
        reason: &'static str,
        /// The server's words.
        message: String,
        /// Path of the offending field where the server named one.
        field: Option<String>,
        /// What to do about it.
        class: Class,
    },
    /// No answer that could be read: network, TLS, credentials, encoding.
    #[error("cannot {action}")]
    Call {
        /// What was attempted.
        action: String,
        /// CamelCase reason.
        reason: &'static str,
        /// What to do about it.
        class: Class,
        /// The client's error.
        #[source]
        source: Box<kube::Error>,
    },
    /// The object exists and is somebody else's; it was left as it is.
    #[error("cannot {action}: it exists and belongs to {owner}; delete or rename it, or label it `{label}`")]
    OwnedByAnother {
        /// What was attempted.
        action: String,
        /// Who owns it, as far as labels and field managers tell.
        owner: String,
        /// The label that would make it ours, `key=value`.
        label: String,
    },
    /// The object exists and is being deleted; it can be made again once it is gone.
    #[error("cannot {action}: it is being deleted")]
    Terminating {
        /// What was attempted.
        action: String,
    },
    /// The object given to this crate lacks a field without which the call cannot be made.
    #[error("cannot {action}: `{field}` is not set")]
    Incomplete {
        /// What was attempted.
        action: String,
        /// Path of the missing field.
        field: &'static str,
    },
    /// The object given to this crate cannot be written as JSON.
    #[error("cannot {action}: the object has no JSON form")]
    Encode {
        /// What was attempted.
        action: String,
        /// The encoder's error.
        #[source]
        source: serde_json::Error,
    },
}

impl Error {
    /// Classifies `source`, which ended the attempt to `action`.
    pub fn of(action: impl Into<String>, source: kube::Error) -> Self {
        let action = action.into();
        match source {
            kube::Error::Api(status) => {
                let (class, reason) = classify_status(&status);
                let field = field_of(&status);
                let message = if status.message.is_empty() { status.reason } else { status.message };
                Self::Refused { action, code: status.code, reason, message, field, class }
            }
            other => {
                let (class, reason) = classify_call(&other);
                Self::Call { action, reason, class, source: Box::new(other) }
            }
        }
    }

    /// Whether the API server said that the object (or its namespace or kind) does not exist.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }

    /// Whether somebody else changed the object first.
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { code: 409, .. })
    }

    /// Path of the field that the API server refused, where it named one.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Refused { field, .. } => field.as_deref(),
            Self::Incomplete { field, .. } => Some(field),
            _ => None,
        }
    }
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Self::Refused { class, .. } | Self::Call { class, .. } => *class,
            Self::Terminating { .. } => Class::Waiting(TERMINATING_DELAY),
            Self::OwnedByAnother { .. } | Self::Incomplete { .. } | Self::Encode { .. } => Class::Terminal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Refused { reason, .. } | Self::Call { reason, .. } => reason,
            Self::OwnedByAnother { .. } => "OwnedByAnother",
            Self::Terminating { .. } => "Terminating",
            Self::Incomplete { .. } => "IncompleteObject",
            Self::Encode { .. } => "EncodingFailed",
        }
    }
}

/// Class and reason of an error status: the one table for all services.
pub fn classify_status(status: &Status) -> (Class, &'static str) {
    match status.code {
        401 => (Class::Transient, "Unauthorized"),
        403 if has_cause(status, "NamespaceTerminating") => {
            (Class::Waiting(TERMINATING_DELAY), "NamespaceTerminating")
        }
        403 if status.message.contains("exceeded quota") => (Class::Waiting(QUOTA_DELAY), "QuotaExceeded"),
        403 => (Class::Terminal, "Forbidden"),
        404 => (Class::Waiting(NOT_FOUND_DELAY), "NotFound"),
        408 => (Class::Transient, "Timeout"),
        409 if status.reason == "AlreadyExists" => (Class::Transient, "AlreadyExists"),
        409 if has_cause(status, "FieldManagerConflict") => (Class::Transient, "FieldManagerConflict"),
        409 => (Class::Transient, CONFLICT),
        410 => (Class::Transient, "Expired"),
        // Our fence against an object that was deleted and made again meanwhile.
        422 if field_of(status).as_deref() == Some("metadata.uid") => (Class::Transient, "Recreated"),
        422 => (Class::Terminal, "Invalid"),
        429 => (Class::Transient, "Throttled"),
        400..=499 => (Class::Terminal, "BadRequest"),
        _ => (Class::Transient, "ServerError"),
    }
}

fn classify_call(error: &kube::Error) -> (Class, &'static str) {
    match error {
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => {
            (Class::Transient, "Unreachable")
        }
        kube::Error::Auth(_) => (Class::Transient, "CredentialsFailed"),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => (Class::Terminal, "UndecodableAnswer"),
        kube::Error::BuildRequest(_) | kube::Error::HttpError(_) => (Class::Terminal, "InvalidRequest"),
        _ => (Class::Transient, "ClientFailed"),
    }
}

fn has_cause(status: &Status, reason: &str) -> bool {
    status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == reason)
}

fn field_of(status: &Status) -> Option<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.map(|cause| &cause.field).find(|field| !field.is_empty()).cloned()
}

/// The error and its sources as one line, each level once: what a condition's message or a log line
/// should carry.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let level = cause.to_string();
        // kube's errors repeat their sources; the chain should not.
        if !text.contains(&level) {
            text.push_str(": ");
            text.push_str(&level);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
