//! Requests as teams write them, and a provider that works at a test's server.

use mlp_aws::{Credentials, Source};
use mlp_crds::{Cache, Database};
use mlp_model::{Environment, Secret};
use mlp_provisioner::domain::model::{Payer, Wish};
use mlp_provisioner::domain::plan::State;
use mlp_provisioner::provider::aws::{AwsProvider, Place};
use mlp_provisioner::provider::{Provider as _, drive};
use serde_json::{Value, json};

/// More looks than any change needs.
const LOOKS: usize = 6;

/// The password that the connection Secret would hold.
pub fn password() -> Secret<String> {
    Secret::new("k3ptInTheSecret-0123456789".to_owned())
}

/// A Database `name` in `ml-team`; the uid is unique to the name.
pub fn database(name: &str, spec: Value) -> Wish {
    let mut full = json!({"databaseName": "features"});
    full.as_object_mut().unwrap().extend(spec.as_object().cloned().unwrap_or_default());
    let object = object("Database", name, full);
    paid(Wish::of_database(&serde_json::from_value::<Database>(object).unwrap(), Environment::Dev))
}

/// A Cache `name` in `ml-team`; the uid is unique to the name.
pub fn cache(name: &str, spec: Value) -> Wish {
    let object = object("Cache", name, spec);
    paid(Wish::of_cache(&serde_json::from_value::<Cache>(object).unwrap(), Environment::Dev))
}

fn paid(wish: Wish) -> Wish {
    Wish { payer: Some(Payer { team: "ml".to_owned(), cost_center: "ml".to_owned() }), ..wish }
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    let metadata =
        json!({"name": name, "namespace": "ml-team", "uid": format!("uid-of-{name}"), "generation": 1});
    json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

/// A provider whose calls go to `endpoint`.
pub fn provider(endpoint: &str) -> AwsProvider {
    AwsProvider::new(place(endpoint))
}

pub fn place(endpoint: &str) -> Place {
    let source = Source {
        endpoint: Some(endpoint.to_owned()),
        region: Some("us-west-2".to_owned()),
        credentials: Some(credentials()),
    };
    Place { source, ..Place::default() }
}

pub fn credentials() -> Credentials {
    Credentials::builder().access_key_id("test").secret_access_key("test").provider_name("test").build()
}

/// Looks and applies until nothing is left to do; gives the last state and the steps that were done.
pub async fn settle(provider: &AwsProvider, wish: &Wish, stays: bool) -> (State, Vec<String>) {
    let password = password();
    let mut done = Vec::new();
    for _ in 0..LOOKS {
        let observed = provider.observe(wish).await.unwrap();
        let plan =
            if stays { provider.plan(wish, &observed) } else { provider.plan_removal(wish, &observed) };
        if plan.steps.is_empty() {
            return (plan.state, done);
        }
        done.extend(plan.steps.iter().map(ToString::to_string));
        drive(provider, wish, stays.then_some(&password)).await.unwrap();
    }
    panic!("not settled after {LOOKS} looks; done: {done:#?}");
}
