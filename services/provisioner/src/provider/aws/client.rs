//! Configuration of the AWS clients: region, credentials, TLS, time limits.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_smithy_http_client::{Builder, tls};

use super::Error;

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
/// Attempts per call. The loop retries too: more would multiply.
const ATTEMPTS: u32 = 2;

/// Where in AWS services are made; the account's defaults stand in for what is not given.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Another place that speaks AWS' protocols; only for tests.
    pub endpoint: Option<String>,
    /// Region, for example `us-west-2`; none asks the SDK's sources.
    pub region: Option<String>,
    /// RDS subnet group.
    pub database_subnets: Option<String>,
    /// ElastiCache subnet group.
    pub cache_subnets: Option<String>,
    /// Security groups that let the teams' pods in.
    pub security_groups: Vec<String>,
}

pub(super) async fn load(place: &Place, maybe_credentials: Option<Credentials>) -> Result<SdkConfig, Error> {
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
    if let Some(region) = &place.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &place.endpoint {
        loader = loader.endpoint_url(url);
    }
    if let Some(credentials) = maybe_credentials {
        loader = loader.credentials_provider(credentials);
    }
    // The last source of a region is the metadata service of EC2, which may not answer.
    let config =
        tokio::time::timeout(SOURCES_TIMEOUT, loader.load()).await.map_err(|_| Error::RegionMissing)?;
    if config.region().is_none() {
        return Err(Error::RegionMissing);
    }
    check_credentials(&config).await?;
    Ok(config)
}

/// Asks the chain once, so that missing credentials are said at start and not by every call.
async fn check_credentials(config: &SdkConfig) -> Result<(), Error> {
    let missing = |cause: String| Error::CredentialsMissing { cause };
    let provider =
        config.credentials_provider().ok_or_else(|| missing("no provider is configured".into()))?;
    match tokio::time::timeout(SOURCES_TIMEOUT, provider.provide_credentials()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(missing(super::error::chain(&error))),
        Err(_) => Err(missing(format!("no answer in {} s", SOURCES_TIMEOUT.as_secs()))),
    }
}
