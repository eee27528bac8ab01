//! `grpc.health.v1`: what `/readyz` says, in gRPC's words.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use tokio_stream::wrappers::IntervalStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::readiness::Readiness;

/// How often a watched health is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Answers for the whole server (the empty name) and for each of its services.
pub(super) struct ByReadiness {
    readiness: Readiness,
    services: Arc<BTreeSet<String>>,
}

impl ByReadiness {
    pub(super) fn server(readiness: Readiness, services: Arc<BTreeSet<String>>) -> HealthServer<Self> {
        HealthServer::new(Self { readiness, services })
    }
}

#[tonic::async_trait]
impl Health for ByReadiness {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = request.into_inner().service;
        if !name.is_empty() && !self.services.contains(&name) {
            return Err(Status::not_found(format!("this server has no service `{name}`")));
        }
        Ok(Response::new(response(status(&self.readiness))))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let name = request.into_inner().service;
        let known = name.is_empty() || self.services.contains(&name);
        let readiness = self.readiness.clone();
        let looks = IntervalStream::new(tokio::time::interval(WATCH_INTERVAL));
        let changes = looks
            .map(move |_| if known { status(&readiness) } else { ServingStatus::ServiceUnknown })
            .scan(None, |last, now| {
                let changed = last.replace(now) != Some(now);
                futures::future::ready(Some(changed.then(|| Ok(response(now)))))
            })
            .filter_map(futures::future::ready);
        Ok(Response::new(Box::pin(changes)))
    }
}

fn status(readiness: &Readiness) -> ServingStatus {
    if readiness.is_ready() { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
