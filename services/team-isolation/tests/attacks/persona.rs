//! Who sends a request.

use std::collections::HashMap;

use http::Request;
use kube::Client;
use kube::config::KubeConfigOptions;
use mlp_harness::ControlPlane;
use serde_json::Value;
use tokio::runtime::{Handle, Id};
use tokio::sync::Mutex;

/// Somebody with an identity at the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Persona {
    /// Admin of team `app`, which has no GPU.
    AppAdmin,
    /// Engineer of team `app`.
    AppEdit,
    /// Reader of team `app`.
    AppView,
    /// The account of team `app`'s automation.
    AppAccount,
    /// Admin of team `ml`.
    MlAdmin,
    /// Admin of team `tiny`.
    TinyAdmin,
    /// Admin of the teams that come and go while the service is killed.
    HalfAdmin,
    /// Engineer of those teams.
    HalfEdit,
    /// Reader of those teams.
    HalfView,
    /// Somebody who declares teams and may read no Secret.
    TeamWriter,
    /// Somebody who may change every object of the cluster, and is not the platform.
    Operator,
    /// The administrator.
    Root,
}

impl Persona {
    /// User and groups; nothing for the administrator, who needs no impersonation.
    fn identity(self) -> Option<(&'static str, Vec<&'static str>)> {
        let member = |group| vec![group, "system:authenticated"];
        Some(match self {
            Self::AppAdmin => ("ada", member("app-admins")),
            Self::AppEdit => ("eve", member("app-engineers")),
            Self::AppView => ("vic", member("app-viewers")),
            Self::AppAccount => (
                "system:serviceaccount:app-prod:app-team",
                vec!["system:serviceaccounts", "system:serviceaccounts:app-prod", "system:authenticated"],
            ),
            Self::MlAdmin => ("mia", member("ml-admins")),
            Self::TinyAdmin => ("tim", member("tiny-admins")),
            Self::HalfAdmin => ("hal", member("half-admins")),
            Self::HalfEdit => ("hat", member("half-engineers")),
            Self::HalfView => ("hav", member("half-viewers")),
            Self::TeamWriter => ("tea", member("team-writers")),
            Self::Operator => ("ops", member("operators")),
            Self::Root => return None,
        })
    }

    /// Whoever has in a team that comes and goes the part that this one has in team `app`.
    pub(crate) const fn of_half(self) -> Self {
        match self {
            Self::AppAdmin => Self::HalfAdmin,
            Self::AppEdit | Self::AppAccount => Self::HalfEdit,
            Self::AppView => Self::HalfView,
            other => other,
        }
    }

    /// One connection for each runtime: it ends with its runtime.
    async fn client(self, plane: &ControlPlane) -> Client {
        static CLIENTS: Mutex<Option<HashMap<(Id, Persona), Client>>> = Mutex::const_new(None);
        let mut clients = CLIENTS.lock().await;
        let clients = clients.get_or_insert_default();
        let key = (Handle::current().id(), self);
        if let Some(client) = clients.get(&key) {
            return client.clone();
        }
        let options = KubeConfigOptions::default();
        let kubeconfig = kube::config::Kubeconfig::read_from(plane.kubeconfig()).unwrap();
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        if let Some((user, groups)) = self.identity() {
            config.auth_info.impersonate = Some(user.to_owned());
            config.auth_info.impersonate_groups = Some(groups.into_iter().map(str::to_owned).collect());
        }
        let client = Client::try_from(config).unwrap();
        clients.insert(key, client.clone());
        client
    }
}

/// The name of the FlowSchema that a request of somebody is counted under.
pub(crate) async fn flow_schema(persona: Persona, method: &str, path: &str, body: Option<&Value>) -> String {
    let plane = ControlPlane::shared().await.unwrap();
    let text = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.body(kube::client::Body::from(text.into_bytes())).unwrap();
    let answer = persona.client(plane).await.send(request).await.unwrap();
    let uid = answer.headers()["x-kubernetes-pf-flowschema-uid"].to_str().unwrap().to_owned();
    let schemas =
        send(Persona::Root, "GET", "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", None).await.body;
    let found = schemas["items"].as_array().unwrap().iter().find(|schema| schema["metadata"]["uid"] == *uid);
    found.map(|schema| schema["metadata"]["name"].as_str().unwrap().to_owned()).unwrap_or(uid)
}

/// What the API server answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) code: u16,
    /// `Status.reason`; empty where it was admitted.
    pub(crate) reason: String,
    /// `Status.message`; empty where it was admitted.
    pub(crate) message: String,
    /// The object, where it was admitted.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn is_admitted(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

/// Sends one request as somebody.
pub(crate) async fn send(persona: Persona, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let plane = ControlPlane::shared().await.unwrap();
    let content = match method {
        "PATCH" => "application/merge-patch+json",
        "STRATEGIC" => "application/strategic-merge-patch+json",
        "APPLY" => "application/apply-patch+yaml",
        _ => "application/json",
    };
    let method = if ["APPLY", "STRATEGIC"].contains(&method) { "PATCH" } else { method };
    let text = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content)
        .body(text.into_bytes())
        .unwrap();
    match persona.client(plane).await.request::<Value>(request).await {
        Ok(body) => Answer { code: 200, reason: String::new(), message: String::new(), body },
        Err(kube::Error::Api(status)) => Answer {
            code: status.code,
            reason: status.reason.clone(),
            message: status.message.clone(),
            body: Value::Null,
        },
        Err(error) => panic!("{method} {path}: {error}"),
    }
}
