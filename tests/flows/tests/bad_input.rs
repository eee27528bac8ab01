//! What a person gets wrong is refused by the API server with the field's name, or said in a
//! condition; nothing is half-made, and fixing it heals it.

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use mlp_crds::Team;
use mlp_flows::{Tested, apply, client, create, refusal, remove, says, team, until, until_isolated};
use serde_json::{Value, json};

fn changed(name: &str, pointer: &str, value: Value) -> Value {
    let mut manifest = team(name);
    match manifest.pointer_mut(pointer) {
        Some(field) => *field = value,
        None => {
            if let Some((parent, key)) = pointer.rsplit_once('/') {
                manifest.pointer_mut(parent).unwrap()[key] = value;
            }
        }
    }
    manifest
}

#[tokio::test]
async fn the_api_server_refuses_with_the_fields_name() -> Tested {
    let client = client().await?;
    let long = "a".repeat(41);
    for (manifest, part) in [
        (team(&long), "at most 40 characters"),
        (team("kube-ops"), "reserved"),
        (team("mlp"), "reserved"),
        (team("7up"), "metadata.name"),
        (changed("bad", "/spec/quota/requests/cpu", json!("-1")), "spec.quota"),
        (changed("bad", "/spec/quotta", json!({})), "quotta"),
        (changed("bad", "/spec/namespaces", json!([{"name": "kube-system"}])), "namespace"),
        (changed("bad", "/spec/labels", json!({"mlplatform.dev/team": "other"})), "spec.labels"),
    ] {
        let message = refusal(apply::<Team>(&client, None, &manifest).await);
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    assert!(Api::<Team>::all(client).get_opt("bad").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_namespace_of_another_is_left_alone_and_the_condition_names_it() -> Tested {
    let client = client().await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let foreign: Namespace = serde_json::from_value(json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "foreign-team", "labels": {"owner": "somebody"}}}))?;
    create(&namespaces, &foreign).await?;
    apply::<Team>(&client, None, &team("foreign")).await?;
    let teams: Api<Team> = Api::all(client.clone());
    let refused = until(&teams, "foreign", "the team says that the namespace is not its own", |team| {
        let status = team.status.clone().unwrap_or_default();
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        ready.is_some_and(|ready| ready.status == "False" && ready.message.contains("foreign-team"))
    });
    refused.await?;
    let untouched = namespaces.get("foreign-team").await?;
    assert!(!untouched.labels().contains_key("mlplatform.dev/team"));
    let quotas: Api<k8s_openapi::api::core::v1::ResourceQuota> =
        Api::namespaced(client.clone(), "foreign-team");
    assert_eq!(quotas.list(&ListParams::default()).await?.items.len(), 0, "nothing is half-made");
    remove(&namespaces, "foreign-team").await?;
    let healed = until_isolated(&client, "foreign").await?;
    assert!(says(&healed.status.unwrap_or_default().conditions, "Ready", "True"));
    remove(&teams, "foreign").await
}
