//! A mock of the API server for tests of reconcilers (cargo feature `testing`).
//!
//! A test says which calls it expects, in order, and what each is answered. A call that was not
//! expected fails the test, and so does one that never came. Lists and watches of a [`Feed`] are
//! answered beside that order, as a controller makes them when it likes.
//!
//! ```
//! # use mlp_reconcile::{Applied, Applier, testing::{Call, MockApi}};
//! # use k8s_openapi::api::core::v1::ConfigMap;
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let api = MockApi::new();
//! let path = "/api/v1/namespaces/ml-team/configmaps/settings";
//! api.expect(Call::get(path).not_found());
//! api.expect(Call::apply(path).query("fieldManager", "team-isolation").echoes());
//!
//! let mut desired = ConfigMap::default();
//! desired.metadata.name = Some("settings".into());
//! desired.metadata.namespace = Some("ml-team".into());
//! let applied = Applier::new(api.client(), "team-isolation").apply(&desired).await;
//! assert_eq!(applied.unwrap(), Applied::Created);
//! api.verify().await;
//! # });
//! ```
#![expect(clippy::panic, reason = "a test helper fails the test that uses it")]

mod call;
mod feed;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use tokio::sync::Notify;

pub use call::Call;
use call::{Seen, refusal};
pub use feed::Feed;

/// How long [`MockApi::verify`] waits for a call that has not come.
pub const LIMIT: Duration = Duration::from_secs(5);

pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// An API server that expects certain calls.
pub struct MockApi {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    expected: VecDeque<Call>,
    always: Vec<Call>,
    feeds: Vec<Feed>,
    failures: Vec<String>,
    verified: bool,
}

impl Default for MockApi {
    fn default() -> Self {
        Self::new()
    }
}

impl MockApi {
    /// A server that expects nothing yet.
    pub fn new() -> Self {
        Self { shared: Arc::default() }
    }

    /// A client of this server. Must be called within a tokio runtime.
    pub fn client(&self) -> Client {
        Client::new(Wire(Arc::clone(&self.shared)), "default")
    }

    /// Expects `call` after all that were expected before.
    pub fn expect(&self, call: Call) {
        self.shared.lock().expected.push_back(call);
    }

    /// Answers `call` any number of times, at any time.
    pub fn always(&self, call: Call) {
        self.shared.lock().always.push(call);
    }

    /// Serves lists and watches of a collection, for example
    /// `/apis/mlplatform.dev/v1alpha1/teams` of kind `Team`.
    pub fn feed(&self, path: &str, kind: &str) -> Feed {
        let feed = Feed::new(path, kind);
        self.shared.lock().feeds.push(feed.clone());
        feed
    }

    /// Waits until all expected calls have come.
    ///
    /// # Panics
    /// When one does not come within [`LIMIT`], or when a call came that was not expected.
    pub async fn verify(&self) {
        let all_came = async {
            loop {
                let changed = self.shared.changed.notified();
                if self.shared.lock().is_settled() {
                    return;
                }
                changed.await;
            }
        };
        // On a timeout, the state says what is missing.
        let _ = tokio::time::timeout(LIMIT, all_came).await;
        let mut state = self.shared.lock();
        state.verified = true;
        let report = state.report();
        drop(state);
        if let Some(report) = report {
            panic!("{report}");
        }
    }
}

impl Drop for MockApi {
    fn drop(&mut self) {
        let state = self.shared.lock();
        if state.verified || std::thread::panicking() {
            return;
        }
        let report = state.report();
        drop(state);
        if let Some(report) = report {
            panic!("{report}");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, seen: &Seen) -> Result<Answer, std::io::Error> {
        let mut state = self.lock();
        if let Some(call) = state.always.iter().find(|call| call.mismatch(seen).is_none()) {
            return call.answer(seen);
        }
        if let Some(answer) = state.feeds.iter().find_map(|feed| feed.answer(seen)) {
            return Ok(answer);
        }
        let mismatch = match state.expected.front() {
            None => Some("no call was expected any more".to_owned()),
            Some(call) => call.mismatch(seen),
        };
        if let Some(mismatch) = mismatch {
            let failure = format!("unexpected call {seen}\n  {mismatch}");
            let answer = refusal(400, "BadRequest", &failure);
            state.failures.push(failure);
            self.changed.notify_waiters();
            return Ok(answer);
        }
        let call = state.expected.pop_front();
        self.changed.notify_waiters();
        call.map_or_else(|| Ok(refusal(500, "InternalError", "no call")), |call| call.answer(seen))
    }
}

impl State {
    /// Whether waiting longer cannot change the verdict for the better.
    fn is_settled(&self) -> bool {
        self.expected.is_empty() || !self.failures.is_empty()
    }

    fn report(&self) -> Option<String> {
        let missing = self.expected.iter().map(|call| format!("missing call {call}"));
        let lines: Vec<_> = self.failures.iter().cloned().chain(missing).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// The client's end of the wire.
struct Wire(Arc<Shared>);

impl tower::Service<Request<Body>> for Wire {
    type Response = Answer;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<Answer, std::io::Error>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            shared.answer(&Seen::new(&parts, body))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
