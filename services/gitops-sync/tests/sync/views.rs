//! What a revision would change, told without a write, and the same as what a sync then does.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use mlp_bus::Relay;
use mlp_gitops_sync::domain::manifest::Limits;
use mlp_gitops_sync::domain::view::{Seen, Standing, View};
use mlp_gitops_sync::reconcile::Viewer;
use mlp_gitops_sync::store::Repositories;
use serde_json::{Value, json};

use crate::world::{Loop, NAME, World, automated, phase, repositories, settings, word};

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {token: hunter2}\n";

/// Another replica's eyes: it shares nothing with the loop.
fn viewer(world: &World, running: &Loop) -> Viewer {
    let folder = world.cache.path().join("other");
    std::fs::create_dir_all(&folder).unwrap();
    let repositories = Arc::new(Repositories::new(repositories(&folder)).unwrap());
    let relay = Relay::new(world.bus.publisher());
    let renderers = Arc::clone(&running.renderers);
    let (client, namespace) = (world.client.clone(), world.namespace.name());
    Viewer::new(client, namespace, repositories, renderers, Limits::default(), relay)
}

impl World {
    async fn view(&self, viewer: &Viewer, revision: Option<&str>, compares: bool) -> View {
        let application = self.applications().get(NAME).await.unwrap();
        viewer.view(&application, revision, compares).await.unwrap().unwrap()
    }
}

fn standings(view: &View) -> Vec<(&str, &Standing)> {
    view.objects.iter().map(|seen| (seen.id.name.as_str(), &seen.standing)).collect()
}

fn of<'a>(view: &'a View, name: &str) -> &'a Seen {
    view.objects.iter().find(|seen| seen.id.name == name).unwrap()
}

#[tokio::test]
async fn a_branch_is_compared_with_what_is_live_as_a_sync_would_be() {
    let world = World::new().await;
    world.commit(&[
        ("a.yaml", &settings("hello")),
        ("key.yaml", SECRET),
        ("old.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}\n"),
    ]);
    let running = world.start().await;
    world.declare(automated()).await;
    world.status("the first sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;
    let viewer = viewer(&world, &running);
    let view = world.view(&viewer, None, true).await;
    assert!(view.objects.iter().all(|seen| seen.standing == Standing::Same), "{view:#?}");

    world.git(&["checkout", "--quiet", "-b", "feature"]);
    world.commit(&[
        ("a.yaml", &settings("changed")),
        ("key.yaml", &SECRET.replace("hunter2", "hunter3")),
        ("old.yaml", ""),
        ("new.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}\n"),
        ("odd.yaml", "apiVersion: nowhere.example/v1\nkind: Odd\nmetadata: {name: odd}\n"),
        (
            "bad.yaml",
            "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 99999}]}\n",
        ),
    ]);
    let view = world.view(&viewer, Some("feature"), true).await;
    let (changed, missing) = (&Standing::Changed, &Standing::Missing);
    let mut found = standings(&view);
    found.sort_by_key(|(name, _)| *name);
    let ("bad", Standing::Refused(why)) = found.remove(0) else { panic!("{view:#?}") };
    assert!(why.contains("99999"), "{why}");
    assert_eq!(
        found,
        [
            ("key", changed),
            ("new", missing),
            ("odd", &Standing::KindMissing),
            ("old", &Standing::Extra),
            ("settings", changed),
        ]
    );
    let map = of(&view, "settings");
    let greeting = |side: &Option<Value>| side.as_ref().unwrap()["data"]["greeting"].clone();
    assert_eq!((greeting(&map.live), greeting(&map.wanted)), (json!("hello"), json!("changed")));
    assert!(map.live.as_ref().unwrap().pointer("/metadata/managedFields").is_none());
    let said = format!("{view:?}");
    assert!(!said.contains("aHVudGVyM") && !said.contains("hunter"), "a secret is told: {said}");
    assert_eq!(of(&view, "old").wanted, None);

    let manifests = world.view(&viewer, Some("feature"), false).await;
    assert_eq!((manifests.objects.len(), &manifests.revision), (5, &view.revision));
    let all = format!("{manifests:?}");
    assert!(!all.contains("hunter") && all.contains("tracking-id"), "{all}");
    // Dry runs are no writes of anything; the loop goes on with what its own branch says.
    let live: ConfigMap = world.maps().get("settings").await.unwrap();
    assert_eq!(live.data.unwrap()["greeting"], "hello");
    assert!(world.maps().get_opt("new").await.unwrap().is_none());

    // The sync comes to what was told.
    world.commit(&[("bad.yaml", ""), ("odd.yaml", "")]);
    world.git(&["branch", "--force", "main", "feature"]);
    world.greeting(Some("changed")).await;
    world.status("the sync", |status| word(status) == "Synced" && phase(status) == "Succeeded").await;
    let view = world.view(&viewer, Some("feature"), true).await;
    assert!(view.objects.iter().all(|seen| seen.standing == Standing::Same), "{view:#?}");
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_and_what_is_anothers_is_said_and_not_shown() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &settings("mine"))]);
    let running = world.start().await;
    world.declare(json!(null)).await;
    // Another Application, and its object in the place of one of ours.
    let other = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "other"},
        "spec": {"project": "default", "destination": {"server": "https://kubernetes.default.svc", "namespace": world.namespace.name()},
            "source": {"repoURL": "file:///nowhere", "targetRevision": "main", "path": "x"}}});
    world
        .applications()
        .create(&PostParams::default(), &serde_json::from_value(other).unwrap())
        .await
        .unwrap();
    let tracking = format!("other:/ConfigMap:{}/settings", world.namespace.name());
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"greeting": "theirs"},
        "metadata": {"name": "settings", "annotations": {"argocd.argoproj.io/tracking-id": tracking}}});
    world.maps().patch("settings", &PatchParams::apply("test"), &Patch::Apply(&theirs)).await.unwrap();
    let viewer = viewer(&world, &running);
    let view = world.view(&viewer, None, true).await;
    assert_eq!(standings(&view), [("settings", &Standing::Foreign("other".to_owned()))]);
    assert!(!format!("{view:?}").contains("theirs"), "{view:?}");

    let application = world.applications().get(NAME).await.unwrap();
    for (revision, words) in
        [("gone", "no branch, tag or commit `gone`"), ("a,b", "names 2"), ("", "names 1")]
    {
        let said = viewer.view(&application, Some(revision), true).await.unwrap().unwrap_err();
        assert!(said.message.contains(words), "{revision}: {}", said.message);
    }
    let mut wrong = application.clone();
    wrong.spec.project = "nobody's".to_owned();
    let said = viewer.view(&wrong, None, true).await.unwrap().unwrap_err();
    assert!(said.message.contains("spec.project `nobody's` does not exist"), "{}", said.message);
    running.stop().await;
}
