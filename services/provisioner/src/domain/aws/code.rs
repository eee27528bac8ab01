//! What an error code of RDS or ElastiCache means: the one table.

use std::time::Duration;

use mlp_model::Class;

/// How long AWS is left alone with what it is doing.
const BUSY: Duration = Duration::from_secs(20);
/// How long to wait until AWS may have capacity again.
const CAPACITY: Duration = Duration::from_secs(300);

/// What becomes of a call that AWS refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// What the loop does.
    pub class: Class,
    /// CamelCase word for the condition.
    pub reason: &'static str,
}

/// Sorts a refused call by AWS' code, its HTTP status and, for the one code that stands for
/// several things, its message.
pub fn meaning(code: Option<&str>, http_status: Option<u16>, message: &str) -> Meaning {
    let (class, reason) = match code.unwrap_or_default() {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "SlowDown"
        | "TooManyRequestsException" => (Class::Transient, "AwsThrottled"),
        "RequestTimeout"
        | "RequestTimeoutException"
        | "RequestExpired"
        | "InternalFailure"
        | "InternalError"
        | "ServiceUnavailable" => (Class::Transient, "AwsUnavailable"),
        "InvalidParameterCombination" if message.contains("delete protected") => {
            (Class::Waiting(BUSY), "AwsDeletionProtected")
        }
        "InsufficientDBInstanceCapacity"
        | "InsufficientCacheClusterCapacity"
        | "ProvisionedIopsNotAvailableInAZFault" => (Class::Waiting(CAPACITY), "AwsCapacity"),
        code if code.contains("QuotaExceeded")
            || code.contains("QuotaForCustomerExceeded")
            || code == "LimitExceededException" =>
        {
            (Class::Terminal, "AwsQuotaExceeded")
        }
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "AuthFailure" => {
            (Class::Terminal, "AwsAccessDenied")
        }
        "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "MissingAuthenticationToken"
        | "OptInRequired" => (Class::Terminal, "AwsCredentialsRefused"),
        code if is_invalid_state(code) => (Class::Waiting(BUSY), "AwsBusy"),
        code if !code.is_empty() && http_status.is_some_and(|status| (400..500).contains(&status)) => {
            (Class::Terminal, "AwsRefused")
        }
        // 5xx, a network that fails, or an answer without a code: nothing was said about the wish.
        _ => (Class::Transient, "AwsUnavailable"),
    };
    Meaning { class, reason }
}

/// `InvalidDBInstanceState`, `InvalidReplicationGroupState` and their like: not now.
fn is_invalid_state(code: &str) -> bool {
    let name = code.strip_suffix("Fault").unwrap_or(code);
    name.starts_with("Invalid") && name.ends_with("State") && name != "InvalidVPCNetworkState"
}

/// A change that AWS finds already made.
pub fn is_already_so(code: Option<&str>, message: &str) -> bool {
    code == Some("InvalidParameterCombination") && message.contains("No modifications were requested")
        || code == Some("NoOperationFault")
}

/// A deletion that AWS has already begun.
pub fn is_already_leaving(code: Option<&str>, message: &str) -> bool {
    code.is_some_and(is_invalid_state) && message.contains("already being deleted")
}
