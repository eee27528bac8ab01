//! ApplicationSets, from what git and forges hold to Applications that are synced.

use std::collections::BTreeSet;

use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use mlp_crds::argocd::{ApplicationSet, ApplicationSetStatus};
use mlp_crds::{Application, argocd::ApplicationSpec};
use mlp_harness::{Scripted, wait_until};
use serde_json::{Value, json};

use crate::world::{LIMIT, World, settings};

const SET: &str = "all";

impl World {
    fn sets(&self) -> Api<ApplicationSet> {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }

    fn url(&self) -> String {
        format!("file://{}", self.repository.path().display())
    }

    /// A template whose Applications sync by themselves.
    fn template(&self, name: &str, path: &str) -> Value {
        json!({"metadata": {"name": name}, "spec": {
            "project": "default", "source": {"repoURL": self.url(), "targetRevision": "main", "path": path},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": self.namespace.name()},
            "syncPolicy": {"automated": {"prune": true}},
        }})
    }

    async fn declare_set(&self, spec: Value) {
        let set = ApplicationSet::new(SET, serde_json::from_value(spec).unwrap());
        self.sets().create(&PostParams::default(), &set).await.unwrap();
    }

    async fn change_set(&self, change: Value) {
        self.sets().patch(SET, &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    }

    /// Names of the Applications that stay.
    async fn names(&self) -> BTreeSet<String> {
        let all = self.applications().list(&Default::default()).await.unwrap();
        let stays = |one: &&Application| one.metadata.deletion_timestamp.is_none();
        all.iter().filter(stays).map(kube::ResourceExt::name_any).collect()
    }

    async fn has(&self, names: &[&str]) {
        let wanted: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let look = || async { (self.names().await == wanted).then_some(()) };
        if wait_until(LIMIT, &format!("the applications {names:?}"), look).await.is_err() {
            panic!("{:?}: {:#?}", self.names().await, self.sets().get(SET).await.unwrap().status);
        }
    }

    async fn set_status(
        &self,
        what: &str,
        wanted: impl Fn(&ApplicationSetStatus) -> bool,
    ) -> ApplicationSetStatus {
        let look = || async { self.sets().get(SET).await.ok()?.status.filter(|status| wanted(status)) };
        match wait_until(LIMIT, what, look).await {
            Ok(status) => status,
            Err(error) => panic!("{error}: {:#?}", self.sets().get(SET).await.unwrap().status),
        }
    }

    async fn set_says(&self, words: &str) {
        self.set_status(words, |status| {
            status.conditions.iter().any(|one| {
                one.type_ == "ErrorOccurred" && one.status == "True" && one.message.contains(words)
            })
        })
        .await;
    }

    async fn set_is_content(&self) {
        let content = |status: &ApplicationSetStatus| {
            status.conditions.iter().any(|one| one.type_ == "ResourcesUpToDate" && one.status == "True")
        };
        self.set_status("the set up to date", content).await;
    }
}

#[tokio::test]
async fn a_folder_of_git_is_an_application_that_comes_and_goes_with_it() {
    let world = World::new().await;
    let map = |name: &str| settings(name).replace("name: settings", &format!("name: {name}"));
    world.commit(&[("apps/a/a.yaml", &map("a")), ("apps/b/b.yaml", &map("b"))]);
    let running = world.start().await;
    let generators =
        json!([{"git": {"repoURL": world.url(), "revision": "main", "directories": [{"path": "apps/*"}]}}]);
    world
        .declare_set(
            json!({"generators": generators, "template": world.template("{{path.basename}}", "{{path}}")}),
        )
        .await;
    world.has(&["a", "b"]).await;
    wait_until(LIMIT, "the object of each", || async {
        let maps = world.maps();
        (maps.get_opt("a").await.ok()?.is_some() && maps.get_opt("b").await.ok()?.is_some()).then_some(())
    })
    .await
    .unwrap();
    world.set_is_content().await;
    world.set_status("both counted", |status| status.resources_count == Some(2)).await;

    world.commit(&[("apps/c/c.yaml", &map("c")), ("apps/a/a.yaml", "")]);
    world.has(&["b", "c"]).await;
    // What it had goes with it.
    wait_until(LIMIT, "the object of a gone", || async {
        world.maps().get_opt("a").await.ok()?.is_none().then_some(())
    })
    .await
    .unwrap();

    // A folder that is renamed does not take everything away.
    world.commit(&[("apps/b/b.yaml", ""), ("apps/c/c.yaml", ""), ("moved/b/b.yaml", &map("b"))]);
    world.set_says("2 Applications stay").await;
    world.has(&["b", "c"]).await;
    world.change_set(json!({"metadata": {"annotations": {"mlplatform.dev/allow-empty": "true"}}})).await;
    world.has(&[]).await;
    running.stop().await;
}

#[tokio::test]
async fn what_somebody_changes_of_an_application_is_taken_back_but_for_what_the_set_leaves() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &settings("hello"))]);
    let running = world.start().await;
    let spec = json!({"generators": [{"list": {"elements": [{"name": "one"}, {"name": "two"}]}}],
        "template": world.template("{{name}}", "."),
        "ignoreApplicationDifferences": [{"name": "two", "jsonPointers": ["/spec/source/targetRevision"]}]});
    world.declare_set(spec).await;
    world.has(&["one", "two"]).await;
    world.set_is_content().await;
    let change = json!({"metadata": {"labels": {"somebody": "says"}}, "spec": {
        "source": {"targetRevision": "other"}, "info": [{"name": "added", "value": "by hand"}]}});
    for name in ["one", "two"] {
        world.applications().patch(name, &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    }
    let revision = |one: &Application| one.spec.source.clone().unwrap().target_revision.unwrap();
    let back = |name: &'static str| {
        let applications = world.applications();
        async move {
            wait_until(LIMIT, &format!("{name} as its set wants it"), || async {
                applications.get(name).await.ok().filter(|one| !one.spec.rest.contains_key("info"))
            })
            .await
            .unwrap()
        }
    };
    let one = back("one").await;
    wait_until(LIMIT, "the revision", || async {
        (revision(&world.applications().get("one").await.ok()?) == "main").then_some(())
    })
    .await
    .unwrap();
    assert_eq!(one.labels().get("somebody").unwrap(), "says", "labels of others stay");
    assert_eq!(revision(&back("two").await), "other");

    running.stop().await;
}

#[tokio::test]
async fn a_set_that_may_delete_nothing_is_outlived_by_its_applications() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &settings("hello"))]);
    let running = world.start().await;
    let elements = |names: &[&str]| json!([{"list": {"elements": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()}}]);
    let spec = json!({"generators": elements(&["one", "two"]), "template": world.template("{{name}}", ".")});
    world.declare_set(spec).await;
    world.has(&["one", "two"]).await;
    // It changes nothing of them any more, and lets go of them all the same, whatever its generators say.
    let kept =
        json!({"spec": {"syncPolicy": {"applicationsSync": "create-only"}, "generators": [{"plugin": {}}]}});
    world.change_set(kept).await;
    wait_until(LIMIT, "no owner", || async {
        let all = world.applications().list(&Default::default()).await.ok()?;
        all.iter().all(|one| one.metadata.owner_references.is_none()).then_some(())
    })
    .await
    .unwrap();
    world.change_set(json!({"spec": {"generators": elements(&["one"])}})).await;
    world.set_is_content().await;
    world.has(&["one", "two"]).await;
    // Argo CD's way to be asked first.
    let asked = json!({"metadata": {"finalizers": ["resources-finalizer.argocd.argoproj.io"]}});
    world.change_set(asked).await;
    world.sets().delete(SET, &DeleteParams::default()).await.unwrap();
    wait_until(LIMIT, "the set gone", || async {
        world.sets().get_opt(SET).await.ok()?.is_none().then_some(())
    })
    .await
    .unwrap();
    world.has(&["one", "two"]).await;
    running.stop().await;
}

#[tokio::test]
async fn go_templates_are_filled_by_go() {
    let world = World::new().await;
    world.commit(&[
        ("envs/dev/values.yaml", "team: {name: ML_Core}\nprune: true\n"),
        ("a.yaml", &settings("x")),
    ]);
    let running = world.start().await;
    let git = json!({"repoURL": world.url(), "revision": "main", "files": [{"path": "envs/*/values.yaml"}],
        "values": {"long": "{{ .team.name | lower }}-{{ .path.basename }}"}});
    let mut template = world.template("{{ normalize .values.long }}", ".");
    template["metadata"]["labels"] = json!({"first": "{{ index .path.segments 0 }}"});
    let spec = json!({"goTemplate": true, "goTemplateOptions": ["missingkey=error"], "generators": [{"git": git}], "template": template,
        "templatePatch": "spec:\n  syncPolicy:\n    automated:\n      prune: {{ .prune }}\n      selfHeal: {{ not .prune }}\n"});
    world.declare_set(spec).await;
    world.has(&["ml-core-dev"]).await;
    let made = world.applications().get("ml-core-dev").await.unwrap();
    assert_eq!(made.labels().get("first").unwrap(), "envs");
    let automated = made.spec.sync_policy.unwrap().automated.unwrap();
    assert_eq!((automated.prune, automated.self_heal), (Some(true), Some(false)));

    world.change_set(json!({"spec": {"template": {"metadata": {"name": "{{ .nope }}"}}}})).await;
    world.set_says("map has no entry for key \"nope\"").await;
    world.has(&["ml-core-dev"]).await;
    running.stop().await;
}

#[tokio::test]
async fn a_pull_request_is_an_application_while_it_is_open() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &settings("hello"))]);
    let open = std::sync::Arc::new(std::sync::Mutex::new(vec![7, 9]));
    let listed = open.clone();
    let forge = Scripted::start("application/json", move |_| {
        let one = |number: &i64| {
            json!({"number": number, "title": "t", "labels": [{"name": "preview"}], "user": {"login": "ann"},
            "head": {"ref": "main", "sha": "0123456789"}, "base": {"ref": "main"}})
        };
        Some((200, json!(listed.lock().unwrap().iter().map(one).collect::<Vec<_>>()).to_string()))
    });
    let forge = forge.await.unwrap();
    let running = world.start().await;
    let github = json!({"owner": "o", "repo": "r", "api": forge.endpoint, "labels": ["preview"]});
    let spec = json!({"generators": [{"pullRequest": {"github": github, "requeueAfterSeconds": 10}}],
        "template": world.template("pr-{{number}}", ".")});
    world.declare_set(spec).await;
    world.has(&["pr-7", "pr-9"]).await;
    *open.lock().unwrap() = vec![9];
    world
        .change_set(
            json!({"metadata": {"annotations": {"argocd.argoproj.io/application-set-refresh": "true"}}}),
        )
        .await;
    world.has(&["pr-9"]).await;
    wait_until(LIMIT, "the annotation gone", || async {
        world.sets().get(SET).await.ok()?.annotations().is_empty().then_some(())
    })
    .await
    .unwrap();
    running.stop().await;
}

#[tokio::test]
async fn anothers_application_is_left_alone_and_a_repository_that_cannot_be_read_changes_nothing() {
    let world = World::new().await;
    world.commit(&[("a.yaml", &settings("hello"))]);
    let running = world.start().await;
    let other: Value = json!({"project": "default", "source": {"repoURL": world.url(), "path": "nowhere"},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": world.namespace.name()}});
    let other: ApplicationSpec = serde_json::from_value(other).unwrap();
    let mut theirs = Application::new("theirs", other);
    theirs.metadata.labels =
        Some([("argocd.argoproj.io/application-set-name".to_owned(), "other".to_owned())].into());
    world.applications().create(&PostParams::default(), &theirs).await.unwrap();
    let spec = json!({"generators": [{"list": {"elements": [{"name": "theirs"}, {"name": "mine"}]}}], "template": world.template("{{name}}", ".")});
    world.declare_set(spec).await;
    world.set_says("Application theirs is ApplicationSet other's").await;
    world.has(&["mine", "theirs"]).await;
    let left = world.applications().get("theirs").await.unwrap();
    assert_eq!(left.spec.source.unwrap().path.as_deref(), Some("nowhere"));

    let gone = json!({"spec": {"generators": [{"git": {"repoURL": "file:///nowhere", "directories": [{"path": "*"}]}}]}});
    world.change_set(gone).await;
    world.set_says("cannot read repository file:///nowhere").await;
    world.has(&["mine", "theirs"]).await;

    world.sets().delete(SET, &DeleteParams::default()).await.unwrap();
    world.has(&["theirs"]).await;
    running.stop().await;
}

#[tokio::test]
async fn a_set_at_rest_writes_nothing() {
    let world = World::new().await;
    world.commit(&[("apps/a/a.yaml", &settings("hello"))]);
    let running = world.start().await;
    let generators =
        json!([{"git": {"repoURL": world.url(), "revision": "main", "directories": [{"path": "apps/*"}]}}]);
    world
        .declare_set(
            json!({"generators": generators, "template": world.template("{{path.basename}}", "{{path}}")}),
        )
        .await;
    world.has(&["a"]).await;
    world
        .set_status("its application in sync", |status| {
            status.resources.first().is_some_and(|one| one.status.as_deref() == Some("Synced"))
        })
        .await;
    let (before, version) = (running.writes.total(), world.sets().get(SET).await.unwrap().resource_version());
    // Several polls of the repository.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(running.writes.total(), before);
    assert_eq!(world.sets().get(SET).await.unwrap().resource_version(), version);
    running.stop().await;
}
