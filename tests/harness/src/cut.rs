//! A process that is gone after some of its writes, without a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use tokio_util::sync::CancellationToken;

/// A client that lets a number of writes through; what comes after waits for ever, as it would for a process
/// that is gone, and is told by the token.
pub fn cut_after(client: Client, writes: usize) -> (Client, CancellationToken) {
    let (cut, namespace) = (CancellationToken::new(), client.default_namespace().to_owned());
    let (left, told) = (Arc::new(AtomicUsize::new(writes)), cut.clone());
    let send = move |request: Request<Body>| {
        let take = |left: usize| left.checked_sub(1);
        let goes = request.method() == Method::GET
            || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok();
        let (client, told) = (client.clone(), told.clone());
        async move {
            if goes {
                return client.send(request).await;
            }
            told.cancel();
            std::future::pending().await
        }
    };
    (Client::new(tower::service_fn(send), namespace), cut)
}
