//! The client's side: a channel that carries a token and the current trace.

use std::path::PathBuf;
use std::time::Duration;

use mlp_model::Secret;
use opentelemetry::propagation::Injector;
use tonic::metadata::{AsciiMetadataValue, MetadataKey, MetadataMap};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often an idle connection is probed, and how long the answer may take.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// What a generated client takes: `TeamServiceClient::new(channel)`.
pub type ServiceChannel = InterceptedService<Channel, CallHeaders>;

/// How to reach a service and who asks.
#[derive(Clone, Debug, Default)]
pub struct ChannelOptions {
    /// CA certificates (PEM) that sign the server's; the system's own without it.
    pub ca: Option<PathBuf>,
    /// The name in the server's certificate, where it is not the endpoint's host.
    pub server_name: Option<String>,
    /// Bearer token; sent over TLS, or to a loopback address.
    pub token: Option<Secret<String>>,
    /// Client certificate and key (PEM).
    pub certificate: Option<(Vec<u8>, Secret<Vec<u8>>)>,
}

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The endpoint is not a URL that gRPC can use.
    #[error("`{0}` is no gRPC endpoint; write http://host:port or https://host:port")]
    Endpoint(String),
    /// The CA file cannot be read.
    #[error("the CA file {path} cannot be read")]
    Ca {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The token is not printable ASCII.
    #[error("the token has characters that HTTP headers cannot carry; get a new one")]
    Token,
    /// The token would cross a network in the clear.
    #[error("a token is not sent to `{0}` without TLS; use https, or a loopback address")]
    TokenInClear(String),
    /// The certificates do not make a TLS client.
    #[error("the certificates do not make a TLS client")]
    Tls(#[source] tonic::transport::Error),
    /// The server cannot be reached.
    #[error("no gRPC server answers at `{endpoint}`; is it running?")]
    Connect {
        /// The endpoint.
        endpoint: String,
        /// What the transport said.
        source: tonic::transport::Error,
    },
}

/// Connects to `endpoint` (`http://` or `https://`).
///
/// # Errors
/// [`ClientError`] says what to change.
pub async fn channel(endpoint: &str, options: &ChannelOptions) -> Result<ServiceChannel, ClientError> {
    let wrong = || ClientError::Endpoint(endpoint.to_owned());
    let uri: http::Uri = endpoint.parse().map_err(|_| wrong())?;
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(wrong()),
    };
    if options.token.is_some() && !secure && !is_loopback(&uri) {
        return Err(ClientError::TokenInClear(endpoint.to_owned()));
    }
    let headers = CallHeaders::new(options.token.as_ref())?;
    let mut target = Endpoint::from(uri)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    if secure {
        target = target.tls_config(tls(options)?).map_err(ClientError::Tls)?;
    }
    let connected = target.connect().await;
    let channel =
        connected.map_err(|source| ClientError::Connect { endpoint: endpoint.to_owned(), source })?;
    Ok(InterceptedService::new(channel, headers))
}

fn tls(options: &ChannelOptions) -> Result<ClientTlsConfig, ClientError> {
    let mut config = ClientTlsConfig::new();
    if let Some(path) = &options.ca {
        let pem = std::fs::read(path).map_err(|source| ClientError::Ca { path: path.clone(), source })?;
        config = config.ca_certificate(Certificate::from_pem(pem));
    } else {
        config = config.with_enabled_roots();
    }
    if let Some(name) = &options.server_name {
        config = config.domain_name(name);
    }
    if let Some((certificate, key)) = &options.certificate {
        config = config.identity(Identity::from_pem(certificate, key.expose()));
    }
    Ok(config)
}

fn is_loopback(uri: &http::Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Puts the token and the current span's context on each call.
#[derive(Clone, Debug)]
pub struct CallHeaders {
    authorization: Option<AsciiMetadataValue>,
}

impl CallHeaders {
    fn new(token: Option<&Secret<String>>) -> Result<Self, ClientError> {
        let Some(token) = token else { return Ok(Self { authorization: None }) };
        let mut value: AsciiMetadataValue =
            format!("Bearer {}", token.expose().trim()).parse().map_err(|_| ClientError::Token)?;
        value.set_sensitive(true);
        Ok(Self { authorization: Some(value) })
    }
}

impl Interceptor for CallHeaders {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        let context = tracing::Span::current().context();
        opentelemetry::global::get_text_map_propagator(|propagator| {
            propagator.inject_context(&context, &mut Headers(request.metadata_mut()));
        });
        Ok(request)
    }
}

struct Headers<'a>(&'a mut MetadataMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        // Propagators write valid names and values; anything else is left out.
        if let (Ok(key), Ok(value)) = (MetadataKey::from_bytes(key.as_bytes()), value.parse()) {
            self.0.insert(key, value);
        }
    }
}
