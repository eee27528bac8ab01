//! The composition root: what is made, what runs, and in which order it ends.
//!
//! Every replica serves gRPC; the leader alone reconciles and consumes. Controller and consumers stop
//! after the last call was answered, then the connection to the broker is drained.

use std::process::ExitCode;
use std::time::Duration;

use kube::Api;
use mlp_bus::{Bus, BusOptions, Relay, Topology};
use mlp_crds::Team;
use mlp_host::lease::Leadership;
use mlp_host::{BoxError, Host, telemetry};
use mlp_proto::team::api::v1::team_service_server::TeamServiceServer;
use mlp_reconcile::{Controller, Options, Trigger, WriteCounter, watcher};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::api::service::Teams;
use crate::audit;
use crate::config::Config;
use crate::domain::SERVICE;
use crate::events::consume::{CONSUMERS, WakeTeam};
use crate::reconcile::{AccountReconciler, Accounts, Enforcer, Signals, TeamReconciler, sideline, watches};

/// How long closing the connection to the broker may take.
const BUS_DRAIN: Duration = Duration::from_secs(3);
/// Accounts made at the same time.
const ACCOUNT_WORKERS: usize = 2;
/// Field manager of what callers declare over gRPC: theirs, not the reconciler's.
const API_MANAGER: &str = "team-isolation-api";

/// Runs the service until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting: the broker, the streams, the gRPC address.
pub async fn run(config: Config, host: Host) -> Result<ExitCode, BoxError> {
    let accounts = accounts(&config)?;
    let bus = Bus::connect(bus_options(&config)).await?;
    bus.ensure_streams(&topology(&config)?.streams).await?;
    let (client, writes) = WriteCounter::wrap(host.kube());

    let teams = Teams::new(client.clone(), host.authorizer(), API_MANAGER, config.site());
    let routes = Routes::new(TeamServiceServer::new(teams));
    host.serve_grpc(routes, mlp_proto::DESCRIPTOR_SET).await?;

    let broker = bus.clone();
    host.readiness("broker", move || {
        if broker.is_connected() { Ok(()) } else { Err("not connected to the broker".to_owned()) }
    });

    let leader = Leader { config, host: host.clone(), bus: bus.clone(), client, writes, accounts };
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
    accounts: Option<Accounts>,
}

impl Leader {
    /// Reconciles, and wakes teams on others' facts, until leadership ends.
    async fn lead(self, leadership: Leadership) -> Result<(), BoxError> {
        let Self { config, host, bus, client, writes, accounts } = self;
        let topology = topology(&config)?;
        let all = Api::<Team>::all(client.clone());
        let controller =
            Controller::new(SERVICE, all, watcher::Config::default(), options(&config, writes.clone()));
        let enforcer = Enforcer::named(config.network_policy_enforcer.as_deref());
        let signals = Signals::new(enforcer.clone());
        let (controller, caches) = watches(controller, &client, signals.clone());
        let teams = controller.handle();
        let namespaces = caches.namespaces();
        let store = teams.store().clone();
        let relay = Relay::new(bus.publisher());
        let reconciler =
            TeamReconciler::new(client.clone(), store, caches, relay, accounts.clone(), config.site());
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
        let (noticed, audited) = (teams.clone(), stop.clone());
        let listen_to_audit = async {
            match config.audit() {
                Some(log) => {
                    audit::follow(log, audited, |refused| signals.take(refused, &namespaces, &noticed)).await;
                }
                None => audited.cancelled().await,
            }
            Ok(())
        };
        let control = async {
            controller.run(reconciler, stop.clone()).await;
            Ok(())
        };
        let listen = async {
            if let Some(accounts) = accounts {
                run_accounts(&client, accounts, account_options(&config, writes), stop.clone()).await;
            } else {
                stop.cancelled().await;
            }
            Ok(())
        };
        let sideline = async {
            sideline(&client, &stop).await;
            Ok(())
        };
        let network = async {
            enforcer.follow(&client, &teams, stop.clone()).await;
            Ok(())
        };
        tokio::try_join!(control, health, provision, listen, listen_to_audit, sideline, network).map(|_| ())
    }
}

/// Gives teams their accounts until `stop`.
async fn run_accounts(client: &kube::Client, accounts: Accounts, options: Options, stop: CancellationToken) {
    let all = Api::<Team>::all(client.clone());
    let controller = Controller::new("team-accounts", all, watcher::Config::default(), options);
    let (controller, reconciler) = AccountReconciler::new(controller, client, accounts);
    controller.run(reconciler, stop).await;
}

/// Accounts on the broker, where the operator's seed is given.
fn accounts(config: &Config) -> Result<Option<Accounts>, BoxError> {
    let replicas = broker_replicas(config);
    Ok(config.keyring()?.map(|keyring| Accounts::new(config.host.nats_servers(), keyring, replicas)))
}

/// The broker is one server locally and three elsewhere.
const fn broker_replicas(config: &Config) -> usize {
    if config.host.environment.uses_aws() { 3 } else { 1 }
}

/// Streams and consumers as built in.
fn topology(config: &Config) -> Result<Topology, BoxError> {
    Ok(Topology::builtin()?.with_replicas(broker_replicas(config)))
}

/// Few at a time: an account is a connection and a dozen requests, and nobody waits for it.
fn account_options(config: &Config, writes: WriteCounter) -> Options {
    let workers = ACCOUNT_WORKERS.min(config.workers.get());
    Options { workers, resync: config.resync, writes: Some(writes), ..Options::default() }
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
