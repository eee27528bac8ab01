//! AWS clients configured one way: region, credentials, TLS, time limits.
//!
//! Which service is called, and what follows from its answer, is the caller's.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_smithy_http_client::{Builder, tls};

pub use aws_config::SdkConfig;
pub use aws_credential_types::Credentials;

/// Time for a TCP and TLS connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time until the first byte of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for a call with its attempts.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(45);
/// Time to find a region, and time to find credentials, the metadata service of EC2 included.
const SOURCES_TIMEOUT: Duration = Duration::from_secs(15);
/// Attempts per call. Callers retry too: more would multiply.
const ATTEMPTS: u32 = 2;

/// Where calls go; the SDK's own sources stand in for what is not given.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Another place that speaks AWS' protocols; only for tests.
    pub endpoint: Option<String>,
    /// Region, for example `us-west-2`.
    pub region: Option<String>,
    /// Credentials, whatever the SDK's sources hold; only for tests.
    pub credentials: Option<Credentials>,
}

/// What is missing before AWS can be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unconfigured {
    /// No region is set.
    #[error("no AWS region; set AWS_REGION")]
    Region,
    /// The default chain has no credentials.
    #[error(
        "no AWS credentials ({cause}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN if \
         temporary) or AWS_PROFILE; in EKS, AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, or a pod identity"
    )]
    Credentials {
        /// What the chain said.
        cause: String,
    },
}

/// The configuration that every client is made of.
///
/// # Errors
/// [`Unconfigured`] says which variables to set.
pub async fn load(source: &Source) -> Result<SdkConfig, Unconfigured> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let https = Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(https)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS));
    if let Some(region) = &source.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &source.endpoint {
        loader = loader.endpoint_url(url);
    }
    if let Some(credentials) = source.credentials.clone() {
        loader = loader.credentials_provider(credentials);
    }
    // The last source of a region is the metadata service of EC2, which may not answer.
    let config =
        tokio::time::timeout(SOURCES_TIMEOUT, loader.load()).await.map_err(|_| Unconfigured::Region)?;
    if config.region().is_none() {
        return Err(Unconfigured::Region);
    }
    check_credentials(&config).await?;
    Ok(config)
}

/// Asks the chain once, so that missing credentials are said at start and not by every call.
async fn check_credentials(config: &SdkConfig) -> Result<(), Unconfigured> {
    let missing = |cause: String| Unconfigured::Credentials { cause };
    let provider =
        config.credentials_provider().ok_or_else(|| missing("no provider is configured".into()))?;
    match tokio::time::timeout(SOURCES_TIMEOUT, provider.provide_credentials()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(missing(chain(&error))),
        Err(_) => Err(missing(format!("no answer in {} s", SOURCES_TIMEOUT.as_secs()))),
    }
}

/// An error and its causes as one line: the SDK's own words hide what happened.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
