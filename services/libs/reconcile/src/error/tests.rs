use kube::core::response::{StatusCause, StatusDetails};

use super::*;

fn status(code: u16, reason: &str, message: &str) -> Status {
    Status::failure(message, reason).with_code(code)
}

fn with_cause(status: Status, reason: &str, field: &str) -> Status {
    let cause = StatusCause { reason: reason.into(), message: "said so".into(), field: field.into() };
    status.with_details(StatusDetails {
        name: String::new(),
        group: String::new(),
        kind: String::new(),
        uid: String::new(),
        causes: vec![cause],
        retry_after_seconds: 0,
    })
}

#[test]
fn every_kind_of_refusal_has_its_class_and_reason() {
    for (status, class, reason) in [
        (status(401, "Unauthorized", ""), Class::Transient, "Unauthorized"),
        (status(403, "Forbidden", "no"), Class::Terminal, "Forbidden"),
        (status(403, "Forbidden", "exceeded quota: team"), Class::Waiting(QUOTA_DELAY), "QuotaExceeded"),
        (
            with_cause(status(403, "Forbidden", "no"), "NamespaceTerminating", "metadata.namespace"),
            Class::Waiting(TERMINATING_DELAY),
            "NamespaceTerminating",
        ),
        (status(404, "NotFound", ""), Class::Waiting(NOT_FOUND_DELAY), "NotFound"),
        (status(409, "AlreadyExists", ""), Class::Transient, "AlreadyExists"),
        (status(409, "Conflict", ""), Class::Transient, "Conflict"),
        (status(410, "Expired", ""), Class::Transient, "Expired"),
        (status(422, "Invalid", ""), Class::Terminal, "Invalid"),
        (
            with_cause(status(422, "Invalid", "immutable"), "FieldValueInvalid", "metadata.uid"),
            Class::Transient,
            "Recreated",
        ),
        (status(429, "TooManyRequests", ""), Class::Transient, "Throttled"),
        (status(400, "BadRequest", ""), Class::Terminal, "BadRequest"),
        (status(415, "UnsupportedMediaType", ""), Class::Terminal, "BadRequest"),
        (status(500, "InternalError", ""), Class::Transient, "ServerError"),
        (status(503, "ServiceUnavailable", ""), Class::Transient, "ServerError"),
        (status(0, "", ""), Class::Transient, "ServerError"),
    ] {
        assert_eq!(classify_status(&status), (class, reason), "{status:?}");
    }
}

#[test]
fn an_invalid_object_names_its_field() {
    let status =
        with_cause(status(422, "Invalid", "spec.quota: must be positive"), "FieldValueInvalid", "spec.quota");
    let error = Error::of("apply Team ml", kube::Error::Api(status.boxed()));
    assert_eq!(error.field(), Some("spec.quota"));
    assert_eq!(error.to_string(), "cannot apply Team ml: spec.quota: must be positive");
    assert_eq!(error.class(), Class::Terminal);
}

#[test]
fn a_lost_connection_is_transient_and_printed_once() {
    let lost = kube::Error::Service("connection reset".into());
    let error = Error::of("get Team ml", lost);
    assert_eq!((error.class(), error.reason()), (Class::Transient, "Unreachable"));
    assert_eq!(chain(&error), "cannot get Team ml: ServiceError: connection reset");
}
