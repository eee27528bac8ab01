//! What every flow needs: the platform that `mlp test` brought up, and short words for common steps.
//!
//! The tests share one platform, so each uses teams of its own names and removes what it made.

pub mod cli;
pub mod git;
pub mod trace;

use std::fmt::Debug;
use std::time::Duration;

use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Resource, ResourceExt};
use mlp_crds::Condition;
use mlp_crds::Team;
use mlp_harness::wait_until;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// How long the platform may take to do what was asked; generous, for a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A test's result: any error fails it with its message.
pub type Tested = Result<(), Box<dyn std::error::Error>>;

/// A variable that `mlp env` prints.
///
/// # Panics
/// Where it is not set: the tests run by `cargo mlp test flows`, which sets it.
pub fn variable(name: &str) -> String {
    match std::env::var(name) {
        Ok(value) => value,
        Err(_unset) => panic!("{name} is not set; run these tests by `cargo mlp test flows`"),
    }
}

/// A client as the platform's administrator.
///
/// # Errors
/// Where the kubeconfig does not lead to an API server.
pub async fn client() -> Result<Client, Box<dyn std::error::Error>> {
    let file = Kubeconfig::read_from(variable("KUBECONFIG"))?;
    Ok(Client::try_from(Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?)?)
}

/// A minimal valid Team.
pub fn team(name: &str) -> Value {
    json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": {"name": name},
        "spec": {"costCenter": name,
            "quota": {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "4", "memory": "8Gi"},
                "objects": {"pods": 10}},
            "limitRange": {"container": {"defaultRequest": {"cpu": "100m", "memory": "128Mi"}}},
            "access": {"edit": {"groups": [format!("{name}-engineers")]}}}})
}

/// Applies an object as `kubectl apply --server-side` does, unknown keys refused.
///
/// # Errors
/// What the API server said.
pub async fn apply<K>(client: &Client, namespace: Option<&str>, manifest: &Value) -> Result<K, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    K: Resource<Scope: Scoped<K>>,
{
    let api = <K::Scope as Scoped<K>>::api(client, namespace);
    let name = manifest.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let params = PatchParams::apply("mlp-flows").force().validation_strict();
    api.patch(name, &params, &Patch::Apply(manifest)).await
}

/// How a kind's scope makes an API handle; lets [`apply`] serve both scopes.
pub trait Scoped<K> {
    /// The handle.
    fn api(client: &Client, namespace: Option<&str>) -> Api<K>;
}

impl<K> Scoped<K> for kube::core::ClusterResourceScope
where
    K: Resource<DynamicType = (), Scope = Self>,
{
    fn api(client: &Client, _namespace: Option<&str>) -> Api<K> {
        Api::all(client.clone())
    }
}

impl<K> Scoped<K> for kube::core::NamespaceResourceScope
where
    K: Resource<DynamicType = (), Scope = Self>,
{
    fn api(client: &Client, namespace: Option<&str>) -> Api<K> {
        Api::namespaced(client.clone(), namespace.unwrap_or("default"))
    }
}

/// Waits until `look` at the named object is satisfied, and gives the object.
///
/// # Errors
/// The limit passed.
pub async fn until<K>(
    api: &Api<K>,
    name: &str,
    what: &str,
    look: impl Fn(&K) -> bool,
) -> Result<K, Box<dyn std::error::Error>>
where
    K: Clone + DeserializeOwned + Debug,
{
    let found = wait_until(LIMIT, what, || async {
        let object = api.get_opt(name).await.ok().flatten()?;
        look(&object).then_some(object)
    });
    Ok(found.await?)
}

/// Whether the condition of that type says `status` on the object's newest generation.
pub fn says(conditions: &[Condition], kind: &str, status: &str) -> bool {
    conditions.iter().any(|condition| condition.type_ == kind && condition.status == status)
}

/// Waits until the team is isolated as its newest generation asks.
///
/// # Errors
/// The limit passed.
pub async fn until_isolated(client: &Client, name: &str) -> Result<Team, Box<dyn std::error::Error>> {
    let api: Api<Team> = Api::all(client.clone());
    until(&api, name, &format!("team {name} is isolated"), |team| {
        let status = team.status.clone().unwrap_or_default();
        status.observed_generation == team.metadata.generation && says(&status.conditions, "Ready", "True")
    })
    .await
}

/// Deletes an object and waits until it is gone; one that is not there is gone.
///
/// # Errors
/// The limit passed, or the API server refused.
pub async fn remove<K>(api: &Api<K>, name: &str) -> Tested
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let before = match api.get_opt(name).await? {
        Some(object) => object.meta().uid.clone(),
        None => return Ok(()),
    };
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let what = format!("{name} is gone");
    // Somebody may wait for the name: then another object is there at once.
    let gone = wait_until(LIMIT, &what, || async {
        let now = api.get_opt(name).await.ok()?;
        now.is_none_or(|object| object.meta().uid != before).then_some(())
    });
    Ok(gone.await?)
}

/// Creates an object as a person would; the API server's refusal is the error.
///
/// # Errors
/// What the API server said.
pub async fn create<K>(api: &Api<K>, object: &K) -> Result<K, kube::Error>
where
    K: Clone + DeserializeOwned + Serialize + Debug,
{
    api.create(&PostParams::default(), object).await
}

/// The message of a refusal by the API server; panics on anything else.
///
/// # Panics
/// Where the call succeeded, or failed otherwise.
pub fn refusal<T: Debug>(result: Result<T, kube::Error>) -> String {
    match result {
        Err(kube::Error::Api(status)) => status.message.clone(),
        other => panic!("the API server should have refused this: {other:?}"),
    }
}

/// `resourceVersion` of an object, empty where it has none.
pub fn version<K: ResourceExt>(object: &K) -> String {
    object.resource_version().unwrap_or_default()
}
