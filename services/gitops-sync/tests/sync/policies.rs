//! Rules before a sync, in a namespace as team-isolation marks it.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use mlp_crds::argocd::ApplicationStatus;
use mlp_crds::{PolicyExemption, PolicyExemptionSpec};
use mlp_gitops_sync::reconcile::ExemptionReconciler;
use mlp_harness::wait_until;
use mlp_reconcile::{Controller, Options, watcher};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::world::{LIMIT, NAME, World, automated, phase, settings, word};

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {token: hunter2}\n";

fn said<'a>(status: &'a ApplicationStatus, kind: &str) -> Option<&'a str> {
    status.conditions.iter().find(|one| one.type_ == kind).map(|one| one.message.as_str())
}

impl World {
    /// Gives the namespace the tier of production.
    async fn strictest(&self) {
        let all = Api::<Namespace>::all(self.client.clone());
        let marks = json!({"metadata": {"labels": {"mlplatform.dev/policy-tier": "strictest"},
            "annotations": {"isolation.mlplatform.dev/denied-rules": "image-tag"}}});
        all.patch(self.namespace.name(), &PatchParams::default(), &Patch::Merge(&marks)).await.unwrap();
    }

    fn exemptions(&self) -> Api<PolicyExemption> {
        Api::all(self.client.clone())
    }

    fn exemption(&self, rules: &[&str], expires: &str) -> PolicyExemption {
        let spec = PolicyExemptionSpec {
            namespace: self.namespace.name().to_owned(),
            applications: vec![NAME.to_owned()],
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
            expires: expires.to_owned(),
            reason: "the vault is on its way".to_owned(),
            approved_by: "ada@company.com".to_owned(),
            ticket: "SEC-7".to_owned(),
        };
        PolicyExemption::new(&format!("{}-{}", self.namespace.name(), rules.join("-")), spec)
    }
}

#[tokio::test]
async fn what_breaks_a_rule_is_not_begun_until_somebody_exempts_it() {
    let world = World::new().await;
    world.strictest().await;
    world.commit(&[("a.yaml", &settings("hello"))]);
    let running = world.start().await;
    world.declare(automated()).await;
    world.status("the first sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;

    // Nothing of the commit is applied, not even what breaks no rule.
    world.commit(&[("a.yaml", &settings("changed")), ("key.yaml", SECRET)]);
    let status = world.status("the finding", |status| said(status, "PolicyError").is_some()).await;
    let words = said(&status, "PolicyError").unwrap();
    assert!(words.starts_with("clear-text-secret: Secret ") && words.contains("(key.yaml:1)"), "{words}");
    assert!(!words.contains("hunter2"), "{words}");
    assert_eq!(word(&status), "OutOfSync");
    world.greeting(Some("hello")).await;
    let asked = json!({"operation": {"sync": {}}});
    world.applications().patch(NAME, &PatchParams::default(), &Patch::Merge(&asked)).await.unwrap();
    let status = world.status("the refusal", |status| phase(status) == "Error").await;
    let message = status.operation_state.and_then(|state| state.message).unwrap_or_default();
    assert!(message.starts_with("clear-text-secret: "), "{message}");

    let exemption = world.exemption(&["clear-text-secret"], "2099-01-01T00:00:00Z");
    let made = world.exemptions().create(&PostParams::default(), &exemption).await.unwrap();
    world.greeting(Some("changed")).await;
    let lifted =
        |status: &ApplicationStatus| word(status) == "Synced" && said(status, "PolicyError").is_none();
    world.status("the sync under the exemption", lifted).await;

    // It ends; what is live stays and is told of, and may be worked with.
    world
        .exemptions()
        .delete(made.metadata.name.as_deref().unwrap(), &DeleteParams::default())
        .await
        .unwrap();
    let told = |status: &ApplicationStatus| said(status, "PolicyWarning").is_some();
    let status = world.status("the warning", told).await;
    assert_eq!((word(&status), said(&status, "PolicyError")), ("Synced", None));
    world.commit(&[("a.yaml", &settings("again"))]);
    world.greeting(Some("again")).await;
    // What comes new is judged.
    world
        .commit(&[("a.yaml", &settings("never")), ("more.yaml", &SECRET.replace("name: key", "name: more"))]);
    let status = world.status("the finding again", |status| said(status, "PolicyError").is_some()).await;
    assert!(said(&status, "PolicyError").unwrap().contains("/more (more.yaml:1)"), "{status:#?}");
    world.greeting(Some("again")).await;
    // Nor does somebody get round it who calls it a self-heal.
    let heals =
        json!({"operation": {"initiatedBy": {"automated": true}, "sync": {"autoHealAttemptsCount": 1}}});
    world.applications().patch(NAME, &PatchParams::default(), &Patch::Merge(&heals)).await.unwrap();
    wait_until(LIMIT, "the request taken off", || async {
        world.applications().get(NAME).await.ok()?.operation.is_none().then_some(())
    })
    .await
    .unwrap();
    world.greeting(Some("again")).await;
    running.stop().await;
}

#[tokio::test]
async fn an_exemption_says_whether_it_is_in_force() {
    let world = World::new().await;
    let api = world.exemptions();
    let stop = CancellationToken::new();
    let controller =
        Controller::new("exemptions", api.clone(), watcher::Config::default(), Options::default());
    let task = tokio::spawn(controller.run(ExemptionReconciler::new(world.client.clone()), stop.clone()));
    for (rule, expires, holds, reason, words) in [
        ("privileged", "2099-01-01T00:00:00Z", "True", "InForce", "lifted until 2099-01-01"),
        ("run-as-root", "2020-01-01T00:00:00Z", "False", "Expired", "ended at 2020-01-01"),
        ("claim-class", "2099-02-31T00:00:00Z", "False", "InvalidTime", "spec.expires"),
        ("image-tag", "2099-01-01T00:00:00Z", "False", "InvalidRule", "an IsolationExemption lifts both"),
        (
            "no-such",
            "2099-01-01T00:00:00Z",
            "False",
            "InvalidRule",
            "spec.rules[0]: there is no rule `no-such`",
        ),
    ] {
        let made = api.create(&PostParams::default(), &world.exemption(&[rule], expires)).await.unwrap();
        let name = made.metadata.name.unwrap();
        let ready = wait_until(LIMIT, &name, || async {
            api.get(&name).await.ok()?.status?.conditions.into_iter().find(|one| one.type_ == "Ready")
        });
        let ready = ready.await.unwrap();
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), (holds, reason), "{rule}");
        assert!(ready.message.contains(words), "{}", ready.message);
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }
    let mut vague: Value =
        serde_json::to_value(world.exemption(&["privileged"], "tomorrow-or-later-on")).unwrap();
    vague["metadata"]["name"] = json!("vague");
    let refused =
        api.create(&PostParams::default(), &serde_json::from_value(vague).unwrap()).await.unwrap_err();
    assert!(refused.to_string().contains("write a moment in UTC"), "{refused}");
    stop.cancel();
    task.await.unwrap();
}
