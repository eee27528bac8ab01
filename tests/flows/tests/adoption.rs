//! A namespace that was there before the platform: shown before anything is done, adopted with consent,
//! and everything in it stays.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ResourceQuota};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use mlp_crds::Team;
use mlp_flows::cli::{mlp, mlp_ok};
use mlp_flows::{Tested, apply, client, remove, team, until, until_isolated};
use serde_json::{Value, json};

fn heir() -> Value {
    let mut heir = team("heir");
    heir["spec"]["namespaces"] = json!([{"name": "heirloom"}]);
    heir
}

async fn heirloom(client: &kube::Client) -> Tested {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "heirloom", "labels": {"owner": "ops"}}});
    apply::<Namespace>(client, None, &namespace).await?;
    let data =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"of": "old"}});
    apply::<ConfigMap>(client, Some("heirloom"), &data).await?;
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "old"}, "spec": {"hard": {"pods": "3"}}});
    apply::<ResourceQuota>(client, Some("heirloom"), &quota).await?;
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "old"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "auditors"}]});
    apply::<RoleBinding>(client, Some("heirloom"), &binding).await?;
    Ok(())
}

#[tokio::test]
async fn a_namespace_is_adopted_by_a_plan_that_is_shown_before() -> Tested {
    let client = client().await?;
    heirloom(&client).await?;
    apply::<Team>(&client, None, &heir()).await?;
    let teams: Api<Team> = Api::all(client.clone());
    until(&teams, "heir", "the team says that the namespace is somebody's", |team| {
        let status = team.status.clone().unwrap_or_default();
        status.conditions.iter().any(|condition| {
            condition.type_ == "Ready"
                && condition.status == "False"
                && condition.message.contains("mlp team adopt")
        })
    })
    .await?;

    let shown = mlp_ok(&["team", "adopt", "heir", "heirloom"]);
    for part in [
        "apply Namespace heirloom",
        "ResourceQuota heirloom/team-quota",
        "ResourceQuota old: narrows",
        "Group auditors, no member of the team, keeps view",
        "nothing was changed",
    ] {
        assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let before = namespaces.get("heirloom").await?;
    assert!(!before.labels().contains_key("mlplatform.dev/team"), "showing a plan changes nothing");

    // As a Profile or a Tenant does: its end would be the namespace's.
    let default = namespaces.get("default").await?;
    let owner = json!([{"apiVersion": "v1", "kind": "Namespace", "name": "default", "uid": default.uid()}]);
    own(&namespaces, owner).await?;
    let refused = mlp(&["team", "adopt", "heir", "heirloom", "--yes"]);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(!refused.status.success() && said.contains("owned by Namespace default"), "{said}");
    own(&namespaces, json!(null)).await?;

    // Rights that every member could use: the way is barred until they are gone.
    let root = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "heirloom-root"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "heirloom"}]});
    apply::<ClusterRoleBinding>(&client, None, &root).await?;
    let refused = mlp(&["team", "adopt", "heir", "heirloom", "--yes"]);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(
        !refused.status.success() && said.contains("ServiceAccount default holds ClusterRole cluster-admin"),
        "{said}"
    );
    remove(&Api::<ClusterRoleBinding>::all(client.clone()), "heirloom-root").await?;

    // Rights elsewhere are as good to every member as rights everywhere.
    let mut far = root;
    far["kind"] = json!("RoleBinding");
    far["metadata"] = json!({"name": "heirloom-far"});
    apply::<RoleBinding>(&client, Some("default"), &far).await?;
    let refused = mlp(&["team", "adopt", "heir", "heirloom", "--yes"]);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(
        !refused.status.success() && said.contains("in namespace default (RoleBinding heirloom-far)"),
        "{said}"
    );
    remove(&Api::<RoleBinding>::namespaced(client.clone(), "default"), "heirloom-far").await?;

    let offered = mlp_ok(&["team", "adopt", "heir", "heirloom", "--yes"]);
    assert!(offered.contains("is offered to team heir, which adopts it now"), "{offered}");
    until_isolated(&client, "heir").await?;
    let after = namespaces.get("heirloom").await?;
    assert_eq!(after.uid(), before.uid(), "it is the same namespace");
    assert_eq!(after.labels().get("mlplatform.dev/team").map(String::as_str), Some("heir"));
    assert_eq!(after.labels().get("owner").map(String::as_str), Some("ops"), "what others wrote stays");
    let kept = Api::<ConfigMap>::namespaced(client.clone(), "heirloom").get("kept").await?;
    assert_eq!(kept.data.unwrap_or_default().get("of").map(String::as_str), Some("old"));
    let quotas = Api::<ResourceQuota>::namespaced(client.clone(), "heirloom");
    assert!(quotas.get_opt("team-quota").await?.is_some() && quotas.get_opt("old").await?.is_some());
    goes_only_when_it_may(&client, &teams, &namespaces).await
}

/// What was there before the team is not deleted with it, until somebody says so.
async fn goes_only_when_it_may(
    client: &kube::Client,
    teams: &Api<Team>,
    namespaces: &Api<Namespace>,
) -> Tested {
    teams.delete("heir", &DeleteParams::default()).await?;
    until(teams, "heir", "the team says what keeps it", |team| {
        let conditions = team.status.clone().unwrap_or_default().conditions;
        conditions.iter().any(|one| one.type_ == "Ready" && one.message.contains("was there before the team"))
    })
    .await?;
    assert!(Api::<ConfigMap>::namespaced(client.clone(), "heirloom").get_opt("kept").await?.is_some());
    let free = json!({"metadata": {"annotations": {"mlplatform.dev/adopt-by": null}}});
    namespaces.patch("heirloom", &PatchParams::default(), &Patch::Merge(&free)).await?;
    remove(teams, "heir").await
}

async fn own(namespaces: &Api<Namespace>, owners: Value) -> Tested {
    let patch = json!({"metadata": {"ownerReferences": owners}});
    namespaces.patch("heirloom", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}
