//! The one mapping from an error's class to a gRPC status with details.

use std::collections::HashMap;
use std::time::Duration;

use mlp_model::{Class, Classified};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::error::chain;

/// `ErrorInfo.domain` of everything the platform says.
pub const DOMAIN: &str = mlp_model::labels::GROUP;
/// When to try again after an error that may pass by itself.
pub(super) const TRANSIENT_RETRY: Duration = Duration::from_secs(1);
/// Messages are cut here: HTTP/2 headers are bounded.
const MESSAGE_MAX: usize = 1_024;

/// The status of an error: its class gives the code, its reason refines it where gRPC has a word
/// of its own, and `ErrorInfo` carries the reason. Errors that may pass carry `RetryInfo`.
pub fn status_from<E: Classified>(error: &E) -> Status {
    let mut details = details(error.reason());
    match error.class() {
        Class::Waiting(delay) => details.set_retry_info(Some(delay)),
        Class::Transient => details.set_retry_info(Some(TRANSIENT_RETRY)),
        Class::Terminal => &mut details,
    };
    Status::with_error_details(code(error.class(), error.reason()), shortened(&chain(error)), details)
}

/// The closed list: what a class means in gRPC, and the reasons that say it better.
fn code(class: Class, reason: &str) -> Code {
    match (class, reason) {
        (Class::Transient, "Conflict") => Code::Aborted,
        (Class::Waiting(_) | Class::Transient, _) => Code::Unavailable,
        (Class::Terminal, "NotFound") => Code::NotFound,
        (Class::Terminal, "AlreadyExists") => Code::AlreadyExists,
        (Class::Terminal, "Forbidden") => Code::PermissionDenied,
        (Class::Terminal, "Unauthenticated") => Code::Unauthenticated,
        (Class::Terminal, "NotSupported") => Code::Unimplemented,
        (Class::Terminal, "Gone") => Code::OutOfRange,
        (Class::Terminal, "NotAllowedNow") => Code::FailedPrecondition,
        (Class::Terminal, "Internal") => Code::Internal,
        (Class::Terminal, _) => Code::InvalidArgument,
    }
}

/// A request with fields that do not fit: `(field, what to write instead)` for each.
pub fn invalid_fields<F, D>(violations: impl IntoIterator<Item = (F, D)>) -> Status
where
    F: Into<String>,
    D: Into<String>,
{
    let violations: Vec<FieldViolation> =
        violations.into_iter().map(|(field, description)| FieldViolation::new(field, description)).collect();
    let named: Vec<String> = violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect();
    let mut details = details("InvalidRequest");
    details.set_bad_request(violations);
    Status::with_error_details(Code::InvalidArgument, shortened(&named.join("; ")), details)
}

/// A refusal with a reason in `ErrorInfo`.
pub(super) fn refusal(code: Code, reason: &str, message: &str) -> Status {
    Status::with_error_details(code, shortened(message), details(reason))
}

/// A part of the server does not answer; trying again may help.
pub(super) fn unavailable(message: &str) -> Status {
    let mut details = details("Unavailable");
    details.set_retry_info(Some(TRANSIENT_RETRY));
    Status::with_error_details(Code::Unavailable, shortened(message), details)
}

pub(super) fn details(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, HashMap::<String, String>::new())
}

pub(super) fn shortened(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_MAX) {
        Some((end, _)) => format!("{}…", message.get(..end).unwrap_or(message)),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the {0:?} error")]
    struct Sample(Class, &'static str);

    impl Classified for Sample {
        fn class(&self) -> Class {
            self.0
        }

        fn reason(&self) -> &'static str {
            self.1
        }
    }

    #[test]
    fn the_class_gives_the_code_and_retry_info_and_the_reason_refines_it() {
        for (class, reason, code, retry) in [
            (Class::Waiting(Duration::from_secs(7)), "TeamNotReady", Code::Unavailable, Some(7)),
            (Class::Transient, "ApiUnavailable", Code::Unavailable, Some(1)),
            (Class::Transient, "Conflict", Code::Aborted, Some(1)),
            (Class::Terminal, "NotFound", Code::NotFound, None),
            (Class::Terminal, "Forbidden", Code::PermissionDenied, None),
            (Class::Terminal, "QuotaNegative", Code::InvalidArgument, None),
        ] {
            let status = status_from(&Sample(class, reason));
            let details = status.get_error_details();
            assert_eq!(status.code(), code, "{reason}");
            let info = details.error_info().unwrap();
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "mlplatform.dev"));
            let delay = details.retry_info().and_then(|info| info.retry_delay).map(|delay| delay.as_secs());
            assert_eq!(delay, retry, "{reason}");
        }
    }

    #[test]
    fn bad_fields_are_named_in_details_and_message() {
        let status = invalid_fields([("spec.quota.cpu", "write 1 or more")]);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "spec.quota.cpu: write 1 or more");
        let request = status.get_error_details().bad_request().unwrap().clone();
        assert_eq!(request.field_violations[0].field, "spec.quota.cpu");
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let status = status_from(&Long);
        assert!(status.message().chars().count() <= MESSAGE_MAX + 1 && status.message().ends_with('…'));
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{}", "ü".repeat(5_000))]
    struct Long;

    impl Classified for Long {
        fn class(&self) -> Class {
            Class::Terminal
        }

        fn reason(&self) -> &'static str {
            "Long"
        }
    }
}
