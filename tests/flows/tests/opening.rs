//! Namespaces that members open by themselves: within what the Team grants, beside what is declared, and gone
//! again when they are closed.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ResourceQuota};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use mlp_crds::Team;
use mlp_flows::cli::{mlp, mlp_ok, with_kubectl};
use mlp_flows::{Tested, apply, client, remove, team, until, until_isolated};
use serde_json::{Value, json};

fn opener() -> Value {
    let mut opener = team("opener");
    opener["spec"]["access"] = json!({
        "serviceAccount": {"role": "admin"}, "serviceAccounts": [{"name": "reader", "role": "view"}],
    });
    opener["spec"]["selfService"] = json!({"namespaces": 1, "environments": ["dev"], "share": 20});
    opener
}

/// A file with a token of an account.
fn token(folder: &tempfile::TempDir, namespace: &str, account: &str) -> Result<PathBuf, std::io::Error> {
    let token = with_kubectl(&format!("kubectl -n {namespace} create token {account}"), "");
    let path = folder.path().join(format!("{namespace}-{account}"));
    std::fs::write(&path, token.trim())?;
    Ok(path)
}

/// What `mlp team VERB --token FILE` says when it is refused.
fn refused(token: &std::path::Path, verb: &[&str]) -> String {
    let token = token.to_string_lossy();
    let output = mlp(&[&["team", "--token", &token], verb].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{verb:?} should be refused");
    said
}

#[tokio::test]
async fn members_open_namespaces_within_what_the_team_grants() -> Tested {
    let client = client().await?;
    apply::<Team>(&client, None, &opener()).await?;
    until_isolated(&client, "opener").await?;
    let taken = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "opener-taken"}});
    apply::<Namespace>(&client, None, &taken).await?;
    let folder = tempfile::tempdir()?;
    let admin = token(&folder, "opener-team", "opener-team")?;
    let by_admin = admin.to_string_lossy().into_owned();

    let said = refused(&admin, &["open", "opener", "opener-taken"]);
    assert!(said.contains("there is a namespace opener-taken already"), "{said}");
    let said =
        mlp_ok(&["team", "--token", &by_admin, "open", "opener", "opener-lab", "--environment", "dev"]);
    assert!(said.starts_with("open; team opener holds"), "{said}");
    until_isolated(&client, "opener").await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let lab = namespaces.get("opener-lab").await?;
    assert_eq!(lab.labels().get("mlplatform.dev/team").map(String::as_str), Some("opener"));
    assert_eq!(lab.labels().get("environment").map(String::as_str), Some("dev"));
    assert!(
        Api::<ResourceQuota>::namespaced(client.clone(), "opener-lab").get_opt("team-quota").await?.is_some()
    );
    assert!(
        Api::<RoleBinding>::namespaced(client.clone(), "opener-lab").get_opt("team-admin").await?.is_some()
    );
    let teams: Api<Team> = Api::all(client.clone());
    let opened = teams.get("opener").await?;
    assert_eq!(opened.namespace_names(), ["opener-team", "opener-lab"], "beside the default one");
    let by = opened.spec.namespaces.first().and_then(|one| one.opened_by.clone()).unwrap_or_default();
    assert_eq!(by, "system:serviceaccount:opener-team:opener-team");
    let again =
        mlp_ok(&["team", "--token", &by_admin, "open", "opener", "opener-lab", "--environment", "dev"]);
    assert!(again.contains("opener-lab"), "{again}");
    assert_eq!(teams.get("opener").await?.metadata.generation, opened.metadata.generation, "twice is once");

    refuses(&folder, &admin)?;
    // The declaration is applied again, as git does: what was opened stays.
    let mut declared = opener();
    declared["spec"]["namespaces"] = json!([{"name": "opener-team", "share": 50}]);
    apply::<Team>(&client, None, &declared).await?;
    assert_eq!(teams.get("opener").await?.namespace_names(), ["opener-team", "opener-lab"]);

    let kept = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "finalizers": ["example.com/hold"]}});
    apply::<ConfigMap>(&client, Some("opener-lab"), &kept).await?;
    let closed = mlp_ok(&["team", "--token", &by_admin, "close", "opener", "opener-lab"]);
    assert!(closed.starts_with("closed; it goes when it is empty"), "{closed}");
    // Opened again while it cannot go, by whatever way, it keeps nobody from changing the team.
    until(&namespaces, "opener-lab", "it is on its way out", |namespace| {
        namespace.metadata.deletion_timestamp.is_some()
    })
    .await?;
    let said = refused(&admin, &["open", "opener", "opener-lab"]);
    assert!(said.contains("opener-lab is being deleted"), "{said}");
    let entries =
        json!([{"name": "opener-team", "share": 50}, {"name": "opener-lab", "openedBy": "somebody"}]);
    let forced = json!({"spec": {"namespaces": entries, "displayName": "Opener, anew"}});
    teams.patch("opener", &PatchParams::default(), &Patch::Merge(&forced)).await?;
    until_isolated(&client, "opener").await?;
    says_what_cannot_be_had(&teams).await?;
    let entries = json!({"spec": {"namespaces": [{"name": "opener-team", "share": 50}]}});
    teams.patch("opener", &PatchParams::default(), &Patch::Merge(&entries)).await?;
    let free = json!({"metadata": {"finalizers": null}});
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "opener-lab");
    maps.patch("kept", &PatchParams::default(), &Patch::Merge(&free)).await?;
    mlp_harness::wait_until(mlp_flows::LIMIT, "opener-lab to be gone", || async {
        namespaces.get_opt("opener-lab").await.ok()?.is_none().then_some(())
    })
    .await?;
    until(&teams, "opener", "the team has one namespace", |team| {
        team.status.as_ref().is_some_and(|status| status.namespaces.len() == 1)
    })
    .await?;
    remove(&namespaces, "opener-taken").await?;
    remove(&teams, "opener").await
}

/// The team is ready, and a condition names the namespace that it cannot have.
async fn says_what_cannot_be_had(teams: &Api<Team>) -> Tested {
    let of_team = |team: &Team| {
        let status = team.status.clone().unwrap_or_default();
        status.conditions.into_iter().find(|one| one.type_ == "OpenedNamespacesReady")
    };
    let team = teams.get("opener").await?;
    let said = of_team(&team).ok_or("no condition about opened namespaces")?;
    assert_eq!((said.status.as_str(), said.reason.as_str()), ("False", "OpenedNamespaceObstructed"));
    assert!(said.message.contains("namespace opener-lab is being deleted"), "{}", said.message);
    Ok(())
}

fn refuses(folder: &tempfile::TempDir, admin: &std::path::Path) -> Tested {
    for (verb, says) in [
        (&["open", "opener", "opener-more"][..], "has opened 1 of 1 namespaces (opener-lab)"),
        (&["open", "opener", "opener-lab", "--environment", "prod"], "environment: prod is not open"),
        (&["open", "opener", "opener-lab", "--share", "21"], "share: 21 percent is more than"),
        (&["open", "opener", "kube-system"], "name: "),
        (&["open", "opener", "data-lab"], "such as opener-scratch"),
        (&["open", "ml", "ml-more"], "PermissionDenied"),
        (&["close", "opener", "opener-team"], "is declared in the Team, not opened"),
    ] {
        let said = refused(admin, verb);
        assert!(said.contains(says), "{verb:?}: {said}");
    }
    let reader = token(folder, "opener-team", "reader")?;
    let said = refused(&reader, &["close", "opener", "opener-lab"]);
    assert!(said.contains("PermissionDenied"), "a reader closes nothing: {said}");
    let stranger = token(folder, "ml-team", "ml-team-service-account")?;
    let said = refused(&stranger, &["open", "opener", "opener-more"]);
    assert!(said.contains("PermissionDenied"), "nor does another team: {said}");
    Ok(())
}
