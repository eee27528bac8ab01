//! The composition root: what exists, in which order it starts, and how it ends.

use std::process::ExitCode;

use mlp_bus::{Bus, BusOptions, Relay, Topology};
use mlp_host::{BoxError, Host};
use mlp_proto::health::api::v1::health_service_server::HealthServiceServer;
use tonic::service::Routes;

use crate::api::Service;
use crate::config::Config;
use crate::events::consume::{DURABLES, WakeTeam};
use crate::reconcile::apply::SERVICE;
use crate::reconcile::{TeamHealth, Writer, controller};

/// Runs the service until it is told to stop.
///
/// # Errors
/// What keeps it from starting: the broker, the streams, or the gRPC address.
pub async fn run(args: Config, host: Host) -> Result<ExitCode, BoxError> {
    let bus = Bus::connect(BusOptions {
        servers: host.args().nats_servers(),
        credentials: host.args().nats_creds.clone(),
        tls_ca: host.args().nats_ca.clone(),
        client_name: SERVICE.to_owned(),
        ..BusOptions::default()
    })
    .await?;
    let topology = Topology::builtin()?;
    bus.ensure_streams(&topology.streams).await?;
    let connected = bus.clone();
    host.readiness("bus", move || {
        if connected.is_connected() { Ok(()) } else { Err("not connected to the event broker".to_owned()) }
    });

    let elector = host.elector(SERVICE);
    let stop = host.draining();
    let leader = {
        let (host, bus, args) = (host.clone(), bus.clone(), args.clone());
        move |leadership: mlp_host::lease::Leadership| lead(args.clone(), host.clone(), bus.clone(), leadership)
    };
    host.spawn("leader", async move { elector.run(stop, leader).await });

    let service = Service::new(host.kube(), host.authorizer());
    let routes = Routes::new(HealthServiceServer::new(service));
    host.serve_grpc(routes, mlp_proto::DESCRIPTOR_SET).await?;
    let drain_within = host.args().drain_timeout;
    Ok(host.run(move || async move { bus.drain(drain_within).await }).await)
}

/// The work of the one replica that leads: the loop over teams and the consumers that wake it.
async fn lead(
    args: Config,
    host: Host,
    bus: Bus,
    leadership: mlp_host::lease::Leadership,
) -> Result<(), BoxError> {
    let client = host.kube();
    let (teams, world) = controller(&client);
    let handle = teams.handle();
    let writer = Writer::new(client, Relay::new(bus.publisher()));
    let reconciler =
        TeamHealth::new(world, writer, args.patience(), args.retention(), jiff::Timestamp::now);
    let token = leadership.token().clone();
    let topology = Topology::builtin()?;
    let mut consumers = tokio::task::JoinSet::new();
    for durable in DURABLES {
        let (spec, bus, token) = (topology.consumer(durable)?, bus.clone(), token.clone());
        let handler = WakeTeam::new(handle.clone());
        consumers.spawn(async move { bus.consume(spec, handler, token).await });
    }
    teams.run(reconciler, token).await;
    while let Some(ended) = consumers.join_next().await {
        ended??;
    }
    Ok(())
}
