//! Hooks of an Application's end.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::ResourceExt as _;
use mlp_crds::argocd::ApplicationStatus;
use mlp_harness::{cut_after, wait_until};
use mlp_reconcile::ObjectRef;
use serde_json::json;

use crate::hooks::{appears, attend, ends, hook, is_gone, pods};
use crate::world::{LIMIT, Loop, NAME, World, phase, settings, word};

const BEFORE: &str = "pre-delete-finalizer.argocd.argoproj.io";
const AFTER: &str = "post-delete-finalizer.argocd.argoproj.io";

fn before(name: &str) -> String {
    hook(name, json!({"argocd.argoproj.io/hook": "PreDelete"}))
}

fn after(name: &str) -> String {
    hook(name, json!({"helm.sh/hook": "post-delete"}))
}

fn said(status: &ApplicationStatus) -> &str {
    let found = status.conditions.iter().find(|one| one.type_ == "DeletionError");
    found.map(|one| one.message.as_str()).unwrap_or_default()
}

impl World {
    async fn is_synced(&self) {
        self.status("in sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;
    }

    /// Waits until the Application has these finalizers, in any order.
    async fn has_finalizers(&self, wanted: &[&str]) {
        let wanted: BTreeSet<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let look = || async {
            let application = self.applications().get(NAME).await.ok()?;
            (application.finalizers().iter().cloned().collect::<BTreeSet<_>>() == wanted).then_some(())
        };
        wait_until(LIMIT, &format!("finalizers {wanted:?}"), look).await.unwrap();
    }
}

fn policy() -> serde_json::Value {
    json!({"automated": {"prune": true}, "retry": {"limit": 0}})
}

/// An Application in sync, with a hook before its end and one after.
async fn with_both() -> (World, Loop) {
    let world = World::new().await;
    let both = [("1.json", &before("backup")), ("2.json", &after("goodbye"))];
    world.commit(&[("a.yaml", &settings("hello"))]);
    world.commit(&both.map(|(file, hook)| (file, hook.as_str())));
    let running = world.start().await;
    world.declare(policy()).await;
    world.is_synced().await;
    (world, running)
}

#[tokio::test]
async fn hooks_of_the_end_run_before_objects_go_and_after_they_are_gone() {
    let (world, running) = with_both().await;
    world.has_finalizers(&[BEFORE, AFTER]).await;
    assert!(
        pods(&world).list(&Default::default()).await.unwrap().items.is_empty(),
        "they are not for a sync"
    );

    world.leave().await;
    appears(&world, "backup").await;
    let waits = |status: &ApplicationStatus| said(status).contains("waiting for hook Pod");
    world.status("what is waited for", waits).await;
    world.greeting(Some("hello")).await;
    assert!(pods(&world).get_opt("goodbye").await.unwrap().is_none());
    ends(&world, "backup", "Succeeded").await;
    world.greeting(None).await;
    is_gone(&world, "backup").await;
    appears(&world, "goodbye").await;
    ends(&world, "goodbye", "Succeeded").await;
    world.is_left().await;
    assert!(pods(&world).list(&Default::default()).await.unwrap().items.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn a_hook_of_the_end_that_fails_keeps_the_objects_until_git_holds_another() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &settings("hello")), ("1.json", &before("backup"))]);
    let running = world.start().await;
    world.declare(policy()).await;
    world.is_synced().await;
    world.leave().await;
    appears(&world, "backup").await;
    ends(&world, "backup", "Failed").await;
    let gives_up = |status: &ApplicationStatus| said(status).contains("once git holds another commit");
    let status = world.status("the failure", gives_up).await;
    assert!(said(&status).contains("hook Pod") && said(&status).contains(BEFORE), "{}", said(&status));
    world.greeting(Some("hello")).await;

    world.commit(&[("1.json", &before("mended"))]);
    // The poll of an Application that waits for a person is a minute away.
    let key = ObjectRef::new(NAME).within(world.namespace.name());
    wait_until(LIMIT, "the mended hook", || async {
        running.applications.wake(key.clone());
        pods(&world).get_opt("mended").await.ok()?
    })
    .await
    .unwrap();
    ends(&world, "mended", "Succeeded").await;
    world.is_left().await;
    assert!(world.maps().get_opt("settings").await.unwrap().is_none());
    running.stop().await;
}

#[tokio::test]
async fn what_git_has_no_hook_for_is_not_waited_for() {
    let (world, running) = with_both().await;
    world.has_finalizers(&[BEFORE, AFTER]).await;
    world.commit(&[("1.json", ""), ("a.yaml", &settings("again"))]);
    world.greeting(Some("again")).await;
    world.has_finalizers(&[AFTER]).await;
    // The Application alone goes, and its objects stay.
    world.applications().delete(NAME, &Default::default()).await.unwrap();
    appears(&world, "goodbye").await;
    world.commit(&[("2.json", "")]);
    ends(&world, "goodbye", "Succeeded").await;
    world.is_left().await;
    world.greeting(Some("again")).await;
    running.stop().await;
}

#[tokio::test]
async fn killed_after_each_write_hooks_of_the_end_run_once() {
    for writes in 1..40 {
        let (world, running) = with_both().await;
        running.stop().await;
        let (made, watching) = attend(&world).await;
        world.leave().await;
        let (client, cut) = cut_after(world.client.clone(), writes);
        let running = world.start_with(client).await;
        let was_cut = tokio::select! {
            () = cut.cancelled() => true,
            () = world.is_left() => {
                // What is written after the end counts, too.
                tokio::time::sleep(Duration::from_secs(1)).await;
                cut.is_cancelled()
            }
        };
        running.kill().await;
        let running = world.start().await;
        world.is_left().await;
        let when = format!("killed after {writes} writes");
        let made = made.lock().unwrap().clone();
        let names: BTreeSet<_> = made.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, BTreeSet::from(["backup", "goodbye"]), "{when}: lost");
        assert_eq!(made.len(), 2, "{when}: doubled: {made:#?}");
        assert!(
            pods(&world).list(&Default::default()).await.unwrap().items.is_empty(),
            "{when}: left behind"
        );
        watching.abort();
        running.stop().await;
        if !was_cut {
            assert!(writes > 6, "an end with hooks is more than {writes} writes");
            return;
        }
    }
    panic!("an end with hooks has no end");
}
