//! What an AppProject asks for.

use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use mlp_crds::AppProject;
use mlp_crds::argocd::ApplicationStatus;
use mlp_reconcile::ObjectRef;
use serde_json::{Value, json};

use crate::world::{Loop, NAME, World, automated, phase, settings, word};

fn orphans(status: &ApplicationStatus) -> Option<&str> {
    let found = status.conditions.iter().find(|one| one.type_ == "OrphanedResourceWarning");
    found.map(|one| one.message.as_str())
}

impl World {
    /// Says what the project `default` asks for, and waits until the loop's Application was looked at with it.
    async fn project(&self, running: &Loop, more: Value) {
        let all = Api::<AppProject>::namespaced(self.client.clone(), self.namespace.name());
        let mut spec = json!({"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let project = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
            "metadata": {"name": "default"}, "spec": spec});
        all.patch("default", &PatchParams::apply("test").force(), &Patch::Apply(&project)).await.unwrap();
        running.applications.wake(ObjectRef::new(NAME).within(self.namespace.name()));
    }
}

#[tokio::test]
async fn what_nobody_manages_is_told_of_where_the_project_asks() {
    let world = World::new().await;
    let map = serde_json::from_value(json!({"metadata": {"name": "forgotten"}})).unwrap();
    world.maps().create(&PostParams::default(), &map).await.unwrap();
    let mut owned = map.clone();
    owned.metadata.name = Some("owned".to_owned());
    let owner = world.maps().get("forgotten").await.unwrap().metadata.uid.unwrap();
    owned.metadata.owner_references = Some(vec![
        serde_json::from_value(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "forgotten", "uid": owner}),
        )
        .unwrap(),
    ]);
    world.maps().create(&PostParams::default(), &owned).await.unwrap();
    world.commit(&[("a.yaml", &settings("hello"))]);
    let running = world.start().await;
    world.declare(automated()).await;
    let status =
        world.status("in sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;
    assert_eq!(orphans(&status), None, "nobody asks");

    world.project(&running, json!({"orphanedResources": {}})).await;
    let status = world.status("the warning", |status| orphans(status).is_some()).await;
    let said = orphans(&status).unwrap();
    assert!(said.starts_with("Application has 1 orphaned resources: ConfigMap forgotten in"), "{said}");
    assert_eq!(word(&status), "Synced");

    world
        .project(&running, json!({"orphanedResources": {"ignore": [{"kind": "ConfigMap", "name": "forg*"}]}}))
        .await;
    world.status("no warning", |status| orphans(status).is_none()).await;

    // Written into git it is somebody's at once.
    world.project(&running, json!({"orphanedResources": {"warn": true}})).await;
    world.status("the warning again", |status| orphans(status).is_some()).await;
    world.commit(&[("b.yaml", &settings("mine").replace("name: settings", "name: forgotten"))]);
    world.status("no warning", |status| orphans(status).is_none() && status.resources.len() == 2).await;
    running.stop().await;
}
