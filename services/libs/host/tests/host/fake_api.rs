//! A scripted Kubernetes API: reviews of tokens and access, and Leases with resource versions.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

/// The API; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct FakeApi {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    /// Who a token belongs to.
    pub(crate) tokens: BTreeMap<String, (String, Vec<String>)>,
    /// `user verb group/resource namespace/name` that are allowed.
    pub(crate) allowed: BTreeSet<String>,
    /// Leases by name.
    pub(crate) leases: BTreeMap<String, Value>,
    /// Every request, as `METHOD path`.
    pub(crate) calls: Vec<String>,
    /// When set, every request fails with this code.
    pub(crate) broken: Option<u16>,
    /// When set, no request is ever answered.
    pub(crate) silent: bool,
    version: u64,
}

impl FakeApi {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn client(&self) -> kube::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        });
        kube::Client::new(service, "default")
    }

    /// How many requests had this method and a path with this in it.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        self.state().calls.iter().filter(|call| call.starts_with(method) && call.contains(path)).count()
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let bytes = body.collect_bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let path = head.uri.path().to_owned();
        let silent = {
            let mut state = self.state();
            state.calls.push(format!("{} {path}", head.method));
            state.silent
        };
        if silent {
            std::future::pending::<()>().await;
        }
        let mut state = self.state();
        if let Some(code) = state.broken {
            return failure(code, "broken by the test");
        }
        match path.rsplit('/').next().unwrap() {
            "tokenreviews" => state.review_token(body),
            "subjectaccessreviews" => state.review_access(body),
            "leases" => state.create_lease(body),
            name if path.contains("/leases/") => state.lease(&head.method, name, body),
            _ => failure(404, "the scripted API has no such path"),
        }
    }
}

impl State {
    fn review_token(&self, mut review: Value) -> Response<Body> {
        let token = review["spec"]["token"].as_str().unwrap();
        review["status"] = match self.tokens.get(token) {
            Some((user, groups)) => json!({
                "authenticated": true,
                "user": { "username": user, "uid": "u-7", "groups": groups, "extra": { "scope": ["all"] } },
            }),
            None => json!({ "authenticated": false, "error": "unknown" }),
        };
        success(&review)
    }

    fn review_access(&self, mut review: Value) -> Response<Body> {
        let spec = &review["spec"];
        let asked = &spec["resourceAttributes"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = format!(
            "{} {} {}/{} {}/{}",
            text(&spec["user"]),
            text(&asked["verb"]),
            text(&asked["group"]),
            text(&asked["resource"]),
            text(&asked["namespace"]),
            text(&asked["name"])
        );
        review["status"] = json!({ "allowed": self.allowed.contains(&key) });
        success(&review)
    }

    fn create_lease(&mut self, lease: Value) -> Response<Body> {
        let name = lease["metadata"]["name"].as_str().unwrap().to_owned();
        if self.leases.contains_key(&name) {
            return failure(409, "exists");
        }
        self.store(name, lease)
    }

    fn lease(&mut self, method: &Method, name: &str, body: Value) -> Response<Body> {
        let Some(stored) = self.leases.get(name) else { return failure(404, "no such lease") };
        if method == Method::GET {
            return success(stored);
        }
        if stored["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] {
            return failure(409, "the object has been modified");
        }
        self.store(name.to_owned(), body)
    }

    fn store(&mut self, name: String, mut lease: Value) -> Response<Body> {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let answer = success(&lease);
        self.leases.insert(name, lease);
        answer
    }

    /// Writes a Lease behind everyone's back, as another holder would.
    pub(crate) fn usurp(&mut self, name: &str, holder: &str) {
        let mut lease = self.leases.get(name).unwrap().clone();
        let transitions = lease["spec"]["leaseTransitions"].as_i64().unwrap();
        lease["spec"]["holderIdentity"] = json!(holder);
        lease["spec"]["leaseTransitions"] = json!(transitions + 1);
        self.store(name.to_owned(), lease);
    }
}

fn success(body: &Value) -> Response<Body> {
    respond(StatusCode::OK, body)
}

fn failure(code: u16, message: &str) -> Response<Body> {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        _ => "InternalError",
    };
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
        "reason": reason, "code": code });
    respond(StatusCode::from_u16(code).unwrap(), &status)
}

fn respond(code: StatusCode, body: &Value) -> Response<Body> {
    let bytes = serde_json::to_vec(body).unwrap();
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(Body::from(bytes))
        .unwrap()
}
