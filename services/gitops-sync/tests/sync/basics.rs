//! What git holds becomes and stays true.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use mlp_crds::ApplicationRecord;
use mlp_crds::argocd::ApplicationStatus;
use mlp_harness::{ControlPlane, wait_until};
use mlp_reconcile::ObjectRef;
use serde_json::json;

use crate::world::{LIMIT, NAME, World, automated, phase, settings, word};

#[tokio::test]
async fn what_git_holds_becomes_and_stays_true_and_a_steady_state_writes_nothing() {
    let world = World::new().await;
    let extra = "apiVersion: v1\nkind: Secret\nmetadata: {name: extra}\nstringData: {a: b}\n";
    world.commit(&[("a.yaml", &settings("hello")), ("b.yaml", extra)]);
    let running = world.start().await;
    world.declare(automated()).await;
    let status = world.status("the first sync", |status| word(status) == "Synced").await;
    assert_eq!((phase(&status), status.resources.len(), status.history.len()), ("Succeeded", 2, 1));
    let map = world.maps().get("settings").await.unwrap();
    let tracking = format!("{NAME}:/ConfigMap:{}/settings", world.namespace.name());
    assert_eq!(map.annotations().get("argocd.argoproj.io/tracking-id"), Some(&tracking));

    // The first looks still see the writes of the last one come back.
    let key = || ObjectRef::new(NAME).within(world.namespace.name());
    wait_until(LIMIT, "a look that writes nothing", || async {
        let before = running.writes.total();
        running.applications.wake_and_wait(key()).await.ok()?;
        (running.writes.total() == before).then_some(())
    })
    .await
    .unwrap();
    let before = running.writes.total();
    for _ in 0..3 {
        running.applications.wake_and_wait(key()).await.unwrap();
    }
    let application = world.applications().get(NAME).await.unwrap();
    assert_eq!(running.writes.total(), before, "a steady application costs no write: {application:#?}");

    let foreign = json!({"data": {"greeting": "changed by hand"}});
    world.maps().patch("settings", &PatchParams::default(), &Patch::Merge(&foreign)).await.unwrap();
    world.greeting(Some("hello")).await;
    world.maps().delete("settings", &DeleteParams::default()).await.unwrap();
    world.greeting(Some("hello")).await;

    world.commit(&[("a.yaml", &settings("world"))]);
    world.greeting(Some("world")).await;
    world.commit(&[("a.yaml", "")]);
    world.greeting(None).await;
    world.status("all pruned", |status| word(status) == "Synced" && status.resources.len() == 1).await;

    // Empty means that somebody made a mistake more often than that everything should go.
    world.commit(&[("b.yaml", "")]);
    let status = world
        .status("the refusal", |status| status.conditions.iter().any(|it| it.type_ == "SyncError"))
        .await;
    assert!(status.conditions[0].message.contains("allowEmpty"), "{:?}", status.conditions);
    running.stop().await;
}

#[tokio::test]
async fn a_broken_commit_touches_nothing_and_the_next_one_heals() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &settings("hello"))]);
    let running = world.start().await;
    world.declare(automated()).await;
    world.greeting(Some("hello")).await;
    world.commit(&[("a.yaml", "data: [\n")]);
    let status = world.status("the fault", |status| !status.conditions.is_empty()).await;
    assert_eq!((word(&status), status.conditions[0].type_.as_str()), ("Unknown", "ComparisonError"));
    assert!(status.conditions[0].message.starts_with("a.yaml:1: "), "{}", status.conditions[0].message);
    world.greeting(Some("hello")).await;
    world.commit(&[("a.yaml", &settings("again"))]);
    let status = world.status("the recovery", |status| word(status) == "Synced").await;
    assert!(status.conditions.is_empty());
    world.greeting(Some("again")).await;
    running.stop().await;
}

#[tokio::test]
async fn a_missing_kind_delays_and_a_restart_in_between_changes_nothing() {
    let world = World::new().await;
    let kind = format!("K{}", world.namespace.name().replace('-', ""));
    let group = format!("{}.example.org", world.namespace.name());
    let thing = format!("apiVersion: {group}/v1\nkind: {kind}\nmetadata: {{name: t}}\nspec: {{x: 1}}\n");
    let late = settings("late")
        .replace("{name: settings}", "{name: settings, annotations: {argocd.argoproj.io/sync-wave: '1'}}");
    world.commit(&[("a.yaml", &late), ("t.yaml", &thing)]);
    let running = world.start().await;
    world.declare(automated()).await;
    let waits = |status: &ApplicationStatus| {
        let message =
            status.operation_state.as_ref().and_then(|state| state.message.clone()).unwrap_or_default();
        message.starts_with(&format!("waiting for kind {kind}"))
    };
    let status = world.status("the wait", waits).await;
    assert_eq!(phase(&status), "Running");
    world.greeting(None).await;
    running.stop().await;

    let definition: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": {"name": format!("things.{group}")},
        "spec": {"group": group, "scope": "Namespaced",
            "names": {"kind": kind, "plural": "things", "singular": "thing", "listKind": format!("{kind}List")},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    }))
    .unwrap();
    let plane = ControlPlane::shared().await.unwrap();
    plane.install(std::slice::from_ref(&definition)).await.unwrap();
    let running = world.start().await;
    let status = world.status("the end of the sync", |status| phase(status) == "Succeeded").await;
    assert_eq!(status.history.len(), 1, "one operation, resumed");
    world.greeting(Some("late")).await;
    running.stop().await;
    let definitions = Api::<CustomResourceDefinition>::all(world.client.clone());
    definitions.delete(&definition.name_any(), &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn a_sync_by_hand_is_done_once_and_the_way_out_takes_the_objects_along() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &settings("hello"))]);
    let running = world.start().await;
    world.declare(json!({})).await;
    world.status("the comparison", |status| word(status) == "OutOfSync").await;
    let asked = json!({"operation": {"initiatedBy": {"username": "ada"}, "sync": {}}});
    world.applications().patch(NAME, &PatchParams::default(), &Patch::Merge(&asked)).await.unwrap();
    let status = world.status("the sync by hand", |status| phase(status) == "Succeeded").await;
    let by = status.operation_state.unwrap().operation.initiated_by.unwrap();
    assert_eq!((by.username.as_deref(), by.automated), (Some("ada"), false));
    wait_until(LIMIT, "the operation taken off", || async {
        world.applications().get(NAME).await.ok().filter(|it| it.operation.is_none())
    })
    .await
    .unwrap();

    world.leave().await;
    world.greeting(None).await;
    world.is_left().await;
    let records = Api::<ApplicationRecord>::namespaced(world.client.clone(), world.namespace.name());
    wait_until(LIMIT, "its record gone, facts published", || async {
        records.list(&Default::default()).await.ok()?.items.is_empty().then_some(())
    })
    .await
    .unwrap();
    running.stop().await;
}

#[tokio::test]
async fn what_runs_on_simulated_nodes_is_said_to_be() {
    let world = World::new().await;
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  \
        template:\n    metadata: {labels: {app: web}}\n    spec:\n      automountServiceAccountToken: false\n      \
        containers: [{name: web, image: \"shop:1\"}]\n";
    world.commit(&[("a.yaml", deployment)]);
    let running = world.start().await;
    world.declare(automated()).await;
    let health = |status: &ApplicationStatus| status.health.clone().unwrap_or_default();
    let status = world
        .status("health of the deployment", |status| health(status).status.as_deref() == Some("Healthy"));
    let message = health(&status.await).message.unwrap_or_default();
    assert!(message.starts_with("simulated: 1 of 1 pods"), "{message}");
    let records = Api::<ApplicationRecord>::namespaced(world.client.clone(), world.namespace.name());
    let record = records.list(&Default::default()).await.unwrap().items.remove(0);
    let conditions = record.status.unwrap().conditions;
    assert!(conditions.iter().any(|it| it.type_ == "Simulated" && it.status == "True"), "{conditions:?}");
    running.stop().await;
}
