//! The composition root: what is made, what runs, and in which order it ends.
//!
//! The leader alone observes, consumes and closes hours. They stop after the last call was answered,
//! then the connection to the broker is drained and the store closed.

use std::process::ExitCode;
use std::time::Duration;

use kube::Api;
use mlp_bus::{Bus, BusOptions, Relay, Topology};
use mlp_crds::{PriceSheet, Team};
use mlp_host::lease::Leadership;
use mlp_host::{BoxError, Host, telemetry};
use mlp_model::Flow;
use mlp_proto::cost::api::v1::cost_service_server::CostServiceServer;
use mlp_reconcile::{Controller, Options, Trigger, WriteCounter, watcher};
use tonic::service::Routes;

use crate::api::report::Reports;
use crate::api::service::Costs;
use crate::config::Config;
use crate::domain::SERVICE;
use crate::events::consume::{CONSUMER, MeterTeams};
use crate::reconcile::clock::Clock;
use crate::reconcile::close::Closer;
use crate::reconcile::observe::Observer;
use crate::reconcile::prices;
use crate::reconcile::teams::TeamReconciler;
use crate::store::Store;

/// How long closing the connection to the broker may take.
const BUS_DRAIN: Duration = Duration::from_secs(3);
/// Teams and price sheets looked at at the same time.
const WORKERS: usize = 4;

/// Runs the service until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting: the store, the broker, the streams, the gRPC address.
pub async fn run(config: Config, host: Host) -> Result<ExitCode, BoxError> {
    let store = Store::open(&config.store).await?;
    let bus = Bus::connect(bus_options(&config)).await?;
    bus.ensure_streams(&topology(&config)?.streams).await?;
    let clock = Clock::system();

    let reports = Reports::new(store.clone(), clock.clone());
    let service = Costs::new(reports, host.authorizer(), host.draining());
    host.serve_grpc(Routes::new(CostServiceServer::new(service)), mlp_proto::DESCRIPTOR_SET).await?;

    let broker = bus.clone();
    host.readiness("broker", move || {
        if broker.is_connected() { Ok(()) } else { Err("not connected to the broker".to_owned()) }
    });

    let leader = Leader { config, host: host.clone(), bus: bus.clone(), store: store.clone(), clock };
    let elector = host.elector(SERVICE);
    host.spawn("leader", elector.run(host.shutdown(), move |leadership| leader.clone().lead(leadership)));

    let code = host.run(|| async {}).await;
    bus.drain(BUS_DRAIN).await;
    store.close().await;
    Ok(code)
}

/// What the leader works with.
#[derive(Clone)]
struct Leader {
    config: Config,
    host: Host,
    bus: Bus,
    store: Store,
    clock: Clock,
}

impl Leader {
    /// Observes, meters and closes hours, until leadership ends.
    async fn lead(self, leadership: Leadership) -> Result<(), BoxError> {
        let Self { config, host, bus, store, clock } = self;
        let (client, writes) = WriteCounter::wrap(host.kube());
        let topology = topology(&config)?;
        let relay = || Relay::new(bus.publisher());
        store.origin(clock.now()).await?;

        let observer = Observer::new(client.clone(), store.clone(), clock.clone(), config.platform());
        let (listed, whole) = (observer.clone(), observer.clone());
        host.readiness("watches", move || match listed.missing().as_slice() {
            [] => Ok(()),
            missing => Err(format!("not listed yet: {}", missing.join(", "))),
        });

        let config_all = watcher::Config::default;
        let sheets = Controller::new(
            "price-sheets",
            Api::<PriceSheet>::all(client.clone()),
            config_all(),
            owner(&config, writes.clone()),
        );
        let (sheets, prices) = prices::controller(sheets, &client, store.clone());
        let teams = Controller::new("teams", Api::<Team>::all(client), config_all(), reader(&config, writes));
        let team = TeamReconciler::new(store.clone(), clock.clone(), relay());
        let meter = MeterTeams::new(store.clone(), clock.clone(), relay());
        let closer = Closer::new(store, clock, relay(), config.retained_hours(), emit_root);

        let stop = leadership.token().clone();
        let consumed = bus.consume(topology.consumer(CONSUMER)?, meter, stop.clone());
        let looping = async {
            tokio::join!(
                sheets.run(prices, stop.clone()),
                teams.run(team, stop.clone()),
                closer.run(stop.clone(), move || whole.missing().is_empty()),
            );
            Ok::<_, BoxError>(())
        };
        let observed = async { Ok::<_, BoxError>(observer.run(stop.clone()).await?) };
        let consumed = async { Ok::<_, BoxError>(consumed.await?) };
        tokio::try_join!(looping, observed, consumed).map(|_| ())
    }
}

/// Streams and consumers as built in; the broker is one server locally and three elsewhere.
fn topology(config: &Config) -> Result<Topology, BoxError> {
    let replicas = if config.host.environment.uses_aws() { 3 } else { 1 };
    Ok(Topology::builtin()?.with_replicas(replicas))
}

fn emit_root(flow: &Flow, name: &str) {
    telemetry::emit_root(flow, name, &[]);
}

/// For the kind that is ours: we alone write its status, and owe the root of its flows.
fn owner(config: &Config, writes: WriteCounter) -> Options {
    Options { trigger: Trigger::SpecOrMetadata, emit_root: Some(emit_root), ..reader(config, writes) }
}

/// For a kind that we only read: a change of its status is what we wait for.
fn reader(config: &Config, writes: WriteCounter) -> Options {
    Options { workers: WORKERS, resync: config.resync, writes: Some(writes), ..Options::default() }
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
