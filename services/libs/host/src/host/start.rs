//! Starting a host, with the parts that tests replace.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::signals::Signals;
use super::{Host, Inner};
use crate::admin;
use crate::config::HostArgs;
use crate::error::StartError;
use crate::grpc::Authorizer;
use crate::kubernetes;
use crate::readiness::Readiness;
use crate::supervise::Supervisor;
use crate::telemetry::Telemetry;

/// Starts a [`Host`] with a given Kubernetes client or telemetry instead of the configured ones.
pub struct HostBuilder {
    service: &'static str,
    args: HostArgs,
    kube: Option<kube::Client>,
    telemetry: Option<Telemetry>,
}

impl HostBuilder {
    /// A host of `service`, configured by `args`.
    pub fn new(service: &'static str, args: HostArgs) -> Self {
        Self { service, args, kube: None, telemetry: None }
    }

    /// Uses this client: a test's scripted API, or one made elsewhere.
    #[must_use]
    pub fn kube(mut self, client: kube::Client) -> Self {
        self.kube = Some(client);
        self
    }

    /// Uses this telemetry: a test's, with exporters in memory.
    #[must_use]
    pub fn telemetry(mut self, telemetry: Telemetry) -> Self {
        self.telemetry = Some(telemetry);
        self
    }

    /// Starts the host, as [`Host::start`].
    ///
    /// # Errors
    /// [`StartError`]; nothing keeps running then.
    pub async fn start(self) -> Result<Host, StartError> {
        let Self { service, args, kube, telemetry } = self;
        args.validate()?;
        let kube = match kube {
            Some(client) => client,
            None => kubernetes::client(&args).await?,
        };
        let listener = bind("admin-listen", args.admin_listen).await?;
        let admin_address = listener.local_addr().map_err(|source| StartError::Bind {
            flag: "admin-listen",
            address: args.admin_listen,
            source,
        })?;
        let telemetry = match telemetry {
            Some(telemetry) => telemetry,
            None => Telemetry::install(service, &args)?,
        };
        let readiness = Readiness::default();
        // The admin port answers from here on; what the process is for comes later.
        readiness.set_starting();
        let [draining, hurry, stop, done] = std::array::from_fn(|_| CancellationToken::new());
        let signals = Signals::listen().pass_on(draining.clone(), hurry.clone());
        tokio::spawn(done.clone().run_until_cancelled_owned(signals));
        let (tasks, deaths) = Supervisor::new(stop.clone(), readiness.clone());
        let (acceptors, admin) = (tasks.sibling(draining.clone()), tasks.sibling(done.clone()));
        let served =
            admin::serve(listener, readiness.clone(), telemetry.registry(), done.clone().cancelled_owned());
        admin.spawn("admin", served);
        tracing::info!(service, address = %admin_address, environment = %args.environment, "serving admin");
        let authorizer = Authorizer::new(kube.clone());
        let deaths = Mutex::new(Some(deaths));
        let inner = Inner {
            service,
            args,
            kube,
            telemetry,
            readiness,
            authorizer,
            acceptors,
            draining,
            hurry,
            tasks,
            stop,
            admin,
            done,
            admin_address,
            deaths,
        };
        Ok(Host { inner: Arc::new(inner) })
    }
}

/// Binds a listener named by a flag.
pub(crate) async fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Bind { flag, address, source })
}
