//! A team's applications, made by an ApplicationSet of the team's and looked after by `mlp app`.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use mlp_crds::{Application, ApplicationSet, Team};
use mlp_flows::cli::{mlp, mlp_ok};
use mlp_flows::git::{application, commit, config_map, repository};
use mlp_flows::{LIMIT, Tested, apply, client, remove, team, until, until_isolated};
use mlp_harness::wait_until;
use serde_json::{Value, json};

const FILE: &str = "apps/fleet-web/settings.yaml";

/// Every folder below `apps` is an Application.
fn set(repository: &str) -> Value {
    let mut spec = application("", "fleet", repository)["spec"].take();
    spec["source"]["path"] = json!("{{ .path.path }}");
    let url = format!("file://{repository}");
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": {"name": "fleet", "namespace": "fleet-team"},
        "spec": {"goTemplate": true, "goTemplateOptions": ["missingkey=error"],
            "generators": [{"git": {"repoURL": url, "revision": "HEAD", "directories": [{"path": "apps/*"}]}}],
            "template": {"metadata": {"name": "{{ .path.basenameNormalized }}"}, "spec": spec}}})
}

async fn mode(maps: &Api<ConfigMap>, value: &str) -> Tested {
    let what = format!("mode {value}");
    until(maps, "settings", &what, |map| {
        map.data.as_ref().and_then(|data| data.get("mode")).is_some_and(|mode| mode == value)
    })
    .await?;
    Ok(())
}

/// Waits until the sync under way is over and the last of at least `syncs` in the history: what is
/// applied is seen before that, and a commit in between takes an unfinished sync over.
async fn rests(applications: &Api<Application>, syncs: usize) -> Tested {
    until(applications, "fleet-web", &format!("the end of sync {syncs}"), |one| {
        let status = one.status.clone().unwrap_or_default();
        let is_synced = status.sync.is_some_and(|sync| sync.status == "Synced");
        let is_done = status.operation_state.is_some_and(|state| state.phase == "Succeeded");
        is_synced && is_done && status.history.len() >= syncs
    })
    .await?;
    Ok(())
}

fn fails(arguments: &[&str], part: &str) {
    let output = mlp(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(part), "mlp {}: {said}", arguments.join(" "));
}

#[tokio::test]
async fn a_team_makes_applications_of_folders_and_goes_back_to_what_was() -> Tested {
    let client = client().await?;
    apply::<Team>(&client, None, &team("fleet")).await?;
    until_isolated(&client, "fleet").await?;
    let folder = repository("fleet", FILE, &config_map("one"))?;
    let at = std::path::Path::new(&folder);
    apply::<ApplicationSet>(&client, Some("fleet-team"), &set(&folder)).await?;
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "fleet-team");
    mode(&maps, "one").await?;
    let applications = Api::<Application>::namespaced(client.clone(), "fleet-team");
    rests(&applications, 1).await?;

    commit(at, FILE, &config_map("two"))?;
    mode(&maps, "two").await?;
    rests(&applications, 2).await?;
    let done = mlp_ok(&["app", "sync", "fleet-web", "--wait"]);
    assert!(done.contains("Succeeded") && done.contains("ConfigMap"), "{done}");
    let tried = mlp_ok(&["app", "sync", "fleet-web", "--dry-run", "--wait"]);
    assert!(tried.contains("Succeeded"), "{tried}");
    let history = mlp_ok(&["app", "history", "fleet-web", "-n", "fleet-team"]);
    assert!(history.lines().count() >= 3 && history.contains("automated sync"), "{history}");

    mlp_ok(&["app", "rollback", "fleet-web", "--wait"]);
    mode(&maps, "one").await?;
    let list = mlp_ok(&["app", "list", "-n", "fleet-team"]);
    assert!(list.contains("(held)"), "{list}");
    // A newer commit changes nothing, however often it is asked for.
    commit(at, FILE, &config_map("three"))?;
    let held = mlp_ok(&["app", "sync", "fleet-web", "--wait"]);
    assert!(held.contains("HeldWarning: held at"), "{held}");
    mode(&maps, "one").await?;
    // What the branch has, which the hold keeps away, is seen before it is let in.
    let differs = mlp_ok(&["diff", "fleet-web", "--revision", "HEAD"]);
    assert!(
        differs.contains("-  mode: one\n+  mode: three\n") && differs.contains("1 object differs"),
        "{differs}"
    );
    fails(&["app", "diff", "fleet-web", "--revision", "HEAD", "--exit-code"], "live differs from git");
    let same = mlp_ok(&["app", "diff", "fleet-web", "--exit-code"]);
    assert!(same.starts_with("0 objects differ from "), "{same}");
    let manifests = mlp_ok(&["app", "manifests", "fleet-web", "--revision", "HEAD"]);
    assert!(manifests.contains("kind: ConfigMap\n") && manifests.contains("mode: three"), "{manifests}");
    let findings = mlp_ok(&["app", "findings", "fleet-web", "--exit-code"]);
    assert!(findings.contains("breaks no rule"), "{findings}");
    let sarif: Value = serde_json::from_str(&mlp_ok(&["app", "findings", "fleet-web", "--sarif"]))?;
    assert_eq!((&sarif["version"], &sarif["runs"][0]["results"]), (&json!("2.1.0"), &json!([])));
    fails(&["app", "manifests", "fleet-web", "--revision", "gone"], "no branch, tag or commit `gone`");
    mlp_ok(&["app", "release", "fleet-web"]);
    mode(&maps, "three").await?;
    rests(&applications, 4).await?;

    // One more in four steps: it is written, committed, and found by the set.
    let new =
        ["--team", "fleet", "--repo", "https://git.example/fleet", "--image", "registry.k8s.io/pause:3.10"];
    let written = mlp_ok(&[&["app", "new", "fleet-new", "--folder", &folder][..], &new].concat());
    assert!(
        written.contains("fleet-new/deployment.yaml") && written.contains("4. cargo mlp app get fleet-new"),
        "{written}"
    );
    commit(at, "README.md", "one more")?;
    until(&applications, "fleet-new", "to be synced", |one| {
        let operation = one.status.as_ref().and_then(|status| status.operation_state.as_ref());
        operation.is_some_and(|state| state.phase == "Succeeded")
    })
    .await?;
    let findings = mlp_ok(&["app", "findings", "fleet-new"]);
    assert!(findings.contains("breaks no rule"), "{findings}");
    fails(&["app", "terminate", "fleet-web"], "no sync is under way");
    fails(&["app", "release", "fleet-web"], "it is not held");
    fails(&["app", "rollback", "fleet-web", "--id", "99"], "it has: ");
    fails(&["app", "get", "nothing"], "cargo mlp app list");
    let shown: Value = serde_json::from_str(&mlp_ok(&["app", "get", "fleet-web", "-o", "json"]))?;
    assert_eq!(shown["application"]["syncStatus"], "Synced", "{shown}");

    remove(&Api::<ApplicationSet>::namespaced(client.clone(), "fleet-team"), "fleet").await?;
    wait_until(LIMIT, "the application gone with its set", || async {
        applications.get_opt("fleet-web").await.ok()?.is_none().then_some(())
    })
    .await?;
    remove(&Api::<Team>::all(client), "fleet").await
}
