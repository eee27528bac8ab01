//! Syncs that a person asks for: tried only, or about some objects alone.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use mlp_crds::argocd::ApplicationStatus;
use mlp_harness::wait_until;
use mlp_reconcile::ObjectRef;
use serde_json::{Value, json};

use crate::world::{LIMIT, NAME, World, automated, phase, settings, word};

const LEFT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: left}\n";
const WRONG: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 0}]}\n";

impl World {
    /// Asks for a sync, and waits for its end.
    async fn ask(&self, sync: Value) -> ApplicationStatus {
        let asked = json!({"operation": {"initiatedBy": {"username": "ada"}, "sync": sync}});
        self.applications().patch(NAME, &PatchParams::default(), &Patch::Merge(&asked)).await.unwrap();
        wait_until(LIMIT, "the end of what was asked for", || async {
            let application = self.applications().get(NAME).await.ok()?;
            let status = application.status.filter(|_| application.operation.is_none())?;
            let ended = status.operation_state.as_ref().is_some_and(|state| {
                state.finished_at.is_some() && serde_json::to_value(&state.operation.sync).unwrap() == sync
            });
            ended.then_some(status)
        })
        .await
        .unwrap()
    }
}

/// Name, word and message of each result.
fn results(status: &ApplicationStatus) -> Vec<(String, String, String)> {
    let state = status.operation_state.clone().unwrap_or_default();
    let results = state.sync_result.unwrap_or_default().resources.into_iter();
    let mut all: Vec<_> = results
        .map(|one| (one.name, one.status.unwrap_or_default(), one.message.unwrap_or_default()))
        .collect();
    all.sort();
    all
}

#[tokio::test]
async fn one_that_only_tries_says_what_would_come_of_it_and_writes_nothing() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &settings("hello")), ("b.yaml", LEFT)]);
    let running = world.start().await;
    world.declare(json!({})).await;
    world.status("the comparison", |status| word(status) == "OutOfSync").await;
    let status = world.ask(json!({"dryRun": true})).await;
    assert_eq!((phase(&status), status.history.len()), ("Succeeded", 0));
    assert!(results(&status).iter().all(|(_, _, message)| message == "would be applied (dry run)"));
    assert_eq!(results(&status).len(), 2);
    world.greeting(None).await;

    world.ask(json!({})).await;
    world.greeting(Some("hello")).await;
    world.commit(&[("b.yaml", ""), ("c.yaml", WRONG)]);
    world.status("what left git", |status| status.resources.iter().any(|one| one.requires_pruning)).await;
    let status = world.ask(json!({"dryRun": true, "prune": true})).await;
    assert_eq!((phase(&status), status.history.len()), ("Failed", 1));
    let said = results(&status);
    assert_eq!(said[0], ("left".into(), "Pruned".into(), "would be pruned (dry run)".into()));
    assert_eq!((said[1].0.as_str(), said[1].1.as_str()), ("web", "SyncFailed"));
    assert!(said[1].2.contains("spec.ports[0].port") && said.len() == 2, "{said:#?}");
    assert!(world.maps().get_opt("left").await.unwrap().is_some());
    running.stop().await;
}

#[tokio::test]
async fn one_that_names_objects_leaves_the_others_as_they_are() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &settings("hello")), ("b.yaml", LEFT), ("c.yaml", WRONG)]);
    let running = world.start().await;
    world.declare(json!({})).await;
    world.status("the comparison", |status| word(status) == "OutOfSync").await;
    let named = |name: &str| json!({"resources": [{"kind": "ConfigMap", "name": name}]});
    let status = world.ask(named("settings")).await;
    assert_eq!((phase(&status), status.history.len()), ("Succeeded", 0));
    assert_eq!(results(&status), [("settings".into(), "Synced".into(), "serverside-applied".into())]);
    assert!(world.maps().get_opt("left").await.unwrap().is_none());
    let status = world.ask(named("nothing")).await;
    let said = status.operation_state.unwrap().message.unwrap();
    assert!(said.starts_with("operation.sync.resources[0] names no object"), "{said}");

    world.commit(&[("a.yaml", ""), ("c.yaml", "")]);
    world.status("what left git", |status| status.resources.iter().any(|one| one.requires_pruning)).await;
    let mut rest = named("left");
    rest["prune"] = json!(true);
    let status = world.ask(rest).await;
    assert_eq!(results(&status), [("left".into(), "Synced".into(), "serverside-applied".into())]);
    world.greeting(Some("hello")).await;
    let but =
        json!({"prune": true, "resources": [{"kind": "ConfigMap", "name": "settings", "exclude": true}]});
    world.ask(but).await;
    world.greeting(Some("hello")).await;
    let mut gone = named("settings");
    gone["prune"] = json!(true);
    world.ask(gone).await;
    world.greeting(None).await;
    assert!(world.maps().get_opt("left").await.unwrap().is_some());
    running.stop().await;
}

#[tokio::test]
async fn one_that_is_held_stays_where_it_is_until_it_is_released() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &settings("one"))]);
    let running = world.start().await;
    world.declare(automated()).await;
    world.greeting(Some("one")).await;
    let status = world.status("the first sync", |status| !status.history.is_empty()).await;
    let first = status.history[0].revision.clone().unwrap();
    world.commit(&[("a.yaml", &settings("two"))]);
    world.greeting(Some("two")).await;

    let hold = |revision: Value| json!({"metadata": {"annotations": {"mlplatform.dev/hold": revision, "mlplatform.dev/held-by": "ada"}}});
    let applications = world.applications();
    applications.patch(NAME, &PatchParams::default(), &Patch::Merge(&hold(json!(first)))).await.unwrap();
    world.greeting(Some("one")).await;
    let says = |status: &ApplicationStatus| {
        let held = |one: &mlp_crds::argocd::ApplicationCondition| {
            one.type_ == "HeldWarning" && one.message.contains("by ada")
        };
        word(status) == "Synced" && status.conditions.iter().any(held)
    };
    world.status("held and in sync", says).await;
    world.commit(&[("a.yaml", &settings("three"))]);
    // What somebody changes is healed, to what is held: by then the newer commit was seen, and passed over.
    world
        .maps()
        .patch("settings", &PatchParams::default(), &Patch::Merge(json!({"data": {"greeting": "by hand"}})))
        .await
        .unwrap();
    world.greeting(Some("one")).await;

    applications.patch(NAME, &PatchParams::default(), &Patch::Merge(&hold(Value::Null))).await.unwrap();
    world.greeting(Some("three")).await;
    world.status("no hold", |status| word(status) == "Synced" && status.conditions.is_empty()).await;
    running.stop().await;
}

#[tokio::test]
async fn one_that_is_terminated_ends_its_hooks_and_is_not_tried_again() {
    let world = World::new().await;
    let hook = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "migrate", "annotations": {"argocd.argoproj.io/hook": "PreSync"}},
        "spec": {"restartPolicy": "Never", "schedulingGates": [{"name": "example.org/test"}],
            "automountServiceAccountToken": false, "containers": [{"name": "main", "image": "hook:1"}]},
    });
    world.commit(&[("a.yaml", &settings("hello")), ("1.json", &hook.to_string())]);
    let running = world.start().await;
    world.declare(automated()).await;
    let pods = Api::<Pod>::namespaced(world.client.clone(), world.namespace.name());
    wait_until(LIMIT, "the hook", || async { pods.get_opt("migrate").await.ok()? }).await.unwrap();
    let ends = json!({"status": {"operationState": {"phase": "Terminating"}}});
    let waits = |status: &ApplicationStatus| {
        let message = status.operation_state.as_ref().and_then(|state| state.message.clone());
        message.is_some_and(|message| message.contains("waiting for hook"))
    };
    world.status("the hook waited for", waits).await;
    world.applications().patch_status(NAME, &PatchParams::default(), &Patch::Merge(&ends)).await.unwrap();
    let status = world.status("the end", |status| phase(status) == "Failed").await;
    assert_eq!(status.operation_state.unwrap().message.as_deref(), Some("Operation terminated"));
    wait_until(LIMIT, "the hook gone", || async {
        pods.get_opt("migrate").await.ok()?.is_none().then_some(())
    })
    .await
    .unwrap();
    let blocked = |status: &ApplicationStatus| {
        status.conditions.iter().any(|one| one.message.contains("is not tried again"))
    };
    world.status("no further attempt", blocked).await;
    // Nor is it after one that only tries.
    world.ask(json!({"dryRun": true})).await;
    world.status("still no further attempt", blocked).await;
    let key = ObjectRef::new(NAME).within(world.namespace.name());
    running.applications.wake_and_wait(key).await.unwrap();
    assert!(pods.get_opt("migrate").await.unwrap().is_none());
    world.greeting(None).await;
    running.stop().await;
}

#[tokio::test]
async fn what_is_asked_for_and_cannot_be_is_answered_and_not_kept() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &settings("one"))]);
    let running = world.start().await;
    world.declare(json!({})).await;
    let message = |status: &ApplicationStatus| {
        status.operation_state.as_ref().and_then(|state| state.message.clone()).unwrap_or_default()
    };
    let status = world.ask(json!({"revision": "nowhere"})).await;
    assert_eq!(phase(&status), "Error");
    assert!(message(&status).contains("no branch, tag or commit `nowhere`"), "{}", message(&status));
    let status = world.ask(json!({})).await;
    let first = status.history[0].revision.clone().unwrap();

    let hold = |revision: &str| json!({"metadata": {"annotations": {"mlplatform.dev/hold": revision}}});
    let applications = world.applications();
    applications.patch(NAME, &PatchParams::default(), &Patch::Merge(&hold(&first))).await.unwrap();
    world.commit(&[("a.yaml", &settings("two"))]);
    let held = |status: &ApplicationStatus| status.conditions.iter().any(|one| one.type_ == "HeldWarning");
    world.status("the hold", held).await;
    let status = world.ask(json!({"revision": "main"})).await;
    assert!(message(&status).contains("release it first"), "{}", message(&status));
    world.greeting(Some("one")).await;
    // A hold that does not fit is no reason to follow the branch, and stays to be seen.
    applications.patch(NAME, &PatchParams::default(), &Patch::Merge(&hold("a,b"))).await.unwrap();
    let misfit = |status: &ApplicationStatus| {
        status.conditions.iter().any(|one| one.message.contains("names 2 revisions"))
    };
    let status = world.status("the misfit", misfit).await;
    assert!(held(&status));
    running.stop().await;
}
