//! `POST /api/webhook`, the address that Argo CD has: deliveries of forges, each signed, each passed on to the replica that leads.
//!
//! What a delivery says is never acted on, only looked after. It answers 200 once the broker passes it on; a forge shows any
//! other answer to whoever set the webhook up, and can deliver again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use mlp_bus::Bus;
use mlp_model::Secret as Hidden;
use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};
use tokio::sync::{Mutex, Semaphore};

use crate::domain::SERVICE;
use crate::domain::delivery::{self, Notice, Sender};
use crate::reconcile::texts;

/// Argo CD's Secret with what deliveries are signed with.
const SECRET: &str = "argocd-secret";
/// Largest delivery in bytes; a push with the two thousand commits that GitHub names at most takes less.
const LARGEST: usize = 4 * 1024 * 1024;
/// Deliveries read at the same time; further ones wait.
const AT_ONCE: usize = 8;
/// How long one waits.
const WAITING: Duration = Duration::from_secs(5);
/// How long a delivery may take to arrive.
const READING: Duration = Duration::from_secs(10);
/// How long the Secret is taken as it was read.
const KEPT: Duration = Duration::from_secs(10);

/// Takes deliveries and tells the leader.
#[derive(Clone)]
pub struct Webhook {
    secrets: Api<Secret>,
    bus: Bus,
    slots: Arc<Semaphore>,
    kept: Arc<Mutex<Option<(Instant, Keys)>>>,
    deliveries: Counter<u64>,
}

/// The Secret's texts by key.
type Keys = Arc<BTreeMap<String, Hidden<String>>>;

/// A status and what to say with it.
type Answer = (StatusCode, String);

impl Webhook {
    /// Reads Argo CD's Secret in `namespace`, and tells replicas through `bus`.
    pub fn new(client: kube::Client, namespace: &str, bus: Bus) -> Self {
        let meter = global::meter("mlp-gitops-sync");
        let deliveries = meter.u64_counter("mlp.webhook.deliveries");
        Self {
            secrets: Api::namespaced(client, namespace),
            bus,
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            kept: Arc::default(),
            deliveries: deliveries.with_description("Deliveries of forges").with_unit("{delivery}").build(),
        }
    }

    /// The routes.
    pub fn routes(self) -> Router {
        Router::new().route("/api/webhook", post(deliver)).with_state(self)
    }

    async fn take(&self, sender: Sender, headers: &HeaderMap, body: Body) -> Result<Answer, Answer> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.trim_start().starts_with("application/json")) {
            let words = "Content-Type: is not application/json; choose JSON in the webhook's settings";
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, words.to_owned()));
        }
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        // Whoever shows nothing is told so before anything is read.
        let refused = |why: String| (StatusCode::UNAUTHORIZED, why);
        let keys = self.keys().await?;
        let key = sender.secret_key();
        let secret = keys.get(key).map(|secret| secret.expose().trim()).filter(|secret| !secret.is_empty());
        let secret = secret.ok_or_else(|| {
            refused(format!("no delivery of this kind is taken: the Secret {SECRET} has no `{key}`"))
        })?;
        // Argo CD would read another Secret for it.
        if secret.starts_with('$') {
            return Err(refused(format!(
                "the Secret {SECRET}: `{key}` names another Secret, which is not supported; write the secret itself"
            )));
        }
        sender.proof(header).map_err(refused)?;
        let slot = tokio::time::timeout(WAITING, self.slots.acquire()).await;
        let _slot = slot.map_err(|_| {
            (StatusCode::SERVICE_UNAVAILABLE, "too many deliveries at once; deliver again".to_owned())
        })?;
        let body = tokio::time::timeout(READING, to_bytes(body, LARGEST)).await;
        let body = body.map_err(|_| (StatusCode::REQUEST_TIMEOUT, "the body takes too long".to_owned()))?;
        let body = body.map_err(|_| {
            (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {LARGEST} bytes"))
        })?;
        sender.verify(header, &body, secret).map_err(refused)?;
        let notice = delivery::read(sender, header, &body);
        let Some(notice) = notice.map_err(|why| (StatusCode::BAD_REQUEST, why))? else {
            return Ok((StatusCode::OK, "nothing to do for this event\n".to_owned()));
        };
        let hint = serde_json::to_vec(&notice).unwrap_or_default();
        self.bus.hint(SERVICE, hint).await.map_err(|error| {
            tracing::warn!(%error, "webhook not passed on");
            (StatusCode::SERVICE_UNAVAILABLE, "the event broker is away; deliver again".to_owned())
        })?;
        tracing::info!(sender = sender.as_str(), repositories = ?notice.repositories, change = ?notice.change, "webhook");
        Ok((StatusCode::OK, "looking\n".to_owned()))
    }

    /// What deliveries are signed with. Whoever knocks costs the API server one read in a while, and no more.
    async fn keys(&self) -> Result<Keys, Answer> {
        let mut kept = self.kept.lock().await;
        if let Some((_, keys)) = kept.as_ref().filter(|(at, _)| at.elapsed() < KEPT) {
            return Ok(Arc::clone(keys));
        }
        let found = self.secrets.get_opt(SECRET).await.map_err(|error| {
            tracing::warn!(%error, "webhook secrets not read");
            (StatusCode::SERVICE_UNAVAILABLE, "the API server is away; deliver again".to_owned())
        })?;
        let found = found.iter().flat_map(texts).map(|(key, text)| (key, Hidden::new(text)));
        let keys: Keys = Arc::new(found.filter(|(key, _)| key.starts_with("webhook.")).collect());
        *kept = Some((Instant::now(), Arc::clone(&keys)));
        Ok(keys)
    }
}

async fn deliver(State(webhook): State<Webhook>, headers: HeaderMap, body: Body) -> Answer {
    let sender = Sender::of(|name| headers.get(name).and_then(|value| value.to_str().ok()));
    let (Ok((code, words)) | Err((code, words))) = webhook.take(sender, &headers, body).await;
    let labels = [
        KeyValue::new("sender", sender.as_str()),
        KeyValue::new("http.response.status_code", i64::from(code.as_u16())),
    ];
    webhook.deliveries.add(1, &labels);
    (code, words)
}

/// What deliveries said to any replica, from now on.
///
/// # Errors
/// The connection to the broker is closed.
pub async fn notices(bus: &Bus) -> Result<impl Stream<Item = Notice> + Send + use<>, mlp_bus::EnsureError> {
    let hints = bus.hints(SERVICE).await?;
    // A replica of another version may say what this one does not know.
    Ok(hints.filter_map(async |hint| serde_json::from_slice(&hint).ok()))
}
