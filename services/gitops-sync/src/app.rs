//! The composition root: what is made, what runs, and in which order it ends.
//!
//! Every replica serves gRPC; the leader alone reconciles, watches and consumes. They stop after the
//! last call was answered, then the connection to the broker is drained.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use mlp_bus::{Bus, Relay, Topology};
use mlp_crds::{Application, ApplicationSet, PolicyExemption};
use mlp_host::grpc::Objects;
use mlp_host::lease::Leadership;
use mlp_host::{BoxError, Host, telemetry};
use mlp_proto::gitops::api::v1::gitops_service_server::GitopsServiceServer;
use mlp_reconcile::{Controller, Options, Trigger, WriteCounter, watcher};
use tonic::service::Routes;

use crate::api::service::Applications;
use crate::config::Config;
use crate::domain::SERVICE;
use crate::events::consume::{CONSUMERS, WakeApplications};
use crate::forge::Forges;
use crate::reconcile::sets::{SetParts, SetReconciler, generated};
use crate::reconcile::{
    ApplicationReconciler, ExemptionReconciler, Notices, Parts, Viewer, watcher_pair, watches,
};
use crate::render::Renderers;
use crate::store::Repositories;
use crate::webhook::{self, Webhook};

/// How long closing the connection to the broker may take.
const BUS_DRAIN: Duration = Duration::from_secs(3);
/// The longest time one look may take; a sync of many objects is cut here and goes on after.
const DEADLINE: Duration = Duration::from_secs(180);
/// The name of the loop over ApplicationSets, in metrics and logs.
const SETS: &str = "gitops-sync-sets";
/// The name of the loop over exemptions.
const EXEMPTIONS: &str = "gitops-sync-exemptions";
/// Field manager of what callers ask for over gRPC: theirs, not the reconciler's.
const API_MANAGER: &str = "gitops-sync-api";

/// Runs the service until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting: the broker, the streams, the cache folder, the gRPC address.
pub async fn run(config: Config, host: Host) -> Result<ExitCode, BoxError> {
    let bus = Bus::connect(config.bus()).await?;
    bus.ensure_streams(&topology(&config)?.streams).await?;
    let repositories = Repositories::new(config.repositories());
    let repositories =
        repositories.map_err(|error| format!("--cache-dir {}: {error}", config.cache_dir.display()))?;
    let renderers = config.renderers().and_then(Renderers::new);
    let renderers =
        renderers.map_err(|error| format!("--cache-dir {}: {error}", config.cache_dir.display()))?;
    let (client, writes) = WriteCounter::wrap(host.kube());

    let (repositories, renderers) = (Arc::new(repositories), Arc::new(renderers));
    let viewer = Viewer::new(
        client.clone(),
        &config.host.namespace,
        Arc::clone(&repositories),
        Arc::clone(&renderers),
        config.repositories().limits,
        Relay::new(bus.publisher()),
    );
    let objects = Objects::new(client.clone(), host.authorizer(), API_MANAGER);
    let service = Applications::new(objects, client.clone(), host.authorizer(), API_MANAGER, viewer);
    host.serve_grpc(Routes::new(GitopsServiceServer::new(service)), mlp_proto::DESCRIPTOR_SET).await?;
    if let Some(address) = config.webhook_listen {
        let webhook = Webhook::new(client.clone(), &config.host.namespace, bus.clone());
        host.serve_http("webhook-listen", address, webhook.routes()).await?;
    }

    let broker = bus.clone();
    host.readiness("broker", move || {
        if broker.is_connected() { Ok(()) } else { Err("not connected to the broker".to_owned()) }
    });

    let leader =
        Leader { config, host: host.clone(), bus: bus.clone(), client, writes, repositories, renderers };
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
    repositories: Arc<Repositories>,
    renderers: Arc<Renderers>,
}

impl Leader {
    /// Reconciles, watches what was applied and wakes Applications on others' facts, until leadership
    /// ends.
    async fn lead(self, leadership: Leadership) -> Result<(), BoxError> {
        let Self { config, host, bus, client, writes, repositories, renderers } = self;
        let topology = topology(&config)?;
        let all = Api::<Application>::all(client.clone());
        let controller =
            Controller::new(SERVICE, all, watcher::Config::default(), options(&config, writes.clone()));
        let control_namespace = &config.host.namespace;
        let (controller, caches) = watches(controller, &client, control_namespace);
        let applications = controller.handle();
        let (asks, watcher) = watcher_pair(client.clone(), control_namespace, applications.clone());
        let wakes = caches.wakes(applications.clone());
        let all = Api::<ApplicationSet>::all(client.clone());
        let sets = Controller::new(SETS, all, watcher::Config::default(), options(&config, writes.clone()));
        let (sets, generated) = generated(sets, &client, &config.host.namespace);
        let set_reconciler = Arc::new(SetReconciler::new(SetParts {
            client: client.clone(),
            applications: applications.clone(),
            caches: caches.clone(),
            generated,
            repositories: Arc::clone(&repositories),
            renderers: Arc::clone(&renderers),
            forges: Forges::new()?,
        }));
        let all_sets = sets.handle();
        let all = Api::<PolicyExemption>::all(client.clone());
        let exemptions =
            Controller::new(EXEMPTIONS, all, watcher::Config::default(), options(&config, writes));
        let exemption_reconciler = ExemptionReconciler::new(client.clone());
        let reconciler = Arc::new(ApplicationReconciler::new(Parts {
            client,
            applications: applications.store().clone(),
            caches,
            repositories,
            renderers,
            limits: config.repositories().limits,
            watches: asks,
            relay: Relay::new(bus.publisher()),
        }));
        let followed = Notices {
            applications: applications.clone(),
            sets: sets.handle(),
            reconciler: Arc::clone(&reconciler),
            set_reconciler: Arc::clone(&set_reconciler),
        };
        let notices = webhook::notices(&bus).await?;
        host.readiness("caches", move || {
            match [applications.unsynced(), all_sets.unsynced()].concat().as_slice() {
                [] => Ok(()),
                missing => Err(format!("not listed yet: {}", missing.join(", "))),
            }
        });

        let stop = leadership.token().clone();
        let [team, provision] = CONSUMERS.map(|durable| {
            let (topology, bus, handler, stop) =
                (&topology, bus.clone(), WakeApplications::clone(&wakes), stop.clone());
            async move { Ok::<_, BoxError>(bus.consume(topology.consumer(durable)?, handler, stop).await?) }
        });
        let control = async {
            let sets = sets.run(set_reconciler, stop.clone());
            let followed = followed.run(notices, stop.clone());
            let exemptions = exemptions.run(exemption_reconciler, stop.clone());
            let applications = controller.run(reconciler, stop.clone());
            tokio::join!(applications, sets, exemptions, watcher.run(stop.clone()), followed);
            Ok(())
        };
        tokio::try_join!(control, team, provision).map(|_| ())
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
        deadline: DEADLINE,
        // Only this service writes an Application's status; `operation` counts as a change of spec.
        trigger: Trigger::SpecOrMetadata,
        emit_root: Some(|flow, name| {
            telemetry::emit_root(flow, name, &[]);
        }),
        writes: Some(writes),
        ..Options::default()
    }
}
