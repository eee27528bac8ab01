//! The shared control plane: one per process, a client per test, namespaces that go.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::api::{Api, PostParams};
use mlp_harness::plane::TEST_PLANE;
use mlp_harness::{ControlPlane, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_namespace_works_like_any_other_and_goes_with_its_test() {
    let plane = ControlPlane::shared().await.unwrap();
    let client = plane.client().await.unwrap();
    let namespace = plane.namespace().await.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace.name());
    wait_until(LIMIT, "the default service account", || async {
        accounts.get_opt("default").await.ok().flatten()
    })
    .await
    .unwrap();
    let name = namespace.name().to_owned();
    drop(namespace);
    let namespaces: Api<Namespace> = Api::all(client);
    wait_until(LIMIT, "the end of the namespace", || async {
        namespaces.get_opt(&name).await.ok()?.is_none().then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn another_test_uses_the_same_plane_with_its_own_client() {
    let plane = ControlPlane::shared().await.unwrap();
    let namespace = plane.namespace().await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(plane.client().await.unwrap(), namespace.name());
    let mut map = ConfigMap::default();
    map.metadata.name = Some("kept".into());
    maps.create(&PostParams::default(), &map).await.unwrap();
    assert!(maps.get_opt("kept").await.unwrap().is_some());
}

#[tokio::test]
async fn another_process_finds_the_plane_by_its_variable() {
    let plane = ControlPlane::shared().await.unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "another_test_uses_the_same_plane_with_its_own_client"]);
    child.env(TEST_PLANE, plane.plane().layout().state());
    let slots = || std::fs::read_dir(plane.plane().layout().root().join(".mlp/test")).unwrap().count();
    let before = slots();
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(slots(), before, "it started no plane of its own");
    assert!(plane.plane().status().await.iter().all(|component| component.ready), "and ended none");
}
