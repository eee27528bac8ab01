//! What the cluster holds from the start: rights of our components, nodes, a default
//! StorageClass, the platform's namespace, and identities for people and services.
//!
//! Everything is applied server-side under one field manager, so doing it again changes nothing.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, Node, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use mlp_model::labels::{PART_OF, SIMULATED_NODE};
use mlp_model::{Class, Classified, Secret};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::pools::Pool;

/// The platform's own namespace.
pub const NAMESPACE: &str = "mlp-system";

/// Who applies what this module applies.
const MANAGER: &str = "mlp-local";

/// How long the controllers may take to notice a new namespace.
const CONTROLLERS_LIMIT: Duration = Duration::from_secs(30);

/// How often a condition in the cluster is looked at.
const POLL: Duration = Duration::from_millis(50);

/// How long a service's token is good for; each `up` asks for a new one.
const TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Why the cluster could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The API refused or did not answer.
    #[error("the Kubernetes API did not {action}")]
    Api {
        /// What was asked of it.
        action: String,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// The controllers do nothing.
    #[error("no service account appeared in {NAMESPACE} within {} s; see the log of kube-controller-manager", CONTROLLERS_LIMIT.as_secs())]
    ControllersIdle,
}

impl Classified for ClusterError {
    fn class(&self) -> Class {
        Class::Transient
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Api { .. } => "KubernetesRefused",
            Self::ControllersIdle => "ControllersIdle",
        }
    }
}

/// What components need before they start: rights, the namespace, nodes. `kwok_user` and
/// `kubelet_client` are the users of the certificates that those components prove themselves by.
pub(crate) async fn before_controllers(
    client: &Client,
    kwok_user: &str,
    kubelet_client: &str,
) -> Result<(), ClusterError> {
    apply::<ClusterRole>(client, "mlp-kwok", kwok_role()).await?;
    apply::<ClusterRoleBinding>(client, "mlp-kwok", binding("mlp-kwok", "mlp-kwok", user(kwok_user))).await?;
    let kubelet = binding("mlp-kubelet-client", "system:kubelet-api-admin", user(kubelet_client));
    apply::<ClusterRoleBinding>(client, "mlp-kubelet-client", kubelet).await?;
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {PART_OF: "ml-platform"}},
    });
    apply::<Namespace>(client, NAMESPACE, namespace).await?;
    let class = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/host-path",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    });
    apply::<StorageClass>(client, "standard", class).await
}

/// Makes the simulated nodes be those of `pools`: missing ones appear, others go.
pub(crate) async fn simulate_nodes(client: &Client, pools: &[Pool], avoid: bool) -> Result<(), ClusterError> {
    let nodes: Api<Node> = Api::all(client.clone());
    let parameters = PatchParams::apply(MANAGER).force();
    let mut wanted = Vec::new();
    for pool in pools {
        for (index, name) in pool.node_names().enumerate() {
            apply::<Node>(client, &name, pool.node(&name, index, avoid)).await?;
            let status = Patch::Apply(pool.status(&name));
            let patched = nodes.patch_status(&name, &parameters, &status).await;
            patched.map_err(|error| api(format!("set the capacity of node {name}"), error))?;
            wanted.push(name);
        }
    }
    let ours = ListParams::default().labels(&format!("{SIMULATED_NODE}=true"));
    let existing = nodes.list_metadata(&ours).await.map_err(|error| api("list nodes", error))?;
    for node in existing.items {
        let name = node.metadata.name.unwrap_or_default();
        if !wanted.contains(&name) {
            let deleted = nodes.delete(&name, &DeleteParams::default()).await;
            deleted.map_err(|error| api(format!("delete node {name}"), error))?;
        }
    }
    Ok(())
}

/// Waits until the controllers work, seen by the service account that each namespace gets.
pub(crate) async fn controllers_work(client: &Client) -> Result<(), ClusterError> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    let begun = Instant::now();
    while begun.elapsed() < CONTROLLERS_LIMIT {
        let account =
            accounts.get_opt("default").await.map_err(|error| api("read service accounts", error))?;
        if account.is_some() {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    Err(ClusterError::ControllersIdle)
}

/// A service account in the platform's namespace; `role` binds it to a cluster role.
pub(crate) async fn account(client: &Client, name: &str, role: Option<&str>) -> Result<(), ClusterError> {
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {PART_OF: "ml-platform"}},
    });
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    apply_in(&accounts, name, account).await?;
    let Some(role) = role else { return Ok(()) };
    let subject = json!({"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE});
    apply::<ClusterRoleBinding>(client, name, binding(name, role, subject)).await
}

/// A token of a service account in the platform's namespace.
pub(crate) async fn token(client: &Client, name: &str) -> Result<Secret<String>, ClusterError> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    let spec = TokenRequestSpec {
        expiration_seconds: i64::try_from(TOKEN_LIFETIME.as_secs()).ok(),
        ..TokenRequestSpec::default()
    };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let answer = accounts.create_token_request(name, &PostParams::default(), &request).await;
    let answer = answer.map_err(|error| api(format!("issue a token for {name}"), error))?;
    Ok(Secret::new(answer.status.map(|status| status.token).unwrap_or_default()))
}

fn kwok_role() -> Value {
    let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| json!({"apiGroups": groups, "resources": resources, "verbs": verbs});
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "mlp-kwok"},
        "rules": [
            rule(&[""], &["nodes", "pods"], &["get", "list", "watch"]),
            rule(&[""], &["pods"], &["delete", "patch", "update"]),
            rule(&[""], &["nodes/status", "pods/status"], &["patch", "update"]),
            rule(&["", "events.k8s.io"], &["events"], &["create", "patch", "update"]),
            rule(&["coordination.k8s.io"], &["leases"], &["create", "get", "list", "watch", "patch", "update", "delete"]),
        ],
    })
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name})
}

fn binding(name: &str, role: &str, subject: Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    })
}

async fn apply<K>(client: &Client, name: &str, object: Value) -> Result<(), ClusterError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    apply_in::<K>(&Api::all(client.clone()), name, object).await
}

async fn apply_in<K>(objects: &Api<K>, name: &str, object: Value) -> Result<(), ClusterError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let parameters = PatchParams::apply(MANAGER).force();
    let applied = objects.patch(name, &parameters, &Patch::Apply(object)).await;
    applied.map(|_| ()).map_err(|error| api(format!("apply {} {name}", K::kind(&())), error))
}

fn api(action: impl Into<String>, source: kube::Error) -> ClusterError {
    ClusterError::Api { action: action.into(), source: Box::new(source) }
}
