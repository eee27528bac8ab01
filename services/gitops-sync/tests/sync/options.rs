//! `ignoreDifferences` and options of a sync.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use mlp_harness::wait_until;
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
    // Another's change of another field is healed; by then the first has been looked at as well.
    world
        .maps()
        .patch("settings", &PatchParams::default(), &Patch::Merge(json!({"data": {"extra": "x"}})))
        .await
        .unwrap();
    world.status("in sync", |status| word(status) == "Synced").await;
    let key = ObjectRef::new(NAME).within(world.namespace.name());
    running.applications.wake_and_wait(key.clone()).await.unwrap();
    running.applications.wake_and_wait(key).await.unwrap();
    let live = world.maps().get("settings").await.unwrap();
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
