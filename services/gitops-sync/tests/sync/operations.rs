//! Syncs that a person asks for: tried only, or about some objects alone.

use kube::api::{Patch, PatchParams};
use mlp_crds::argocd::ApplicationStatus;
use mlp_harness::wait_until;
use serde_json::{Value, json};

use crate::world::{LIMIT, NAME, World, phase, settings, word};

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
