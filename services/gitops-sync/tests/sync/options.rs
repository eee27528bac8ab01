//! `ignoreDifferences` and options of a sync.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use mlp_harness::{before_each, wait_until};
use mlp_reconcile::ObjectRef;
use serde_json::{Value, json};

use crate::world::{LIMIT, Loop, NAME, World, automated, phase, word};

/// What git holds of the object under test.
fn map(greeting: &str, other: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{greeting: {greeting}, other: {other}}}\n"
    )
}

impl World {
    /// Declares what is ignored, and waits until the loop knows.
    async fn ignores(&self, running: &Loop, rules: Value, options: Value) {
        let spec = json!({"spec": {"ignoreDifferences": rules, "syncPolicy": {"syncOptions": options}}});
        let patched = self.applications().patch(NAME, &PatchParams::default(), &Patch::Merge(&spec)).await;
        let spec = patched.unwrap().spec;
        let key = ObjectRef::new(NAME).within(self.namespace.name());
        wait_until(LIMIT, "the rules in the loop's cache", || async {
            running.applications.store().get(&key).filter(|known| known.spec == spec)
        })
        .await
        .unwrap();
    }

    async fn change(&self, manager: &str, data: Value) {
        let change =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data});
        let params = PatchParams::apply(manager).force();
        self.maps().patch("settings", &params, &Patch::Apply(&change)).await.unwrap();
    }

    async fn other(&self, text: &str) -> ConfigMap {
        wait_until(LIMIT, &format!("other {text}"), || async {
            let map = self.maps().get("settings").await.ok()?;
            (map.data.as_ref()?.get("other")? == text).then_some(map)
        })
        .await
        .unwrap()
    }
}

fn greeting(map: &ConfigMap) -> &str {
    map.data.as_ref().and_then(|data| data.get("greeting")).map(String::as_str).unwrap_or_default()
}

#[tokio::test]
async fn what_jq_names_is_no_difference_and_stays_where_that_is_respected() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &map("git", "one"))]);
    let running = world.start().await;
    world.declare(automated()).await;
    world.greeting(Some("git")).await;
    let rules = json!([{"kind": "ConfigMap", "jqPathExpressions": [".data | select(has(\"greeting\")) | .greeting"]}]);
    world.ignores(&running, rules.clone(), json!(["RespectIgnoreDifferences=true"])).await;
    world.change("somebody", json!({"greeting": "by hand"})).await;
    // What is not ignored is healed, and the ignored field is left alone by that very write.
    world.change("somebody", json!({"greeting": "by hand", "other": "by hand"})).await;
    assert_eq!(greeting(&world.other("one").await), "by hand");
    world.commit(&[("a.yaml", &map("newer", "two"))]);
    assert_eq!(greeting(&world.other("two").await), "by hand");
    world.status("in sync", |status| word(status) == "Synced" && status.conditions.is_empty()).await;

    world.ignores(&running, rules, json!([])).await;
    world.commit(&[("a.yaml", &map("newest", "three"))]);
    assert_eq!(
        greeting(&world.other("three").await),
        "newest",
        "a sync writes what only a comparison leaves out"
    );
    running.stop().await;
}

#[tokio::test]
async fn fields_of_a_named_manager_are_no_difference() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &map("git", "one"))]);
    let running = world.start().await;
    world.declare(automated()).await;
    world.greeting(Some("git")).await;
    let rules = json!([{"kind": "ConfigMap", "managedFieldsManagers": ["autoscaler"]}]);
    world.ignores(&running, rules, json!([])).await;
    world.change("autoscaler", json!({"greeting": "scaled"})).await;
    let key = ObjectRef::new(NAME).within(world.namespace.name());
    // Another's change of another field is healed; by then the first has been looked at as well.
    world
        .maps()
        .patch("settings", &PatchParams::default(), &Patch::Merge(json!({"data": {"extra": "x"}})))
        .await
        .unwrap();
    world.status("in sync", |status| word(status) == "Synced").await;
    running.applications.wake_and_wait(key.clone()).await.unwrap();
    running.applications.wake_and_wait(key).await.unwrap();
    let live = world.maps().get("settings").await.unwrap();
    assert_eq!(greeting(&live), "scaled");
    running.stop().await;
}

#[tokio::test]
async fn what_somebody_writes_between_reading_and_comparing_is_no_difference() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &map("git", "one"))]);
    let (maps, armed) = (world.maps(), Arc::new(AtomicBool::new(false)));
    let writes = {
        let armed = armed.clone();
        move || {
            let (maps, armed) = (maps.clone(), armed.swap(false, Ordering::SeqCst));
            async move {
                let change = Patch::Merge(json!({"data": {"extra": "written meanwhile"}}));
                if armed {
                    maps.patch("settings", &PatchParams::default(), &change).await.unwrap();
                }
            }
        }
    };
    let client = before_each(
        world.client.clone(),
        |request| {
            request.uri().path().ends_with("/configmaps/settings")
                && request.uri().query().is_some_and(|query| query.contains("dryRun="))
        },
        writes,
    );
    let running = world.start_with(client).await;
    world.declare(automated()).await;
    world.greeting(Some("git")).await;
    let rules = json!([{"kind": "ConfigMap", "managedFieldsManagers": ["autoscaler"]}]);
    world.ignores(&running, rules, json!([])).await;
    world.status("in sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;
    world.change("autoscaler", json!({"greeting": "scaled"})).await;
    armed.store(true, Ordering::SeqCst);
    // Nobody compared this before; a write of ours would take the ignored field back.
    let unknown = Patch::Merge(json!({"data": {"first": "written"}}));
    world.maps().patch("settings", &PatchParams::default(), &unknown).await.unwrap();
    let key = ObjectRef::new(NAME).within(world.namespace.name());
    for _ in 0..3 {
        running.applications.wake_and_wait(key.clone()).await.unwrap();
    }
    let live = world.maps().get("settings").await.unwrap();
    assert_eq!(live.data.as_ref().unwrap().get("extra").unwrap(), "written meanwhile");
    assert_eq!(greeting(&live), "scaled");
    running.stop().await;
}

#[tokio::test]
async fn an_expression_that_might_not_end_is_refused_by_its_field() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &map("git", "one"))]);
    let running = world.start().await;
    world.declare(automated()).await;
    world.greeting(Some("git")).await;
    world
        .ignores(&running, json!([{"kind": "ConfigMap", "jqPathExpressions": ["repeat(.)"]}]), json!([]))
        .await;
    let status = world.status("the refusal", |status| !status.conditions.is_empty()).await;
    let said = &status.conditions[0];
    assert_eq!(said.type_, "InvalidSpecError");
    assert!(
        said.message.contains("spec.ignoreDifferences[0].jqPathExpressions[0]")
            && said.message.contains("`repeat`")
    );
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_changed_is_made_anew_where_that_is_asked_for() {
    let job = |options: &str, image: &str| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: once, annotations: {{argocd.argoproj.io/sync-options: '{options}'}}}}\n\
             spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: main, image: {image}}}]}}}}}}\n"
        )
    };
    let world = World::new().await;
    world.commit(&[("a.yaml", &job("", "one"))]);
    let running = world.start().await;
    world.declare(automated()).await;
    world.status("the job", |status| phase(status) == "Succeeded").await;
    let jobs = Api::<Job>::namespaced(world.client.clone(), world.namespace.name());
    let first = jobs.get("once").await.unwrap().uid();
    world.commit(&[("a.yaml", &job("", "two"))]);
    let refused = |status: &mlp_crds::argocd::ApplicationStatus| {
        let said =
            status.operation_state.as_ref().and_then(|state| state.message.clone()).unwrap_or_default();
        said.contains("field is immutable")
    };
    world.status("the refusal", refused).await;
    assert_eq!(jobs.get("once").await.unwrap().uid(), first);

    world.commit(&[("a.yaml", &job("Force=true,Replace=true", "two"))]);
    wait_until(LIMIT, "another job", || async {
        let job = jobs.get_opt("once").await.ok()??;
        let image = job.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.image.clone();
        (job.uid() != first && image.as_deref() == Some("two")).then_some(())
    })
    .await
    .unwrap();
    world.status("in sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;
    running.stop().await;
}

#[tokio::test]
async fn what_other_tools_declared_becomes_ours_and_goes_where_git_does_not_say_it() {
    let world = World::new().await;
    let stated = |key: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {(key): "theirs"}});
    let create = |manager: &str| PostParams { field_manager: Some(manager.into()), ..Default::default() };
    let by_kubectl: ConfigMap = serde_json::from_value(stated("kubectl")).unwrap();
    world.maps().create(&create("kubectl-client-side-apply"), &by_kubectl).await.unwrap();
    let update = |manager: &str| PatchParams { field_manager: Some(manager.into()), ..Default::default() };
    for (manager, key) in [("helm", "helm"), ("kubectl-edit", "hand")] {
        let data = Patch::Merge(json!({"data": {(key): "theirs"}}));
        world.maps().patch("settings", &update(manager), &data).await.unwrap();
    }
    let by_argo = PatchParams::apply("argocd-controller");
    world.maps().patch("settings", &by_argo, &Patch::Apply(&stated("argo"))).await.unwrap();

    world.commit(&[("a.yaml", &map("git", "one"))]);
    let running = world.start().await;
    world.declare(automated()).await;
    world.status("in sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;
    let data = world.maps().get("settings").await.unwrap().data.unwrap();
    let keys: Vec<_> = data.keys().map(String::as_str).collect();
    assert_eq!(keys, ["greeting", "hand", "other"], "what a person changed by hand is theirs");
    running.stop().await;
}

#[tokio::test]
async fn what_is_to_be_replaced_loses_what_others_added_and_keeps_what_holds_it() {
    let world = World::new().await;
    let replaced = |greeting: &str, more: &str| {
        map(greeting, "one").replace("name: settings", &format!("name: settings{more}"))
    };
    let option = ", annotations: {argocd.argoproj.io/sync-options: Replace=true}";
    world.commit(&[("a.yaml", &map("git", "one"))]);
    let running = world.start().await;
    world.declare(automated()).await;
    world.status("in sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;
    let by_hand = json!({"metadata": {"finalizers": ["example.org/held"]}, "data": {"extra": "by hand"}});
    world.maps().patch("settings", &PatchParams::default(), &Patch::Merge(&by_hand)).await.unwrap();
    let keys = |map: ConfigMap| map.data.unwrap_or_default().into_keys().collect::<Vec<_>>();

    world.commit(&[("a.yaml", &replaced("again", ""))]);
    world.greeting(Some("again")).await;
    assert_eq!(keys(world.maps().get("settings").await.unwrap()), ["extra", "greeting", "other"]);
    world.commit(&[("a.yaml", &replaced("replaced", option))]);
    world.greeting(Some("replaced")).await;
    let live = world.maps().get("settings").await.unwrap();
    assert_eq!(live.metadata.finalizers, Some(vec!["example.org/held".to_owned()]));
    assert_eq!(keys(live), ["greeting", "other"]);
    world.status("in sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    world.maps().patch("settings", &PatchParams::default(), &free).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn what_a_named_manager_declared_stays_its_own() {
    let world = World::new().await;
    world.change("kubectl", json!({"theirs": "stays"})).await;
    world.commit(&[("a.yaml", &map("git", "one"))]);
    let running = world.start().await;
    world.declare(json!({})).await;
    let rule = json!([{"kind": "ConfigMap", "managedFieldsManagers": ["kubectl"]}]);
    world.ignores(&running, rule, json!([])).await;
    for greeting in ["git", "again"] {
        world.commit(&[("a.yaml", &map(greeting, "one"))]);
        let on = json!({"spec": {"syncPolicy": {"automated": {}}}});
        world.applications().patch(NAME, &PatchParams::default(), &Patch::Merge(&on)).await.unwrap();
        world.greeting(Some(greeting)).await;
        world.status("in sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;
        let data = world.maps().get("settings").await.unwrap().data.unwrap();
        assert_eq!(data.get("theirs").map(String::as_str), Some("stays"));
    }
    running.stop().await;
}

#[tokio::test]
async fn a_deletion_that_asks_for_it_waits_for_a_person() {
    let world = World::new().await;
    let confirm = "argocd.argoproj.io/sync-options: 'Prune=confirm,Delete=confirm'";
    let asking = |name: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, annotations: {{{confirm}}}}}\n")
    };
    world.commit(&[("a.yaml", &map("git", "one")), ("b.yaml", &asking("left")), ("c.yaml", &asking("data"))]);
    let running = world.start().await;
    world.declare(automated()).await;
    world.status("in sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;

    world.commit(&[("b.yaml", "")]);
    let waits = |status: &mlp_crds::argocd::ApplicationStatus| {
        let said = status.operation_state.as_ref().and_then(|state| state.message.clone());
        said.is_some_and(|said| said.contains("left is to be confirmed"))
    };
    let status = world.status("the question", waits).await;
    assert!(status.resources.iter().any(|one| one.name == "left" && one.requires_deletion_confirmation));
    assert!(world.maps().get_opt("left").await.unwrap().is_some());
    world.approve().await;
    world.status("in sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;
    assert!(world.maps().get_opt("left").await.unwrap().is_none());

    // What was said of the one is not said of the other.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    world.leave().await;
    let asks = |status: &mlp_crds::argocd::ApplicationStatus| {
        status.conditions.iter().any(|one| one.message.contains("data is to be confirmed"))
    };
    world.status("the other question", asks).await;
    assert!(world.maps().get_opt("data").await.unwrap().is_some());
    world.greeting(Some("git")).await;
    world.approve().await;
    world.is_left().await;
    assert!(world.maps().get_opt("data").await.unwrap().is_none());
    running.stop().await;
}

#[tokio::test]
async fn what_is_extraneous_and_said_to_be_is_no_difference() {
    let world = World::new().await;
    let extra = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra, annotations: {argocd.argoproj.io/compare-options: IgnoreExtraneous}}\n";
    world.commit(&[("a.yaml", &map("git", "one")), ("b.yaml", extra)]);
    let running = world.start().await;
    world.declare(automated()).await;
    world.status("in sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;
    world.commit(&[("b.yaml", "")]);
    let seen = |status: &mlp_crds::argocd::ApplicationStatus| {
        status.resources.iter().any(|one| one.name == "extra" && one.requires_pruning)
    };
    let status = world.status("what left git", seen).await;
    assert_eq!(word(&status), "Synced");
    let extra = status.resources.iter().find(|one| one.name == "extra").unwrap();
    assert_eq!(extra.status.as_deref(), Some("OutOfSync"));
    assert!(world.maps().get_opt("extra").await.unwrap().is_some());
    running.stop().await;
}

#[tokio::test]
async fn an_application_that_keeps_all_keeps_it_in_a_sync_and_at_its_end() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &map("git", "one")), ("b.yaml", &settings_of("left"))]);
    let running = world.start().await;
    let options = json!(["Prune=false", "Delete=false"]);
    world.declare(json!({"automated": {"prune": true}, "syncOptions": options})).await;
    world.status("in sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;
    world.commit(&[("a.yaml", &map("again", "one")), ("b.yaml", "")]);
    world.greeting(Some("again")).await;
    let left = |status: &mlp_crds::argocd::ApplicationStatus| {
        phase(status) == "Succeeded" && status.resources.iter().any(|one| one.requires_pruning)
    };
    world.status("what left git", left).await;
    world.leave().await;
    world.is_left().await;
    world.greeting(Some("again")).await;
    assert!(world.maps().get_opt("left").await.unwrap().is_some());
    running.stop().await;
}

fn settings_of(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}
