//! Phases, hooks and waves, by pods that a test ends as it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt as _};
use mlp_crds::argocd::{ApplicationStatus, ResourceResult};
use mlp_harness::{cut_after, wait_until};
use serde_json::{Value, json};

use crate::world::{LIMIT, World, phase, settings, word};

/// A pod that is never scheduled: it ends when the test says so.
fn pod(metadata: &Value) -> String {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"restartPolicy": "Never", "schedulingGates": [{"name": "example.org/test"}],
            "automountServiceAccountToken": false, "containers": [{"name": "main", "image": "hook:1"}]},
    });
    pod.to_string()
}

pub(crate) fn hook(name: &str, annotations: Value) -> String {
    pod(&json!({"name": name, "annotations": annotations}))
}

pub(crate) fn pods(world: &World) -> Api<Pod> {
    Api::namespaced(world.client.clone(), world.namespace.name())
}

pub(crate) async fn appears(world: &World, name: &str) -> Pod {
    let found =
        wait_until(LIMIT, &format!("hook {name}"), || async { pods(world).get_opt(name).await.ok()? }).await;
    match found {
        Ok(pod) => pod,
        Err(error) => panic!("{error}: {:#?}", world.status("any status", |_| true).await.operation_state),
    }
}

pub(crate) async fn ends(world: &World, name: &str, phase: &str) {
    let status = json!({"status": {"phase": phase, "message": "as the test says"}});
    pods(world).patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
}

pub(crate) async fn is_gone(world: &World, name: &str) {
    let gone = || async { pods(world).get_opt(name).await.ok()?.is_none().then_some(()) };
    wait_until(LIMIT, &format!("hook {name} to be gone"), gone).await.unwrap();
}

fn message(status: &ApplicationStatus) -> String {
    status.operation_state.as_ref().and_then(|state| state.message.clone()).unwrap_or_default()
}

fn results(status: &ApplicationStatus) -> Vec<ResourceResult> {
    let state = status.operation_state.clone().unwrap_or_default();
    state.sync_result.unwrap_or_default().resources
}

fn policy() -> Value {
    json!({"automated": {"prune": true}, "retry": {"limit": 0}})
}

#[tokio::test]
async fn hooks_run_before_with_and_after_what_is_applied_and_go_by_their_policy() {
    let world = World::new().await;
    world.commit(&[
        ("a.yaml", &settings("hello")),
        (
            "1.json",
            &hook(
                "first",
                json!({"argocd.argoproj.io/hook": "PreSync", "argocd.argoproj.io/sync-wave": "-1",
            "argocd.argoproj.io/hook-delete-policy": "HookSucceeded"}),
            ),
        ),
        ("2.json", &hook("second", json!({"helm.sh/hook": "pre-install,pre-upgrade"}))),
        ("3.json", &hook("beside", json!({"argocd.argoproj.io/hook": "Sync"}))),
        (
            "4.json",
            &pod(&json!({"generateName": "after-", "annotations": {"argocd.argoproj.io/hook": "PostSync"}})),
        ),
        ("5.json", &hook("never", json!({"argocd.argoproj.io/hook": "Skip"}))),
        ("6.json", &hook("failure", json!({"argocd.argoproj.io/hook": "SyncFail"}))),
    ]);
    let running = world.start().await;
    world.declare(policy()).await;
    appears(&world, "first").await;
    let waits = |status: &ApplicationStatus| {
        message(status).contains("waiting for hook") && message(status).contains("first")
    };
    world.status("the first hook to be waited for", waits).await;
    assert!(pods(&world).get_opt("second").await.unwrap().is_none(), "its wave is a later one");
    ends(&world, "first", "Succeeded").await;
    appears(&world, "second").await;
    assert!(world.maps().get_opt("settings").await.unwrap().is_none(), "nothing is applied before");
    ends(&world, "second", "Succeeded").await;
    world.greeting(Some("hello")).await;
    appears(&world, "beside").await;
    ends(&world, "beside", "Succeeded").await;
    let after = wait_until(LIMIT, "the hook after", || async {
        let pods = pods(&world).list(&Default::default()).await.ok()?;
        pods.into_iter().map(|pod| pod.name_any()).find(|name| name.starts_with("after-"))
    });
    let after = after.await.unwrap();
    assert!(after.contains("-postsync-"), "{after}");
    ends(&world, &after, "Succeeded").await;
    let status = world.status("the end", |status| phase(status) == "Succeeded").await;
    is_gone(&world, "first").await;
    assert!(pods(&world).get_opt("never").await.unwrap().is_none());
    assert!(pods(&world).get_opt("failure").await.unwrap().is_none());
    let said: BTreeMap<_, _> = results(&status)
        .into_iter()
        .filter_map(|result| Some((result.name, (result.hook_type?, result.hook_phase?))))
        .collect();
    let succeeded = |of: &str| (of.to_owned(), "Succeeded".to_owned());
    assert_eq!(said["first"], succeeded("PreSync"));
    assert_eq!(said["second"], succeeded("PreSync"));
    assert_eq!(said["beside"], succeeded("Sync"));
    assert_eq!(said[&after], succeeded("PostSync"));

    // The next sync makes room for its own, and what stays of the last is no difference.
    let status = world.status("all in sync", |status| word(status) == "Synced").await;
    assert!(status.resources.iter().any(|one| one.hook && one.name == "second"), "{:#?}", status.resources);
    let before = pods(&world).get("second").await.unwrap().uid();
    world.commit(&[("a.yaml", &settings("world"))]);
    appears(&world, "first").await;
    ends(&world, "first", "Succeeded").await;
    wait_until(LIMIT, "a second of its own", || async {
        (pods(&world).get_opt("second").await.ok()??.uid() != before).then_some(())
    })
    .await
    .unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_hook_that_fails_stops_the_sync_and_the_hooks_of_failure_run() {
    let world = World::new().await;
    let goes =
        json!({"argocd.argoproj.io/hook": "PreSync", "argocd.argoproj.io/hook-delete-policy": "HookFailed"});
    world.commit(&[
        ("a.yaml", &settings("hello")),
        ("1.json", &hook("check", goes)),
        ("2.json", &hook("clean", json!({"argocd.argoproj.io/hook": "SyncFail"}))),
    ]);
    let running = world.start().await;
    world.declare(policy()).await;
    appears(&world, "check").await;
    ends(&world, "check", "Failed").await;
    appears(&world, "clean").await;
    let status = world
        .status("the hook of failure to be waited for", |status| message(status).contains("clean"))
        .await;
    assert_eq!(phase(&status), "Running");
    ends(&world, "clean", "Succeeded").await;
    let status = world.status("the end", |status| phase(status) == "Failed").await;
    assert!(
        message(&status).contains("check failed") && message(&status).contains("as the test says"),
        "{}",
        message(&status)
    );
    is_gone(&world, "check").await;
    world.greeting(None).await;
    running.stop().await;
}

#[tokio::test]
async fn a_hook_that_somebody_deletes_has_failed_and_the_way_out_takes_hooks_along() {
    let world = World::new().await;
    world.commit(&[
        ("a.yaml", &settings("hello")),
        ("1.json", &hook("check", json!({"argocd.argoproj.io/hook": "PreSync"}))),
    ]);
    let running = world.start().await;
    world.declare(policy()).await;
    appears(&world, "check").await;
    let waits = |status: &ApplicationStatus| message(status).contains("waiting for hook");
    world.status("the hook to be waited for", waits).await;
    let at_once = kube::api::DeleteParams::default().grace_period(0);
    pods(&world).delete("check", &at_once).await.unwrap();
    let status = world.status("the end", |status| phase(status) == "Failed").await;
    assert!(message(&status).contains("deleted while it ran"), "{}", message(&status));
    is_gone(&world, "check").await;

    world.commit(&[("a.yaml", &settings("world"))]);
    appears(&world, "check").await;
    world.leave().await;
    world.is_left().await;
    is_gone(&world, "check").await;
    running.stop().await;
}

async fn is_another(world: &World, name: &str, before: Option<String>) -> Pod {
    wait_until(LIMIT, &format!("another {name}"), || async {
        pods(world).get_opt(name).await.ok()?.filter(|pod| pod.uid() != before)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_commit_that_changes_nothing_of_it_leaves_a_hook_alone_and_one_that_does_begins_anew() {
    let world = World::new().await;
    world.commit(&[
        ("app/a.yaml", &settings("hello")),
        ("app/1.json", &hook("check", json!({"argocd.argoproj.io/hook": "PreSync"}))),
    ]);
    let running = world.start().await;
    world.declare_source(policy(), json!({"path": "app"})).await;
    let first = appears(&world, "check").await.uid();
    let status = world
        .status("the hook to be waited for", |status| message(status).contains("waiting for hook"))
        .await;
    let revision = status.sync.unwrap().revision;
    world.commit(&[("other/a.yaml", &settings("other"))]);
    let moved =
        |status: &ApplicationStatus| status.sync.as_ref().is_some_and(|sync| sync.revision != revision);
    world.status("the next commit", moved).await;
    assert_eq!(pods(&world).get("check").await.unwrap().uid(), first, "it goes on");

    world.commit(&[("app/a.yaml", &settings("world"))]);
    let second = is_another(&world, "check", first.clone()).await;
    ends(&world, "check", "Succeeded").await;
    world.greeting(Some("world")).await;
    let status = world.status("the end", |status| phase(status) == "Succeeded").await;
    assert_eq!(results(&status).iter().filter(|result| result.hook_type.is_some()).count(), 1);
    assert_eq!(pods(&world).get("check").await.unwrap().uid(), second.uid());
    running.stop().await;
}

#[tokio::test]
async fn an_object_that_becomes_a_hook_makes_room_and_one_of_a_stranger_is_left_alone() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &settings("hello")), ("1.json", &pod(&json!({"name": "check"})))]);
    let running = world.start().await;
    world.declare(policy()).await;
    let ordinary = appears(&world, "check").await.uid();
    world.status("the first sync", |status| word(status) == "Synced").await;
    let as_hook = hook("check", json!({"argocd.argoproj.io/hook": "PreSync"}));
    world.commit(&[("a.yaml", &settings("world")), ("1.json", &as_hook)]);
    is_another(&world, "check", ordinary).await;
    ends(&world, "check", "Succeeded").await;
    world.greeting(Some("world")).await;
    world.status("the second sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;

    let stranger: Pod = serde_json::from_str(&pod(&json!({"name": "strange"}))).unwrap();
    let stranger = pods(&world).create(&Default::default(), &stranger).await.unwrap();
    let strange = hook("strange", json!({"argocd.argoproj.io/hook": "PreSync"}));
    world.commit(&[("a.yaml", &settings("again")), ("1.json", &strange)]);
    let status = world.status("the refusal", |status| phase(status) == "Failed").await;
    assert!(message(&status).contains("not this Application's"), "{}", message(&status));
    assert_eq!(pods(&world).get("strange").await.unwrap().uid(), stranger.uid());
    world.greeting(Some("world")).await;
    running.stop().await;
}

#[tokio::test]
async fn nothing_runs_before_an_object_that_the_api_server_refuses() {
    let world = World::new().await;
    let wrong = settings("hello").replace("\ndata: {", "\nimmutable: maybe\ndata: {");
    world.commit(&[
        ("a.yaml", &wrong),
        ("1.json", &hook("migrate", json!({"argocd.argoproj.io/hook": "PreSync"}))),
    ]);
    let running = world.start().await;
    world.declare(policy()).await;
    let status = world.status("the refusal", |status| phase(status) == "Failed").await;
    assert!(message(&status).contains("settings"), "{}", message(&status));
    assert!(pods(&world).get_opt("migrate").await.unwrap().is_none());
    running.stop().await;
}

/// Ends every hook as it comes, and notes of each which attempts made it, by uid.
pub(crate) async fn attend(
    world: &World,
) -> (Arc<Mutex<BTreeSet<(String, String, String)>>>, tokio::task::JoinHandle<()>) {
    let made: Arc<Mutex<BTreeSet<(String, String, String)>>> = Arc::default();
    let (seen, api) = (made.clone(), pods(world));
    let version = api.list(&Default::default()).await.unwrap().metadata.resource_version.unwrap();
    let watching = tokio::spawn(async move {
        let mut events = api.watch(&WatchParams::default(), &version).await.unwrap().boxed();
        while let Some(Ok(event)) = events.next().await {
            let WatchEvent::Added(pod) = event else { continue };
            let attempt = pod.annotations().get("mlplatform.dev/sync-attempt").cloned().unwrap_or_default();
            seen.lock().unwrap().insert((pod.name_any(), attempt, pod.uid().unwrap()));
            let status = json!({"status": {"phase": "Succeeded"}});
            let ended =
                api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await;
            drop(ended);
        }
    });
    (made, watching)
}

#[tokio::test]
async fn killed_after_each_write_no_hook_is_lost_or_doubled() {
    let policy_of = |when: &str, goes: &str| json!({"argocd.argoproj.io/hook": when, "argocd.argoproj.io/hook-delete-policy": goes});
    for writes in 1..60 {
        let world = World::new().await;
        world.commit(&[
            ("a.yaml", &settings("hello")),
            ("1.json", &hook("before", policy_of("PreSync", "HookSucceeded"))),
            ("2.json", &hook("beside", policy_of("Sync", "BeforeHookCreation"))),
            ("3.json", &hook("after", policy_of("PostSync", "HookSucceeded"))),
        ]);
        let (made, watching) = attend(&world).await;
        let (client, cut) = cut_after(world.client.clone(), writes);
        let running = world.start_with(client).await;
        world.declare(policy()).await;
        let done = wait_until(LIMIT, "the end", || async {
            let status = world.applications().get(crate::world::NAME).await.ok()?.status?;
            (phase(&status) == "Succeeded" && word(&status) == "Synced").then_some(())
        });
        let was_cut = tokio::select! {
            () = cut.cancelled() => true,
            done = done => {
                done.unwrap();
                // What is written after the end counts, too.
                tokio::time::sleep(Duration::from_secs(1)).await;
                cut.is_cancelled()
            }
        };
        running.kill().await;
        let running = world.start().await;
        let when = format!("killed after {writes} writes");
        world.status(&when, |status| phase(status) == "Succeeded" && word(status) == "Synced").await;
        for gone in ["before", "after"] {
            is_gone(&world, gone).await;
        }
        let made = made.lock().unwrap().clone();
        let names: BTreeSet<_> = made.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, BTreeSet::from(["after", "before", "beside"]), "{when}: lost");
        assert_eq!(made.len(), 3, "{when}: doubled: {made:#?}");
        watching.abort();
        running.stop().await;
        if !was_cut {
            assert!(writes > 8, "a sync with hooks is more than {writes} writes");
            return;
        }
    }
    panic!("a sync with hooks has no end");
}

#[tokio::test]
async fn killed_after_each_write_the_way_out_takes_hooks_along() {
    for writes in 1..30 {
        let world = World::new().await;
        world.commit(&[
            ("a.yaml", &settings("hello")),
            ("1.json", &hook("check", json!({"argocd.argoproj.io/hook": "PreSync"}))),
        ]);
        let (client, cut) = cut_after(world.client.clone(), writes);
        let running = world.start_with(client).await;
        world.declare(policy()).await;
        let waits = |status: &ApplicationStatus| message(status).contains("waiting for hook");
        let was_cut = tokio::select! {
            () = cut.cancelled() => true,
            _ = world.status("the hook to be waited for", waits) => false,
        };
        running.kill().await;
        world.leave().await;
        let running = world.start().await;
        world.is_left().await;
        assert!(
            pods(&world).get_opt("check").await.unwrap().is_none(),
            "killed after {writes} writes, the hook is left behind"
        );
        running.stop().await;
        if !was_cut {
            assert!(writes > 3, "it takes more than {writes} writes to come to a hook");
            return;
        }
    }
    panic!("a hook is never come to");
}
