//! Authentication: a client certificate, else a bearer token reviewed by the API server.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::AUTHORIZATION;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::Api;
use kube::api::PostParams;
use sha2::{Digest as _, Sha256};
use tonic::Status;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};

use super::cache::Cache;
use super::identity::Identity;
use super::status::{refusal, unavailable};

/// How many tokens' answers are remembered.
const TOKENS: usize = 1_024;
/// How long a token stays accepted without asking again: what a revoked one may still do.
const ACCEPTED_FOR: Duration = Duration::from_secs(30);
/// How long a token stays refused without asking again.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// How long the API server may take to review a token.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(5);
/// Calls that need no identity: probes have none, and reflection tells only what is public.
const OPEN: [&str; 2] = ["/grpc.health.v1.Health/", "/grpc.reflection."];

/// Asks the API server who a token belongs to, and remembers the answer for a short while.
pub(super) struct Authenticator {
    reviews: Api<TokenReview>,
    /// By SHA-256 of the token: the token itself is not kept.
    known: Cache<[u8; 32], Option<Identity>>,
}

impl Authenticator {
    pub(super) fn new(client: kube::Client) -> Self {
        Self { reviews: Api::all(client), known: Cache::new(TOKENS) }
    }

    /// The identity behind a bearer token.
    async fn of_token(&self, token: &str) -> Result<Identity, Status> {
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let known = match self.known.get(&key) {
            Some(known) => known,
            None => {
                let reviewed = self.review(token).await?;
                let keep = if reviewed.is_some() { ACCEPTED_FOR } else { REFUSED_FOR };
                self.known.put(key, reviewed.clone(), keep);
                reviewed
            }
        };
        known.ok_or_else(|| unauthenticated("the API server does not accept this token; get a new one"))
    }

    async fn review(&self, token: &str) -> Result<Option<Identity>, Status> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let params = PostParams::default();
        let asked = self.reviews.create(&params, &review);
        let answer = match tokio::time::timeout(REVIEW_TIMEOUT, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::warn!(%error, "token review failed");
                return Err(unavailable("the API server cannot review tokens at the moment"));
            }
            Err(_) => return Err(unavailable("the API server takes too long to review the token")),
        };
        let status = answer.status.unwrap_or_default();
        let accepted = status.authenticated.unwrap_or_default();
        Ok(status.user.filter(|_| accepted).and_then(Identity::from_review))
    }
}

/// Puts the caller's [`Identity`] into the request's extensions, or refuses the call.
pub(super) async fn authenticate(
    State(authenticator): State<Arc<Authenticator>>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    if OPEN.iter().any(|prefix| path.starts_with(prefix)) {
        return next.run(request).await;
    }
    let identity = match certificate_identity(&request) {
        Some(identity) => Ok(identity),
        None => match bearer_token(&request) {
            Ok(token) => authenticator.of_token(&token).await,
            Err(status) => Err(status),
        },
    };
    match identity {
        Ok(identity) => {
            request.extensions_mut().insert(identity);
            // A handler that logs its metadata must not log the token.
            request.headers_mut().remove(AUTHORIZATION);
            next.run(request).await
        }
        Err(status) => status.into_http::<axum::body::Body>(),
    }
}

fn certificate_identity(request: &Request) -> Option<Identity> {
    let info = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>()?;
    Identity::from_certificate(info.peer_certs()?.first()?)
}

fn bearer_token(request: &Request) -> Result<String, Status> {
    let header = request.headers().get(AUTHORIZATION);
    let header = header.ok_or_else(|| {
        unauthenticated("no identity; send `authorization: Bearer TOKEN` or a client certificate")
    })?;
    let token = header.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then(|| token.trim().to_owned())
    });
    token.ok_or_else(|| unauthenticated("`authorization` is not `Bearer TOKEN`"))
}

fn unauthenticated(message: &str) -> Status {
    refusal(tonic::Code::Unauthenticated, "Unauthenticated", message)
}
