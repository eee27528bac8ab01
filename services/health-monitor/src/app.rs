//! The composition root: what exists, in which order it starts, and how it ends.

use std::process::ExitCode;
use std::time::Duration;

use mlp_bus::{Bus, BusOptions, Relay, Topology};
use mlp_host::lease::Leadership;
use mlp_host::{BoxError, Host};
use mlp_proto::health::api::v1::health_service_server::HealthServiceServer;
use mlp_reconcile::WriteCounter;
use tonic::service::Routes;

use crate::api::Service;
use crate::config::Config;
use crate::events::consume::{DURABLES, WakeTeam};
use crate::reconcile::apply::SERVICE;
use crate::reconcile::{TeamHealth, Writer, controller};

/// How long closing the connection to the broker may take.
const BUS_DRAIN: Duration = Duration::from_secs(3);

/// Runs the service until it is told to stop.
///
/// # Errors
/// What keeps it from starting: the broker, the streams, or the gRPC address.
pub async fn run(config: Config, host: Host) -> Result<ExitCode, BoxError> {
    let bus = Bus::connect(BusOptions {
        servers: host.args().nats_servers(),
        credentials: host.args().nats_creds.clone(),
        tls_ca: host.args().nats_ca.clone(),
        client_name: SERVICE.to_owned(),
        ..BusOptions::default()
    })
    .await?;
    let topology = topology(&config)?;
    bus.ensure_streams(&topology.streams).await?;
    let connected = bus.clone();
    host.readiness("broker", move || {
        if connected.is_connected() { Ok(()) } else { Err("not connected to the broker".to_owned()) }
    });

    let elector = host.elector(SERVICE);
    let stop = host.shutdown();
    let leader = {
        let (host, bus, config) = (host.clone(), bus.clone(), config.clone());
        move |leadership: Leadership| lead(config.clone(), host.clone(), bus.clone(), leadership)
    };
    host.spawn("leader", async move { elector.run(stop, leader).await });

    let service = Service::new(host.kube(), host.authorizer());
    let routes = Routes::new(HealthServiceServer::new(service));
    host.serve_grpc(routes, mlp_proto::DESCRIPTOR_SET).await?;
    let code = host.run(|| async {}).await;
    bus.drain(BUS_DRAIN).await;
    Ok(code)
}

/// The work of the one replica that leads: the loop over teams and the consumers that wake it.
async fn lead(config: Config, host: Host, bus: Bus, leadership: Leadership) -> Result<(), BoxError> {
    let (client, writes) = WriteCounter::wrap(host.kube());
    let (teams, world) = controller(&client, writes);
    let handle = teams.handle();
    let synced = handle.clone();
    host.readiness("caches", move || match synced.unsynced().as_slice() {
        [] => Ok(()),
        missing => Err(format!("not listed yet: {}", missing.join(", "))),
    });
    let writer = Writer::new(client, Relay::new(bus.publisher()));
    let reconciler =
        TeamHealth::new(world, writer, config.patience(), config.retention(), jiff::Timestamp::now);
    let token = leadership.token().clone();
    let topology = topology(&config)?;
    let [team, provision, gitops] = DURABLES.map(|durable| {
        let (topology, bus, token) = (&topology, bus.clone(), token.clone());
        let handler = WakeTeam::new(handle.clone());
        async move { Ok::<_, BoxError>(bus.consume(topology.consumer(durable)?, handler, token).await?) }
    });
    let control = async {
        teams.run(reconciler, token.clone()).await;
        Ok(())
    };
    tokio::try_join!(control, team, provision, gitops).map(|_| ())
}

/// Streams and consumers as built in; the broker is one server locally and three elsewhere.
fn topology(config: &Config) -> Result<Topology, BoxError> {
    let replicas = if config.as_ref().environment.uses_aws() { 3 } else { 1 };
    Ok(Topology::builtin()?.with_replicas(replicas))
}
