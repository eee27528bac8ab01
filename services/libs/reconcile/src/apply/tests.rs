use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use mlp_model::{Class, Classified};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::*;
use crate::testing::{Call, MockApi};
use crate::writes::WriteCounter;

const PATH: &str = "/api/v1/namespaces/ml-team/configmaps/settings";

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn desired(data: Value) -> ConfigMap {
    object(json!({"metadata": {"name": "settings", "namespace": "ml-team"}, "data": data}))
}

fn applier(api: &MockApi) -> Applier {
    Applier::new(api.client(), "team-isolation")
}

/// The object as the API server holds it after `desired` was applied.
fn stored(applier: &Applier, resource: &ApiResource, desired: &impl Object) -> Value {
    let mut body = Manifest::new(resource, desired, &applier.ownership).unwrap().body;
    body["metadata"]["uid"] = json!("u1");
    body["metadata"]["resourceVersion"] = json!("7");
    body
}

fn config_maps() -> ApiResource {
    ApiResource::erase::<ConfigMap>(&())
}

#[tokio::test]
async fn a_missing_object_is_created_with_label_hash_and_manager() {
    let api = MockApi::new();
    api.expect(Call::get(PATH).not_found());
    let sent = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"labels": {"app.kubernetes.io/managed-by": "team-isolation"}},
        "data": {"k": "v"},
    });
    api.expect(Call::apply(PATH).query("fieldManager", "team-isolation").sending(sent).echoes());
    assert_eq!(applier(&api).apply(&desired(json!({"k": "v"}))).await.unwrap(), Applied::Created);
    api.verify().await;
}

#[tokio::test]
async fn an_object_as_desired_costs_no_write_and_with_a_cache_no_call() {
    let api = MockApi::new();
    let (client, writes) = WriteCounter::wrap(api.client());
    let applier = Applier::new(client, "team-isolation");
    let desired = desired(json!({"k": "v"}));
    let live = stored(&applier, &config_maps(), &desired);
    for _ in 0..3 {
        let cached: ConfigMap = object(live.clone());
        assert_eq!(applier.apply_with_live(Some(&cached), &desired).await.unwrap(), Applied::Unchanged);
    }
    api.expect(Call::get(PATH).answers(live));
    assert_eq!(applier.apply(&desired).await.unwrap(), Applied::Unchanged);
    api.verify().await;
    assert_eq!(writes.total(), 0);
}

#[tokio::test]
async fn drift_and_a_removed_field_are_written_over_the_same_object_only() {
    let api = MockApi::new();
    let applier = applier(&api);
    let before = desired(json!({"k": "v", "gone": "x"}));
    let live: ConfigMap = object(stored(&applier, &config_maps(), &before));
    let fence = json!({"metadata": {"uid": "u1"}});
    let answer = json!({"metadata": {"name": "settings", "resourceVersion": "8"}});
    for after in [desired(json!({"k": "v"})), desired(json!({"k": "w", "gone": "x"}))] {
        let call = Call::apply(PATH).query("force", "true").sending(fence.clone());
        api.expect(call.answers(answer.clone()));
        assert_eq!(applier.apply_with_live(Some(&live), &after).await.unwrap(), Applied::Configured);
    }
    let mut drifted = live;
    drifted.data.as_mut().unwrap().insert("k".into(), "edited".into());
    api.expect(Call::apply(PATH).sending(json!({"data": {"k": "v"}})).answers(answer));
    assert_eq!(applier.apply_with_live(Some(&drifted), &before).await.unwrap(), Applied::Configured);
    api.verify().await;
}

#[tokio::test]
async fn an_object_of_somebody_else_is_left_alone_and_its_owner_named() {
    let api = MockApi::new();
    for (meta, owner) in [
        (json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}), "`Helm`"),
        (
            json!({"managedFields": [{"manager": "kubectl"}, {"manager": "kubectl"}]}),
            "field manager `kubectl`;",
        ),
        (json!({}), "somebody who left no label"),
    ] {
        api.expect(Call::get(PATH).answers(json!({"metadata": meta, "data": {"k": "v"}})));
        let error = applier(&api).apply(&desired(json!({"k": "v"}))).await.unwrap_err();
        assert_eq!((error.reason(), error.class()), ("OwnedByAnother", Class::Terminal));
        assert!(error.to_string().contains(owner), "{error}");
        assert!(error.to_string().starts_with("cannot apply ConfigMap ml-team/settings"), "{error}");
    }
    api.verify().await;
}

#[tokio::test]
async fn an_adopting_applier_takes_over_and_sets_no_label() {
    let api = MockApi::new();
    let live = json!({"metadata": {"name": "settings", "uid": "u1", "resourceVersion": "7"}});
    api.expect(Call::get(PATH).answers(live));
    api.expect(
        Call::apply(PATH).query("force", "true").answers(json!({"metadata": {"resourceVersion": "8"}})),
    );
    let adopting = applier(&api).owning_by(Ownership::Adopt);
    assert_eq!(adopting.apply(&desired(json!({"k": "v"}))).await.unwrap(), Applied::Configured);
    let manifest = Manifest::new(&config_maps(), &desired(json!({})), &adopting.ownership).unwrap();
    assert_eq!(manifest.body["metadata"].get("labels"), None);
    api.verify().await;
}

#[tokio::test]
async fn an_object_that_is_going_away_is_waited_for() {
    let api = MockApi::new();
    let mut live = stored(&applier(&api), &config_maps(), &desired(json!({"k": "v"})));
    live["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    api.expect(Call::get(PATH).answers(live));
    let error = applier(&api).apply(&desired(json!({"k": "v"}))).await.unwrap_err();
    assert!(matches!(error.class(), Class::Waiting(_)), "{error}");
    api.verify().await;
}

#[tokio::test]
async fn a_write_without_effect_is_not_repeated() {
    let api = MockApi::new();
    let applier = applier(&api);
    let desired = desired(json!({"k": "v"}));
    // A webhook that always rewrites the value.
    let mut live = stored(&applier, &config_maps(), &desired);
    live["data"]["k"] = json!("rewritten");
    api.expect(Call::apply(PATH).answers(live.clone()));
    for _ in 0..3 {
        let cached: ConfigMap = object(live.clone());
        assert_eq!(applier.apply_with_live(Some(&cached), &desired).await.unwrap(), Applied::Unchanged);
    }
    live["data"]["k"] = json!("edited");
    live["metadata"]["resourceVersion"] = json!("8");
    api.expect(Call::apply(PATH).answers(json!({"metadata": {"resourceVersion": "9"}})));
    let cached: ConfigMap = object(live);
    assert_eq!(applier.apply_with_live(Some(&cached), &desired).await.unwrap(), Applied::Configured);
    api.verify().await;
}

#[tokio::test]
async fn a_doubt_is_settled_by_a_dry_run() {
    let path = "/apis/networking.k8s.io/v1/namespaces/ml-team/networkpolicies/deny";
    let policy = |ingress: Value| -> NetworkPolicy {
        object(json!({
            "metadata": {"name": "deny", "namespace": "ml-team"},
            "spec": {"podSelector": {}, "ingress": ingress},
        }))
    };
    let resource = ApiResource::erase::<NetworkPolicy>(&());
    let rule = json!([{"from": [{"podSelector": {}}]}]);
    let desired = policy(rule.clone());
    let api = MockApi::new();
    let applier = applier(&api);

    // An edit: the dry run says that applying would undo it.
    let mut live = stored(&applier, &resource, &desired);
    let clean = live.clone();
    live["spec"]["ingress"][0]["ports"] = json!([{"port": 80, "protocol": "TCP"}]);
    let edited: NetworkPolicy = object(live.clone());
    api.expect(Call::apply(path).query("dryRun", "All").answers(clean));
    api.expect(
        Call::apply(path).query("force", "true").answers(json!({"metadata": {"resourceVersion": "8"}})),
    );
    assert_eq!(applier.apply_with_live(Some(&edited), &desired).await.unwrap(), Applied::Configured);

    // A default: the dry run keeps it; asked once.
    api.expect(Call::apply(path).query("dryRun", "All").answers(live.clone()));
    for version in ["10", "11"] {
        live["metadata"]["resourceVersion"] = json!(version);
        let defaulted: NetworkPolicy = object(live.clone());
        assert_eq!(applier.apply_with_live(Some(&defaulted), &desired).await.unwrap(), Applied::Unchanged);
    }
    api.verify().await;
}

#[tokio::test]
async fn somebody_who_creates_at_the_same_moment_is_not_overwritten() {
    let api = MockApi::new();
    api.expect(Call::get(PATH).not_found());
    api.expect(Call::apply(PATH).refused(409, "Conflict", "conflict with \"other\""));
    let error = applier(&api).apply(&desired(json!({}))).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    api.verify().await;
}

#[tokio::test]
async fn secrets_are_compared_by_value_and_not_hashed() {
    let api = MockApi::new();
    let applier = applier(&api);
    let resource = ApiResource::erase::<Secret>(&());
    let secret = |password: &str| -> Secret {
        object(
            json!({"metadata": {"name": "db", "namespace": "ml-team"}, "stringData": {"password": password}}),
        )
    };
    let live: Secret = object(stored(&applier, &resource, &secret("hunter2")));
    assert_eq!(live.data.as_ref().unwrap()["password"].0, b"hunter2");
    assert_eq!(applier.apply_with_live(Some(&live), &secret("hunter2")).await.unwrap(), Applied::Unchanged);
    let hash =
        |password| Manifest::new(&resource, &secret(password), &applier.ownership).unwrap().hash().to_owned();
    assert_eq!(hash("hunter2"), hash("hunter3"));
    let path = "/api/v1/namespaces/ml-team/secrets/db";
    api.expect(Call::apply(path).answers(json!({"metadata": {"resourceVersion": "8"}})));
    assert_eq!(applier.apply_with_live(Some(&live), &secret("hunter3")).await.unwrap(), Applied::Configured);
    api.verify().await;
}

#[test]
fn the_hash_ignores_what_the_server_sets_and_sees_the_rest() {
    let ownership = Ownership::Adopt;
    let hash = |value: Value| {
        let object: DynamicObject = object(value);
        Manifest::new(&config_maps(), &object, &ownership).unwrap().hash().to_owned()
    };
    let plain = hash(json!({"metadata": {"name": "a"}, "data": {"a": "1", "b": "2"}}));
    let served = json!({
        "metadata": {"name": "a", "uid": "u", "resourceVersion": "9", "managedFields": []},
        "status": {"x": 1}, "data": {"b": "2", "a": "1"},
    });
    assert_eq!(plain, hash(served));
    assert_ne!(plain, hash(json!({"metadata": {"name": "a"}, "data": {"a": "1", "b": "3"}})));
    assert_ne!(plain, hash(json!({"metadata": {"name": "a"}, "data": {"a": "1"}})));
}

#[test]
fn a_manifest_without_name_is_refused_by_field() {
    let error = Manifest::new(&config_maps(), &ConfigMap::default(), &Ownership::Adopt).err().unwrap();
    assert_eq!(error.field(), Some("metadata.name"));
}

#[tokio::test]
async fn deleting_takes_what_is_ours_and_is_harmless_twice() {
    let api = MockApi::new();
    let applier = applier(&api);
    let meta = |labels: Value| {
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {"name": "settings", "uid": "u1", "labels": labels}})
    };
    let ours = json!({"app.kubernetes.io/managed-by": "team-isolation"});
    api.expect(Call::get(PATH).answers(meta(ours)));
    let fence = json!({"preconditions": {"uid": "u1"}});
    let success = json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}});
    api.expect(Call::delete(PATH).sending(fence).answers(success));
    assert_eq!(applier.delete::<ConfigMap>(Some("ml-team"), "settings").await.unwrap(), Removal::Gone);
    api.expect(Call::get(PATH).not_found());
    assert_eq!(applier.delete::<ConfigMap>(Some("ml-team"), "settings").await.unwrap(), Removal::Gone);
    api.expect(Call::get(PATH).answers(meta(json!({}))));
    let error = applier.delete::<ConfigMap>(Some("ml-team"), "settings").await.unwrap_err();
    assert_eq!(error.reason(), "OwnedByAnother");
    api.verify().await;
}

#[tokio::test]
async fn pruning_deletes_what_is_ours_by_label_and_manager_and_not_wanted() {
    let api = MockApi::new();
    let item = |name: &str, manager: &str| {
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {
            "name": name, "namespace": "ml-team", "uid": format!("uid-{name}"),
            "managedFields": [{"manager": manager, "operation": "Apply"}],
        }})
    };
    let list = |items: Value, token: &str| {
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
            "metadata": {"continue": token}, "items": items})
    };
    let path = "/api/v1/namespaces/ml-team/configmaps";
    let selector = "mlplatform.dev/team=ml,app.kubernetes.io/managed-by=team-isolation";
    let first =
        json!([item("kept", "team-isolation"), item("forged", "kubectl"), item("old", "team-isolation")]);
    api.expect(Call::get(path).query("labelSelector", selector).answers(list(first, "next")));
    let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}});
    api.expect(Call::delete(&format!("{path}/old")).answers(gone));
    let second = json!([item("older", "team-isolation")]);
    api.expect(Call::get(path).query("continue", "next").answers(list(second, "")));
    api.expect(Call::delete(&format!("{path}/older")).not_found());
    let labels = BTreeMap::from([("mlplatform.dev/team".to_owned(), "ml".to_owned())]);
    let pruned = applier(&api)
        .prune::<ConfigMap>(Some("ml-team"), &labels, |meta| meta.name.as_deref() == Some("kept"))
        .await;
    assert_eq!(pruned.unwrap(), ["old", "older"]);
    api.verify().await;
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let api = MockApi::new();
    let (client, writes) = WriteCounter::wrap(api.client());
    api.expect(Call::apply(PATH).query("dryRun", "All").echoes());
    let result = Applier::new(client, "x").dry_run(&desired(json!({"k": "v"}))).await.unwrap();
    assert_eq!(result.data["data"]["k"], "v");
    assert_eq!(writes.total(), 0);
    api.verify().await;
}
