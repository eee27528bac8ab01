//! Applications with several sources.

use kube::api::{Patch, PatchParams};
use mlp_harness::wait_until;
use serde_json::{Value, json};

use crate::world::{LIMIT, NAME, World, automated, phase, settings, word};

const CHART: &str = "apiVersion: v2\nname: web\nversion: 1.0.0\n";
const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: chart}\ndata: {color: {{ .Values.color }}, size: {{ .Values.size }}}\n";

impl World {
    /// Puts several sources in the place of the one.
    async fn sources(&self, sources: Value) {
        let spec = json!({"spec": {"source": null, "sources": sources}});
        self.applications().patch(NAME, &PatchParams::default(), &Patch::Merge(&spec)).await.unwrap();
    }

    async fn chart(&self, color: &str, size: &str) {
        wait_until(LIMIT, &format!("{color} and {size}"), || async {
            let data = self.maps().get_opt("chart").await.ok()??.data?;
            (data.get("color")? == color && data.get("size")? == size).then_some(())
        })
        .await
        .unwrap();
    }

    fn head(&self) -> String {
        let mut command = std::process::Command::new("git");
        let output = command.arg("-C").arg(self.repository.path()).args(["rev-parse", "HEAD"]).output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
    }
}

#[tokio::test]
async fn a_chart_takes_values_from_another_repository_beside_plain_manifests() {
    let (world, values) = (World::new().await, World::new().await);
    world.commit(&[
        ("web/Chart.yaml", CHART),
        ("web/values.yaml", "color: red\nsize: small\n"),
        ("web/templates/map.yaml", TEMPLATE),
        ("plain/a.yaml", &settings("hello")),
    ]);
    values.commit(&[("prod/web.yaml", "color: blue\n")]);
    let address = |world: &World| format!("file://{}", world.repository.path().display());
    let running = world.start().await;
    world.declare(automated()).await;
    let sources = |file: &str| {
        json!([
            {"repoURL": address(&world), "path": "web", "targetRevision": "main", "helm": {"valueFiles": ["values.yaml", file]}},
            {"repoURL": address(&values), "targetRevision": "main", "ref": "env"},
            {"repoURL": address(&world), "path": "plain", "targetRevision": "main"},
        ])
    };
    world.sources(sources("$env/prod/web.yaml")).await;
    world.chart("blue", "small").await;
    world.greeting(Some("hello")).await;
    let status =
        world.status("the end", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;
    let commits = [world.head(), values.head(), world.head()];
    let sync = status.sync.clone().unwrap();
    assert_eq!((sync.revisions.as_slice(), sync.revision), (commits.as_slice(), None));
    assert_eq!(sync.compared_to.unwrap()["sources"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        (status.source_type, status.source_types),
        (None, vec!["Helm".to_owned(), "Directory".to_owned()])
    );
    let last = status.history.last().unwrap();
    assert_eq!(
        (last.revisions.as_slice(), last.sources.len(), &last.revision),
        (commits.as_slice(), 3, &None)
    );

    // A commit of either repository counts.
    values.commit(&[("prod/web.yaml", "color: green\n")]);
    world.chart("green", "small").await;
    world.commit(&[("web/values.yaml", "color: red\nsize: large\n")]);
    world.chart("green", "large").await;

    // What is missing is named by its field, and changes nothing.
    world.sources(sources("$env/prod/gone.yaml")).await;
    let status = world.status("the fault", |status| !status.conditions.is_empty()).await;
    let said = &status.conditions[0];
    assert_eq!(said.type_, "ComparisonError");
    assert!(
        said.message
            .starts_with("spec.sources[0].helm.valueFiles[1]: source `env` has no file prod/gone.yaml"),
        "{}",
        said.message
    );
    world.chart("green", "large").await;

    // A name that reads like a broken pattern is a name: no other file stands in for it.
    world.sources(sources("$env/prod/{web.yaml")).await;
    let no_such = |status: &mlp_crds::argocd::ApplicationStatus| {
        status.conditions.iter().any(|one| one.message.contains("has no file prod/{web.yaml"))
    };
    world.status("the fault of the other name", no_such).await;

    // An operation by hand names a commit for each source.
    world.sources(sources("$env/prod/web.yaml")).await;
    world.status("the recovery", |status| word(status) == "Synced" && status.conditions.is_empty()).await;
    let asked = json!({"spec": {"syncPolicy": null}, "operation": {"sync": {"revisions": commits}}});
    world.applications().patch(NAME, &PatchParams::default(), &Patch::Merge(&asked)).await.unwrap();
    world.chart("blue", "small").await;
    let one = json!({"operation": {"sync": {"revision": commits[0]}}});
    world.status("the end of the sync by hand", |status| phase(status) == "Succeeded").await;
    // It is taken off a moment later; what is merged into it before is no request of its own.
    wait_until(LIMIT, "the request taken off", || async {
        world.applications().get(NAME).await.ok()?.operation.is_none().then_some(())
    })
    .await
    .unwrap();
    world.applications().patch(NAME, &PatchParams::default(), &Patch::Merge(&one)).await.unwrap();
    let status = world.status("the refusal", |status| phase(status) == "Error").await;
    let said = status.operation_state.and_then(|state| state.message).unwrap_or_default();
    assert!(said.contains("operation.sync.revision does not fit"), "{said}");
    running.stop().await;
}
