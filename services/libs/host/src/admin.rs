//! The admin port: `/livez`, `/readyz` (`?verbose` names each check), `/metrics`.

use std::collections::HashMap;
use std::future::Future;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::connections::Limited;
use crate::readiness::{Readiness, verbose};

/// Most connections at a time.
const MOST_CONNECTIONS: u32 = 128;
/// The content type of Prometheus' text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    registry: prometheus::Registry,
}

/// Serves the admin port until `stop` resolves, then ends its open connections.
///
/// # Errors
/// What the operating system says about the listener.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    registry: prometheus::Registry,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = Limited::new(listener, MOST_CONNECTIONS);
    axum::serve(listener, router(readiness, registry)).with_graceful_shutdown(stop).await
}

/// The routes of the admin port.
pub fn router(readiness: Readiness, registry: prometheus::Registry) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Admin { readiness, registry })
}

async fn readyz(State(admin): State<Admin>, Query(query): Query<HashMap<String, String>>) -> Response {
    let findings = admin.readiness.findings();
    let failed: Vec<&str> =
        findings.iter().filter(|finding| finding.problem.is_some()).map(|f| f.name.as_str()).collect();
    let code = if failed.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let text = if query.contains_key("verbose") {
        verbose(&findings)
    } else if failed.is_empty() {
        "ok\n".to_owned()
    } else {
        format!("not ready: {}\n", failed.join(", "))
    };
    (code, text).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match prometheus::TextEncoder::new().encode_to_string(&admin.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
