//! What a server has: the services of the descriptor set that its routes really serve.
//!
//! The descriptor set is the whole platform's; a server is one service of it. Reflection, health
//! and metrics must name what is here only.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{Request, header};
use prost_types::FileDescriptorSet;
use tonic::Status;
use tower::ServiceExt as _;

/// A method that no service has: protobuf names start with a letter.
const NO_METHOD: &str = "-";
/// Methods that every server has.
const COMMON: [(&str, &[&str]); 3] = [
    ("grpc.health.v1.Health", &["Check", "List", "Watch"]),
    ("grpc.reflection.v1.ServerReflection", &["ServerReflectionInfo"]),
    ("grpc.reflection.v1alpha.ServerReflection", &["ServerReflectionInfo"]),
];

/// Names of services and methods.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// `package.Service` of the routes, health and reflection apart.
    pub(super) services: BTreeSet<String>,
    /// `package.Service/Method` of all that the server has.
    pub(super) methods: BTreeSet<String>,
}

/// Marks the answer to a call that no route took.
#[derive(Clone, Copy)]
struct Missing;

impl Contents {
    /// Reads the descriptor set and asks the routes which of its services are there.
    pub(super) async fn of(set: &FileDescriptorSet, routes: &Router) -> Self {
        let mut contents = Self::default();
        for (service, methods) in COMMON {
            contents.methods.extend(methods.iter().map(|method| format!("{service}/{method}")));
        }
        for file in &set.file {
            for service in &file.service {
                let name = format!("{}.{}", file.package(), service.name());
                if !is_served(&name, routes).await {
                    continue;
                }
                contents
                    .methods
                    .extend(service.method.iter().map(|method| format!("{name}/{}", method.name())));
                contents.services.insert(name);
            }
        }
        contents
    }
}

/// Gives routes an answer of ours for what they do not serve, by which [`Contents::of`] knows.
pub(super) fn with_fallback(routes: Router) -> Router {
    routes.fallback(|| async {
        let mut response: Response = Status::unimplemented("this server has no such service").into_http();
        response.extensions_mut().insert(Missing);
        response
    })
}

/// A service that is there refuses a method that it has not; nothing else happens.
async fn is_served(name: &str, routes: &Router) -> bool {
    let asked =
        Request::post(format!("/{name}/{NO_METHOD}")).header(header::CONTENT_TYPE, "application/grpc");
    let Ok(request) = asked.body(Body::empty()) else { return false };
    let Ok(response) = routes.clone().oneshot(request).await;
    response.extensions().get::<Missing>().is_none()
}
