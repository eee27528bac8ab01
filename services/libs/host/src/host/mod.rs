//! The host: what a service's composition root gets, and how the process ends.

mod drain;
mod signals;
mod start;

use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::HostArgs;
use crate::error::{BoxError, StartError, chain};
use crate::grpc::{self, Authorizer};
use crate::http;
use crate::lease::Elector;
use crate::readiness::Readiness;
use crate::supervise::{Supervisor, TaskOutcome};
use crate::telemetry::Telemetry;

pub use drain::Outcome;
pub use start::HostBuilder;
pub(crate) use start::bind;

/// The process shell of one service. Clones are handles to the same process.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    service: &'static str,
    args: HostArgs,
    kube: kube::Client,
    telemetry: Telemetry,
    readiness: Readiness,
    authorizer: Authorizer,
    /// Servers: told to stop first, when the drain begins.
    acceptors: Supervisor,
    draining: CancellationToken,
    /// Cancelled by a second signal: the drain is cut short.
    hurry: CancellationToken,
    /// Everything else: told to stop after the drain hook.
    tasks: Supervisor,
    stop: CancellationToken,
    /// The admin port: told to stop when all is done.
    admin: Supervisor,
    done: CancellationToken,
    admin_address: SocketAddr,
    deaths: Mutex<Option<mpsc::Receiver<String>>>,
}

impl Host {
    /// Starts the shell: checks the arguments, sets up telemetry, makes the Kubernetes client (it
    /// connects when first used) and serves the admin port.
    ///
    /// # Errors
    /// [`StartError`]; nothing keeps running then.
    pub async fn start(service: &'static str, args: HostArgs) -> Result<Self, StartError> {
        HostBuilder::new(service, args).start().await
    }

    /// The service's name, which is also its ServiceAccount and field manager.
    pub fn service(&self) -> &'static str {
        self.inner.service
    }

    /// The arguments it was started with.
    pub fn args(&self) -> &HostArgs {
        &self.inner.args
    }

    /// The Kubernetes client; clones share connections.
    pub fn kube(&self) -> kube::Client {
        self.inner.kube.clone()
    }

    /// Telemetry, for what the globals do not give: flushing, and the registry behind `/metrics`.
    pub fn telemetry(&self) -> &Telemetry {
        &self.inner.telemetry
    }

    /// Where the admin port listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.inner.admin_address
    }

    /// Runs a task for the life of the process. It must run until [`Host::shutdown`] is cancelled:
    /// ending before, an error or a panic makes the process unready and ends it non-zero.
    pub fn spawn<F>(&self, name: impl Into<String>, task: F)
    where
        F: Future + Send + 'static,
        F::Output: TaskOutcome,
    {
        self.inner.tasks.spawn(name, task);
    }

    /// Adds a check to `/readyz` and gRPC health. It must not wait: it tells what is known.
    pub fn readiness(
        &self,
        name: impl Into<String>,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.inner.readiness.add(name, check);
    }

    /// The checks, to read or to pass on.
    pub fn readiness_checks(&self) -> &Readiness {
        &self.inner.readiness
    }

    /// Cancelled when tasks must stop: after the drain hook.
    pub fn shutdown(&self) -> CancellationToken {
        self.inner.stop.clone()
    }

    /// Cancelled when the drain begins: no new work from here on, watch streams end.
    pub fn draining(&self) -> CancellationToken {
        self.inner.draining.clone()
    }

    /// Whether [`Host::run`] waits or drains already, so that the app's start is over.
    fn is_running(&self) -> bool {
        self.inner.deaths.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Begins the drain, as SIGTERM does.
    pub fn request_shutdown(&self) {
        self.inner.draining.cancel();
    }

    /// Asks the API server whether a caller may do something (SubjectAccessReview, cached).
    pub fn authorizer(&self) -> Authorizer {
        self.inner.authorizer.clone()
    }

    /// A candidate for the Lease `name` in the platform's namespace. Run it with
    /// [`Elector::run`] inside [`Host::spawn`]; it hands over when the process drains.
    pub fn elector(&self, name: impl Into<String>) -> Elector {
        let args = &self.inner.args;
        Elector::new(self.kube(), &args.namespace, name, args.instance_id(), args.lease_duration)
    }

    /// Serves gRPC on `--grpc-listen`: the routes behind authentication, health and reflection
    /// open. `descriptors` is the encoded `FileDescriptorSet` of the routes' services.
    ///
    /// # Errors
    /// [`StartError`] when the address, the TLS files or the descriptors are not usable.
    pub async fn serve_grpc(
        &self,
        routes: tonic::service::Routes,
        descriptors: &'static [u8],
    ) -> Result<SocketAddr, StartError> {
        let server = grpc::Server::prepare(self, descriptors).await?;
        let address = server.address();
        tracing::info!(%address, tls = self.inner.args.grpc_tls_cert.is_some(), "serving grpc");
        self.inner.acceptors.spawn("grpc", server.serve(routes, self.inner.draining.clone()));
        Ok(address)
    }

    /// Serves HTTP on an address of the service's own, named by its flag; for what cannot speak gRPC.
    /// Whoever calls is checked by the routes themselves.
    ///
    /// # Errors
    /// [`StartError`] when the address is not usable.
    pub async fn serve_http(
        &self,
        flag: &'static str,
        address: SocketAddr,
        routes: axum::Router,
    ) -> Result<SocketAddr, StartError> {
        let listener = bind(flag, address).await?;
        let bound = listener.local_addr().map_err(|source| StartError::Bind { flag, address, source })?;
        tracing::info!(address = %bound, "serving http");
        self.inner.acceptors.spawn(flag, http::serve(listener, routes, self.inner.draining.clone()));
        Ok(bound)
    }

    /// Waits for SIGTERM, SIGINT, [`Host::request_shutdown`] or a dead task, then drains: stop
    /// accepting, `drain_hook`, stop tasks, flush telemetry. Gives the process's exit code: 0 after
    /// a clean drain, 1 when a task died, 3 when the drain took longer than `--drain-timeout`.
    pub async fn run<F>(self, drain_hook: impl FnOnce() -> F + Send) -> ExitCode
    where
        F: Future<Output = ()> + Send,
    {
        self.finish(drain_hook).await.into()
    }
}

/// The whole `main` of a service: parses `A`, starts a runtime and a [`Host`] and runs `app`,
/// which ends with [`Host::run`]. Configuration errors leave with 2, other start errors with 1.
pub fn run<A, F, T>(service: &'static str, app: F) -> ExitCode
where
    A: clap::Parser + AsRef<HostArgs>,
    F: FnOnce(A, Host) -> T,
    T: Future<Output = Result<ExitCode, BoxError>>,
{
    match crate::config::load::<A>() {
        Ok(args) => run_with(service, args, app),
        Err(error) => error.report().into(),
    }
}

/// Threads that run tasks, however many cores the node has: a service waits more than it computes, and
/// each thread has a heap of its own.
const WORKERS: usize = 4;
/// Threads for calls that block.
const BLOCKING: usize = 64;

/// As [`run`], with arguments that are parsed already: for programs with subcommands.
pub fn run_with<A, F, T>(service: &'static str, args: A, app: F) -> ExitCode
where
    A: AsRef<HostArgs>,
    F: FnOnce(A, Host) -> T,
    T: Future<Output = Result<ExitCode, BoxError>>,
{
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    builder.enable_all().worker_threads(cores.min(WORKERS)).max_blocking_threads(BLOCKING);
    let runtime = match builder.build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the asynchronous runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run_app(service, args, app));
    // Whatever still blocks a thread (a flush that hangs) must not keep the process.
    runtime.shutdown_background();
    code
}

async fn run_app<A, F, T>(service: &'static str, args: A, app: F) -> ExitCode
where
    A: AsRef<HostArgs>,
    F: FnOnce(A, Host) -> T,
    T: Future<Output = Result<ExitCode, BoxError>>,
{
    let host = match Host::start(service, args.as_ref().clone()).await {
        Ok(host) => host,
        Err(StartError::Config(error)) => return error.report().into(),
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            return ExitCode::FAILURE;
        }
    };
    let asked_to_end_early = async {
        host.draining().cancelled().await;
        if host.is_running() {
            // The drain is under way in `Host::run`, which gives the code.
            std::future::pending::<()>().await;
        }
    };
    let code = tokio::select! {
        ended = app(args, host.clone()) => match ended {
            Ok(code) => return code,
            Err(error) => {
                tracing::error!(error = %chain(error.as_ref()), "start failed");
                ExitCode::FAILURE
            }
        },
        () = asked_to_end_early => ExitCode::SUCCESS,
    };
    host.abandon().await;
    code
}
