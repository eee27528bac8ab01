//! Counting writes where they leave the process, so that "0 writes in steady state" is a fact.
//!
//! [`WriteCounter::wrap`] goes around the client once, in the composition root: whatever code holds
//! the wrapped client is counted. Reads, dry runs, authorization reviews and Lease renewals are not
//! writes in this sense (design section 10). A write is also noted for the reconcile that makes it
//! ([`crate::effect`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tower::Service;

use crate::effect;

/// How many writes a wrapped client has sent.
#[derive(Clone, Debug, Default)]
pub struct WriteCounter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: AtomicU64,
    /// Those whose reconcile is not known: it may be any of those that run.
    unattributed: AtomicU64,
}

impl WriteCounter {
    /// A client that does what `client` does and counts its writes here and in the metric
    /// `mlp.kubernetes.writes`. Must be called within a tokio runtime.
    pub fn wrap(client: Client) -> (Client, Self) {
        let counter = Self::default();
        let namespace = client.default_namespace().to_owned();
        let counting = Counting { client, counter: counter.clone(), metric: crate::metrics::writes() };
        (Client::new(counting, namespace), counter)
    }

    /// Writes sent so far, whether they were accepted or not.
    pub fn total(&self) -> u64 {
        self.0.all.load(Ordering::Relaxed)
    }

    /// Writes so far that no reconcile is known to have made.
    pub(crate) fn unattributed(&self) -> u64 {
        self.0.unattributed.load(Ordering::Acquire)
    }

    fn count(&self) {
        self.0.all.fetch_add(1, Ordering::Relaxed);
        if !effect::note() {
            self.0.unattributed.fetch_add(1, Ordering::Release);
        }
    }
}

struct Counting {
    client: Client,
    counter: WriteCounter,
    metric: Counter<u64>,
}

impl Service<Request<Body>> for Counting {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, kube::Error>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), kube::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let Some(resource) = written_resource(request.method(), request.uri()) {
            self.counter.count();
            let verb = KeyValue::new("http.request.method", request.method().to_string());
            self.metric.add(1, &[verb, KeyValue::new("k8s.resource", resource)]);
        }
        let client = self.client.clone();
        async move { client.send(request).await }.boxed()
    }
}

/// The plural (and subresource) that a request could change; `None` for what is no write.
fn written_resource(method: &Method, uri: &http::Uri) -> Option<String> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return None;
    }
    let dry_run = uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("dryRun=")));
    let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
    let group = match parts.next() {
        Some("apis") => parts.next().unwrap_or_default(),
        _ => "",
    };
    let _version = parts.next();
    let rest: Vec<_> = parts.collect();
    let resource = match rest.as_slice() {
        ["namespaces", _, sub @ ("status" | "finalize")] => format!("namespaces/{sub}"),
        ["namespaces", _, plural] | ["namespaces", _, plural, _] => (*plural).to_owned(),
        ["namespaces", _, plural, _, sub, ..] | [plural, _, sub, ..] => format!("{plural}/{sub}"),
        [plural] | [plural, _] => (*plural).to_owned(),
        [] => uri.path().to_owned(),
    };
    let review = matches!(group, "authentication.k8s.io" | "authorization.k8s.io");
    let lease = group == "coordination.k8s.io";
    (!dry_run && !review && !lease).then_some(resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(method: &str, uri: &str) -> Option<String> {
        written_resource(&method.parse().unwrap(), &uri.parse().unwrap())
    }

    #[test]
    fn tells_writes_from_the_rest() {
        for (method, uri, expected) in [
            ("GET", "/api/v1/namespaces/ml-team", None),
            ("PATCH", "/api/v1/namespaces/ml-team", Some("namespaces")),
            ("PATCH", "/api/v1/namespaces/ml-team/status", Some("namespaces/status")),
            ("POST", "/api/v1/namespaces/ml-team/configmaps", Some("configmaps")),
            ("PATCH", "/api/v1/namespaces/ml-team/configmaps/a?fieldManager=x", Some("configmaps")),
            ("PATCH", "/api/v1/namespaces/ml-team/configmaps/a?dryRun=All&fieldManager=x", None),
            ("DELETE", "/apis/apps/v1/namespaces/ml-team/deployments/a", Some("deployments")),
            ("PATCH", "/apis/mlplatform.dev/v1alpha1/teams/ml/status", Some("teams/status")),
            (
                "PATCH",
                "/apis/mlplatform.dev/v1alpha1/namespaces/ml-team/databases/a/status",
                Some("databases/status"),
            ),
            ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", None),
            ("POST", "/apis/authentication.k8s.io/v1/tokenreviews", None),
            ("PUT", "/apis/coordination.k8s.io/v1/namespaces/mlp-system/leases/provisioner", None),
        ] {
            assert_eq!(written(method, uri).as_deref(), expected, "{method} {uri}");
        }
    }
}
