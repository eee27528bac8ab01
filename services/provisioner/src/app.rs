//! The composition root: what is made, what runs, and in which order it ends.
//!
//! Every replica serves gRPC; the leader alone reconciles and consumes. Controllers and consumer stop
//! after the last call was answered, then the connection to the broker is drained.

use std::process::ExitCode;
use std::time::Duration;

use kube::Api;
use mlp_bus::{Bus, BusOptions, Relay, Topology};
use mlp_crds::{Cache, Database};
use mlp_host::grpc::Objects;
use mlp_host::lease::Leadership;
use mlp_host::{BoxError, Host, telemetry};
use mlp_proto::provision::api::v1::provision_service_server::ProvisionServiceServer;
use mlp_reconcile::{Controller, Handle, Options, Trigger, WriteCounter, watcher};
use tonic::service::Routes;

use crate::api::service::Requests;
use crate::config::Config;
use crate::domain::SERVICE;
use crate::domain::model::ProviderName;
use crate::events::consume::{CONSUMER, WakeRequests};
use crate::provider::aws::AwsProvider;
use crate::provider::kubernetes::KubernetesProvider;
use crate::reconcile::{Caches, Parts, Providers, Request, RequestReconciler, watches};

/// How long closing the connection to the broker may take.
const BUS_DRAIN: Duration = Duration::from_secs(3);
/// Field manager of what callers ask for over gRPC: theirs, not the reconciler's.
const API_MANAGER: &str = "provisioner-api";

/// Runs the service until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting: the broker, the streams, the gRPC address.
pub async fn run(config: Config, host: Host) -> Result<ExitCode, BoxError> {
    let bus = Bus::connect(bus_options(&config)).await?;
    bus.ensure_streams(&topology(&config)?.streams).await?;
    let (client, writes) = WriteCounter::wrap(host.kube());

    let databases = Objects::new(client.clone(), host.authorizer(), API_MANAGER);
    let caches = Objects::new(client.clone(), host.authorizer(), API_MANAGER);
    let routes = Routes::new(ProvisionServiceServer::new(Requests::new(databases, caches)));
    host.serve_grpc(routes, mlp_proto::DESCRIPTOR_SET).await?;

    let broker = bus.clone();
    host.readiness("broker", move || {
        if broker.is_connected() { Ok(()) } else { Err("not connected to the broker".to_owned()) }
    });

    let leader = Leader { config, host: host.clone(), bus: bus.clone(), client, writes };
    let elector = host.elector(SERVICE);
    host.spawn("leader", elector.run(host.shutdown(), move |leadership| leader.clone().lead(leadership)));

    let code = host.run(|| async {}).await;
    bus.drain(BUS_DRAIN).await;
    Ok(code)
}

/// What the leader works with.
#[derive(Clone)]
struct Leader {
    config: Config,
    host: Host,
    bus: Bus,
    client: kube::Client,
    writes: WriteCounter,
}

impl Leader {
    /// Reconciles both kinds, and wakes requests on their team's facts, until leadership ends.
    async fn lead(self, leadership: Leadership) -> Result<(), BoxError> {
        let stop = leadership.token().clone();
        let (database_controller, database_caches) = self.controller::<Database>("database");
        let (cache_controller, cache_caches) = self.controller::<Cache>("cache");
        let (databases, caches) = (database_controller.handle(), cache_controller.handle());
        self.check_caches(databases.clone(), caches.clone());
        let database_reconciler = self.reconciler(database_caches);
        let cache_reconciler = self.reconciler(cache_caches);

        let spec = topology(&self.config)?.consumer(CONSUMER)?;
        let consume = async {
            Ok::<_, BoxError>(
                self.bus.consume(spec, WakeRequests::new(databases, caches), stop.clone()).await?,
            )
        };
        let control_databases = async {
            database_controller.run(database_reconciler, stop.clone()).await;
            Ok(())
        };
        let control_caches = async {
            cache_controller.run(cache_reconciler, stop.clone()).await;
            Ok(())
        };
        tokio::try_join!(control_databases, control_caches, consume).map(|_| ())
    }

    fn controller<K: Request>(&self, name: &'static str) -> (Controller<K>, Caches) {
        let all = Api::<K>::all(self.client.clone());
        let options = options(&self.config, self.writes.clone());
        let controller = Controller::new(name, all, watcher::Config::default(), options);
        watches(controller, &self.client)
    }

    fn reconciler(&self, caches: Caches) -> RequestReconciler {
        let environment = self.config.host.environment;
        let providers = match ProviderName::of(environment) {
            ProviderName::Kubernetes => Providers::Kubernetes(KubernetesProvider::new(
                self.client.clone(),
                self.config.images(),
                caches.clone(),
            )),
            ProviderName::Aws => Providers::Aws(AwsProvider::new(self.config.place())),
        };
        RequestReconciler::new(Parts {
            client: self.client.clone(),
            caches,
            providers,
            relay: Relay::new(self.bus.publisher()),
            environment,
            poll: self.config.aws_poll,
        })
    }

    fn check_caches(&self, databases: Handle<Database>, caches: Handle<Cache>) {
        self.host.readiness("caches", move || {
            let missing = [databases.unsynced(), caches.unsynced()].concat();
            if missing.is_empty() { Ok(()) } else { Err(format!("not listed yet: {}", missing.join(", "))) }
        });
    }
}

/// Streams and consumers as built in; the broker is one server locally and three elsewhere.
fn topology(config: &Config) -> Result<Topology, BoxError> {
    let replicas = if config.host.environment.uses_aws() { 3 } else { 1 };
    Ok(Topology::builtin()?.with_replicas(replicas))
}

fn options(config: &Config, writes: WriteCounter) -> Options {
    Options {
        workers: config.workers.get(),
        resync: config.resync,
        // Only this service writes the status of its kinds.
        trigger: Trigger::SpecOrMetadata,
        emit_root: Some(|flow, name| {
            telemetry::emit_root(flow, name, &[]);
        }),
        writes: Some(writes),
        ..Options::default()
    }
}

fn bus_options(config: &Config) -> BusOptions {
    BusOptions {
        servers: config.host.nats_servers(),
        credentials: config.host.nats_creds.clone(),
        tls_ca: config.host.nats_ca.clone(),
        client_name: SERVICE.to_owned(),
        ..BusOptions::default()
    }
}
