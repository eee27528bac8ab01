//! The composition root: what is made, what runs, and in which order it ends.
//!
//! Every replica serves gRPC; the leader alone reconciles and consumes. Controller and consumers stop
//! after the last call was answered, then the connection to the broker is drained.

use std::process::ExitCode;
use std::time::Duration;

use kube::Api;
use mlp_bus::{Bus, BusOptions, Relay, Topology};
use mlp_crds::Team;
use mlp_host::grpc::Objects;
use mlp_host::lease::Leadership;
use mlp_host::{BoxError, Host, telemetry};
use mlp_proto::team::api::v1::team_service_server::TeamServiceServer;
use mlp_reconcile::{Controller, Options, Trigger, WriteCounter, watcher};
use tonic::service::Routes;

use crate::api::service::Teams;
use crate::config::Config;
use crate::domain::SERVICE;
use crate::events::consume::{CONSUMERS, WakeTeam};
use crate::reconcile::{TeamReconciler, watches};

/// How long closing the connection to the broker may take.
const BUS_DRAIN: Duration = Duration::from_secs(3);
/// Field manager of what callers declare over gRPC: theirs, not the reconciler's.
const API_MANAGER: &str = "team-isolation-api";

/// Runs the service until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting: the broker, the streams, the gRPC address.
pub async fn run(config: Config, host: Host) -> Result<ExitCode, BoxError> {
    let bus = Bus::connect(bus_options(&config)).await?;
    bus.ensure_streams(&topology(&config)?.streams).await?;
    let (client, writes) = WriteCounter::wrap(host.kube());

    let objects = Objects::new(client.clone(), host.authorizer(), API_MANAGER);
    let routes = Routes::new(TeamServiceServer::new(Teams::new(objects)));
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
    /// Reconciles, and wakes teams on others' facts, until leadership ends.
    async fn lead(self, leadership: Leadership) -> Result<(), BoxError> {
        let Self { config, host, bus, client, writes } = self;
        let topology = topology(&config)?;
        let all = Api::<Team>::all(client.clone());
        let controller = Controller::new(SERVICE, all, watcher::Config::default(), options(&config, writes));
        let (controller, caches) = watches(controller, &client);
        let teams = controller.handle();
        let store = teams.store().clone();
        let relay = Relay::new(bus.publisher());
        let reconciler = TeamReconciler::new(client, store, caches, relay, config.host.environment);
        let synced = teams.clone();
        host.readiness("caches", move || match synced.unsynced().as_slice() {
            [] => Ok(()),
            missing => Err(format!("not listed yet: {}", missing.join(", "))),
        });

        let stop = leadership.token().clone();
        let [health, provision] = CONSUMERS.map(|durable| {
            let (topology, bus, handler) = (&topology, bus.clone(), WakeTeam::new(teams.clone()));
            let stop = stop.clone();
            async move { Ok::<_, BoxError>(bus.consume(topology.consumer(durable)?, handler, stop).await?) }
        });
        let control = async {
            controller.run(reconciler, stop.clone()).await;
            Ok(())
        };
        tokio::try_join!(control, health, provision).map(|_| ())
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
        // Only this service writes a Team's status.
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
