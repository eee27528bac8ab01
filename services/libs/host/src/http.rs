//! HTTP on an address of the service's own, for callers that nobody vouches for: a bounded number of
//! connections, each with a bound on the time that it takes.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::connections::Limited;

/// Most connections at a time.
const MOST_CONNECTIONS: u32 = 64;
/// How long a request's headers may take, and an idle connection may stay.
const HEADERS: Duration = Duration::from_secs(10);
/// How long a connection may stay, whatever it does.
const LONGEST: Duration = Duration::from_secs(60);
/// How long calls may go on after the drain began.
const GRACE: Duration = Duration::from_secs(2);

/// Serves until `draining` is cancelled, then lets calls finish.
pub(crate) async fn serve(listener: TcpListener, routes: Router, draining: CancellationToken) {
    let (mut listener, open) = (Limited::new(listener, MOST_CONNECTIONS), GracefulShutdown::new());
    loop {
        let accepted = tokio::select! {
            (connection, _) = axum::serve::Listener::accept(&mut listener) => connection,
            () = draining.cancelled() => break,
        };
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(HEADERS);
        let service = TowerToHyperService::new(routes.clone());
        let served = open.watch(server.serve_connection(TokioIo::new(accepted), service));
        tokio::spawn(async move {
            if let Ok(Err(error)) = tokio::time::timeout(LONGEST, served).await {
                tracing::debug!(%error, "http connection ended");
            }
        });
    }
    // What is not done by then ends with the process.
    let _ = tokio::time::timeout(GRACE, open.shutdown()).await;
}
