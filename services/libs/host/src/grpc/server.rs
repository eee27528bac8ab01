//! The server: listener, TLS, layers, health, reflection, and a drain that ends.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::from_fn_with_state;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use super::authenticate::{Authenticator, authenticate};
use super::call::{Calls, serve_call};
use super::contents::{Contents, with_fallback};
use super::health::ByReadiness;
use crate::Host;
use crate::config::HostArgs;
use crate::connections::Limited;
use crate::error::StartError;
use crate::host::bind;
use crate::readiness::Readiness;

/// How often an idle connection is probed, and how long the answer may take.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Services beside the routes', as reflection lists them.
const OPEN_SERVICES: [&str; 2] = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"];
/// Largest headers of a call in bytes; tokens are the largest of them.
const MAX_HEADERS: u32 = 32 << 10;
/// How long calls may go on after the drain began, before open streams are ended.
const STREAM_GRACE: Duration = Duration::from_secs(2);

/// A server that is bound and checked, and serves once it has routes.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    transport: tonic::transport::Server,
    args: HostArgs,
    readiness: Readiness,
    kube: kube::Client,
    descriptors: &'static [u8],
    meter: Meter,
}

impl Server {
    /// Binds `--grpc-listen` and reads what the server needs, so that a mistake shows at the start.
    ///
    /// # Errors
    /// [`StartError`] when the address, the TLS files or the descriptors are not usable.
    pub async fn prepare(host: &Host, descriptors: &'static [u8]) -> Result<Self, StartError> {
        let args = host.args().clone();
        decode(descriptors)?;
        let transport = transport(&args)?;
        let listener = bind("grpc-listen", args.grpc_listen).await?;
        let address = listener.local_addr().map_err(|source| StartError::Bind {
            flag: "grpc-listen",
            address: args.grpc_listen,
            source,
        })?;
        let readiness = host.readiness_checks().clone();
        let meter = host.telemetry().metrics().meter("mlp-host");
        let kube = host.kube();
        Ok(Self { listener, address, transport, args, readiness, kube, descriptors, meter })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `draining` is cancelled, then lets calls finish; streams that are still open
    /// after a short grace end with `UNAVAILABLE`.
    ///
    /// # Errors
    /// What the transport says about the listener, the certificates or the descriptors.
    pub async fn serve(self, routes: Routes, draining: CancellationToken) -> Result<(), StartError> {
        let cut = CancellationToken::new();
        let routes = self.layered(routes, &cut).await?;
        let connections = Limited::new(self.listener, self.args.grpc_max_connections).into_stream();
        let serving = self.transport.serve_with_incoming_shutdown(
            routes,
            connections,
            draining.clone().cancelled_owned(),
        );
        let cutting = async {
            draining.cancelled().await;
            tokio::time::sleep(STREAM_GRACE.min(self.args.drain_timeout / 4)).await;
            cut.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            served = serving => served.map_err(|error| StartError::Tls(error.into())),
            () = cutting => Ok(()),
        }
    }

    async fn layered(&self, routes: Routes, cut: &CancellationToken) -> Result<Routes, StartError> {
        let router = with_fallback(routes.into_axum_router());
        let Contents { services, methods } = Contents::of(&decode(self.descriptors)?, &router).await;
        let reflection = || {
            let mut builder = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(self.descriptors)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
            for name in services.iter().map(String::as_str).chain(OPEN_SERVICES) {
                builder = builder.with_service_name(name);
            }
            builder
        };
        let refused = |error: tonic_reflection::server::Error| StartError::Reflection(error.into());
        let (v1, v1alpha) =
            (reflection().build_v1().map_err(refused)?, reflection().build_v1alpha().map_err(refused)?);
        let routes = Routes::from(router)
            .add_service(ByReadiness::server(self.readiness.clone(), Arc::new(services)))
            .add_service(v1)
            .add_service(v1alpha);
        let calls = Calls {
            methods,
            most_time: self.args.grpc_max_deadline,
            most_bytes: usize::try_from(self.args.grpc_max_request).unwrap_or(usize::MAX),
            cut: cut.clone(),
            duration: Calls::duration_instrument(&self.meter),
        };
        let authenticator = Arc::new(Authenticator::new(self.kube.clone()));
        let router = routes
            .into_axum_router()
            .layer(from_fn_with_state(authenticator, authenticate))
            .layer(from_fn_with_state(Arc::new(calls), serve_call));
        Ok(Routes::from(router))
    }
}

fn decode(descriptors: &[u8]) -> Result<FileDescriptorSet, StartError> {
    FileDescriptorSet::decode(descriptors).map_err(|error| StartError::Reflection(error.into()))
}

/// The server's limits and certificates; wrong certificates show here.
fn transport(args: &HostArgs) -> Result<tonic::transport::Server, StartError> {
    let transport = tonic::transport::Server::builder()
        .max_concurrent_streams(args.grpc_max_streams)
        .http2_max_header_list_size(MAX_HEADERS)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE));
    match tls(args)? {
        Some(tls) => transport.tls_config(tls).map_err(|error| StartError::Tls(error.into())),
        None => Ok(transport),
    }
}

fn tls(args: &HostArgs) -> Result<Option<ServerTlsConfig>, StartError> {
    let (Some(certificate), Some(key)) = (&args.grpc_tls_cert, &args.grpc_tls_key) else { return Ok(None) };
    let (certificate, key) = (read("grpc-tls-cert", certificate)?, read("grpc-tls-key", key)?);
    let mut config = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
    if let Some(path) = &args.grpc_client_ca {
        let ca = Certificate::from_pem(read("grpc-client-ca", path)?);
        // Optional: who has no certificate may still bring a token.
        config = config.client_ca_root(ca).client_auth_optional(true);
    }
    Ok(Some(config))
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path).map_err(|source| StartError::TlsFile {
        flag,
        path: path.display().to_string(),
        source,
    })
}
