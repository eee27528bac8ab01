//! Something that happens between two requests of a client.

use http::Request;
use kube::Client;
use kube::client::Body;

/// A client that waits for `happens` before it sends a request that `is` picks. What `happens` does goes by a client of its own.
pub fn before_each<F: Future<Output = ()> + Send + 'static>(
    client: Client,
    is: impl Fn(&Request<Body>) -> bool + Send + Sync + Clone + 'static,
    happens: impl Fn() -> F + Send + Sync + Clone + 'static,
) -> Client {
    let namespace = client.default_namespace().to_owned();
    let send = move |request: Request<Body>| {
        let first = is(&request).then(&happens);
        let client = client.clone();
        async move {
            if let Some(first) = first {
                first.await;
            }
            client.send(request).await
        }
    };
    Client::new(tower::service_fn(send), namespace)
}
