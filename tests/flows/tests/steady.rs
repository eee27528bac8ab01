//! A platform with nothing to do does nothing.

use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use mlp_flows::cli::{mlp, mlp_ok};
use mlp_flows::{Tested, client};

/// Versions of everything that our services write, without their Leases.
async fn versions(client: &kube::Client) -> Result<Vec<String>, kube::Error> {
    let mut all = Vec::new();
    for (group, version, kind, plural) in [
        ("mlplatform.dev", "v1alpha1", "Team", "teams"),
        ("mlplatform.dev", "v1alpha1", "Database", "databases"),
        ("mlplatform.dev", "v1alpha1", "Cache", "caches"),
        ("mlplatform.dev", "v1alpha1", "HealthRecord", "healthrecords"),
        ("argoproj.io", "v1alpha1", "Application", "applications"),
        ("", "v1", "Namespace", "namespaces"),
        ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
        ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
        ("", "v1", "Secret", "secrets"),
    ] {
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        // Other tests work on teams of their own beside this one: only the examples are compared.
        let examples = ["ml", "data", "app", "ml-team", "data-team", "app-team"];
        let ours = api.list(&ListParams::default()).await?.items.into_iter().filter(|object| {
            let namespace = object.namespace();
            examples.contains(&object.name_any().as_str())
                || namespace.is_some_and(|namespace| examples.contains(&namespace.as_str()))
        });
        all.extend(ours.map(|object| {
            format!(
                "{kind}/{}/{}@{}",
                object.namespace().unwrap_or_default(),
                object.name_any(),
                mlp_flows::version(&object)
            )
        }));
    }
    all.sort();
    Ok(all)
}

#[tokio::test]
async fn a_steady_platform_writes_nothing_and_up_again_changes_nothing() -> Tested {
    let client = client().await?;
    let before = versions(&client).await?;
    assert!(before.len() > 15, "the examples are there: {before:?}");
    // Not a wait for something: the absence of writes needs a span of time to be absent in. It is
    // longer than the poll of the repository and every repair.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let after = versions(&client).await?;
    assert_eq!(before, after, "something was written although nothing changed");
    let again = mlp(&["up", "--detach"]);
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(after, versions(&client).await?, "`mlp up` again changed something");
    let status: serde_json::Value = serde_json::from_str(&mlp_ok(&["status", "-o", "json"]))?;
    assert_eq!(status["platformServices"].as_array().map(Vec::len), Some(5));
    Ok(())
}
