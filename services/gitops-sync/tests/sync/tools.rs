//! Kustomize and Helm: their output becomes true, the same input is rendered once, and a tool reaches nothing.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use mlp_crds::argocd::ApplicationStatus;
use mlp_gitops_sync::domain::tool::Tool;
use mlp_gitops_sync::render::{Error, Options, Renderer, Renderers, sandbox};
use mlp_gitops_sync::store::{Repositories, Source};
use mlp_harness::wait_until;
use serde_json::json;
use tokio::net::TcpListener;

use crate::world::{LIMIT, World, automated, renderers, repositories, settings, word};

async fn greeting(world: &World, name: &str) -> Option<String> {
    let maps = Api::<ConfigMap>::namespaced(world.client.clone(), world.namespace.name());
    maps.get_opt(name).await.unwrap()?.data?.get("greeting").cloned()
}

fn source_type(status: &ApplicationStatus) -> Option<&str> {
    status.source_type.as_deref()
}

#[tokio::test]
async fn a_kustomization_is_built_with_its_base_and_only_when_what_it_reads_changes() {
    let world = World::new().await;
    let overlay = "resources: [../../base]\npatches: [{path: patch.yaml}]\n";
    let patch = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {greeting: patched}\n";
    world.commit(&[
        ("base/kustomization.yaml", "resources: [a.yaml]\n"),
        ("base/a.yaml", &settings("hello")),
        ("envs/dev/kustomization.yaml", overlay),
        ("envs/dev/patch.yaml", patch),
        ("other/a.yaml", &settings("no")),
    ]);
    let running = world.start().await;
    world.declare_source(automated(), json!({"path": "envs/dev", "kustomize": {"namePrefix": "dev-"}})).await;
    let status = world.status("the first sync", |status| word(status) == "Synced").await;
    assert_eq!(source_type(&status), Some("Kustomize"));
    assert_eq!(greeting(&world, "dev-settings").await.as_deref(), Some("patched"));
    let (runs, revision) = (running.renderers.runs(), status.sync.unwrap().revision);
    assert_eq!(runs, 1);
    world.commit(&[("other/a.yaml", &settings("changed"))]);
    let other =
        |status: &ApplicationStatus| status.sync.as_ref().is_some_and(|sync| sync.revision != revision);
    world.status("the next commit", other).await;
    assert_eq!(running.renderers.runs(), runs, "nothing that it reads has changed");
    world.commit(&[("base/a.yaml", &settings("hello").replace("\ndata: {", "\ndata: {other: x, "))]);
    wait_until(LIMIT, "the base's change", || async {
        let maps = Api::<ConfigMap>::namespaced(world.client.clone(), world.namespace.name());
        maps.get_opt("dev-settings").await.ok()??.data?.contains_key("other").then_some(())
    })
    .await
    .unwrap();
    assert_eq!(running.renderers.runs(), runs + 1);
    running.stop().await;
}

#[tokio::test]
async fn a_file_beside_a_chart_changes_its_parameters() {
    let world = World::new().await;
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n\
        data: {greeting: {{ .Values.greeting | quote }}}\n";
    let written =
        |word: &str| format!("helm: {{parameters: [{{name: greeting, value: {word}, forceString: true}}]}}");
    world.commit(&[
        ("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 0.1.0\n"),
        ("web/values.yaml", "greeting: default\n"),
        ("web/templates/map.yaml", template),
        // As Argo CD Image Updater writes it.
        ("web/.argocd-source-shop.yaml", &written("one")),
    ]);
    let running = world.start().await;
    world.declare_source(automated(), json!({"path": "web", "helm": {"releaseName": "web"}})).await;
    let status = world.status("the first sync", |status| word(status) == "Synced").await;
    assert_eq!(greeting(&world, "web").await.as_deref(), Some("one"));
    assert_eq!(source_type(&status), Some("Helm"));
    world.commit(&[("web/.argocd-source-shop.yaml", &written("two"))]);
    wait_until(LIMIT, "the next parameter", || async {
        (greeting(&world, "web").await.as_deref() == Some("two")).then_some(())
    })
    .await
    .unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_chart_gets_its_values_in_order_and_a_broken_one_touches_nothing() {
    let world = World::new().await;
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-{{ .Values.suffix }}}\n\
        data:\n  greeting: {{ .Values.greeting | quote }}\n  served: {{ .Capabilities.APIVersions.Has \"apps/v1/Deployment\" | quote }}\n";
    world.commit(&[
        ("charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 0.1.0\n"),
        ("charts/web/values.yaml", "greeting: default\nsuffix: default\n"),
        ("charts/web/templates/map.yaml", template),
        ("values/dev.yaml", "greeting: from a file\nsuffix: file\n"),
    ]);
    let running = world.start().await;
    let helm = json!({"valueFiles": ["../../values/dev.yaml"], "valuesObject": {"suffix": "own"},
        "parameters": [{"name": "greeting", "value": "a, parameter"}]});
    world.declare_source(automated(), json!({"path": "charts/web", "helm": helm})).await;
    let status = world.status("the first sync", |status| word(status) == "Synced").await;
    assert_eq!(source_type(&status), Some("Helm"));
    assert_eq!(greeting(&world, "shop-own").await.as_deref(), Some("a, parameter"));
    let maps = Api::<ConfigMap>::namespaced(world.client.clone(), world.namespace.name());
    let served = maps.get("shop-own").await.unwrap().data.unwrap().get("served").cloned();
    assert_eq!(served.as_deref(), Some("true"), "charts are told what the cluster serves");

    world.commit(&[("charts/web/templates/map.yaml", "{{ fail \"not like this\" }}")]);
    let status = world.status("the fault", |status| !status.conditions.is_empty()).await;
    assert_eq!((word(&status), status.conditions[0].type_.as_str()), ("Unknown", "ComparisonError"));
    let message = &status.conditions[0].message;
    assert!(message.starts_with("helm: ") && message.contains("not like this"), "{message}");
    assert!(!message.contains(&world.cache.path().display().to_string()), "{message}");
    assert_eq!(greeting(&world, "shop-own").await.as_deref(), Some("a, parameter"), "nothing is touched");
    world.commit(&[("charts/web/templates/map.yaml", template)]);
    let status = world.status("the recovery", |status| word(status) == "Synced").await;
    assert!(status.conditions.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn what_a_kustomization_may_not_name_is_said_with_the_file() {
    let world = World::new().await;
    let running = world.start().await;
    for (number, (resource, said)) in [
        ("https://example.org/base?ref=main", "`https://example.org/base?ref=main` is elsewhere"),
        ("../../outside", "`../../outside` leaves the repository"),
        ("missing.yaml", "names `missing.yaml`, and there is no app/missing.yaml"),
    ]
    .into_iter()
    .enumerate()
    {
        world.commit(&[("app/kustomization.yaml", &format!("resources: ['{resource}']\n"))]);
        if number == 0 {
            world.declare_source(automated(), json!({"path": "app"})).await;
        }
        let names_it = |status: &ApplicationStatus| {
            status
                .conditions
                .iter()
                .any(|it| it.message.contains(said) && it.message.contains("app/kustomization.yaml"))
        };
        world.status(said, names_it).await;
    }
    running.stop().await;
}

/// A tool that does as it is told.
struct Shell(String);

impl Renderer for Shell {
    fn tool(&self) -> Tool {
        Tool::Kustomize
    }

    fn own_files(&self) -> Vec<(String, String)> {
        vec![("here.txt".to_owned(), "mine".to_owned())]
    }

    fn arguments(&self, _: &[String]) -> Vec<String> {
        vec!["--norc".to_owned(), "-c".to_owned(), self.0.clone()]
    }
}

async fn shell(change: impl FnOnce(&mut Options), script: &str) -> Result<String, Error> {
    let cache = tempfile::tempdir().unwrap();
    let mut options = Options { kustomize: "/bin/bash".into(), ..renderers(cache.path()).await };
    change(&mut options);
    let (renderers, repositories) =
        (Renderers::new(options).unwrap(), Repositories::new(repositories(cache.path())).unwrap());
    let url = format!("file://{}", world_repository(cache.path()).display());
    let source = Source { url: &url, credential: None };
    let made = renderers.render(&repositories, source, Vec::new(), &Shell(script.to_owned())).await;
    let left = std::fs::read_dir(cache.path().join("trees")).unwrap().count();
    assert_eq!(left, 0, "no tree is left behind");
    made.map(|made| made.to_string())
}

fn world_repository(folder: &std::path::Path) -> std::path::PathBuf {
    let path = folder.join("repository");
    let output = std::process::Command::new("git").args(["init", "--quiet"]).arg(&path).output().unwrap();
    assert!(output.status.success());
    path
}

#[tokio::test]
async fn a_tool_reaches_neither_files_nor_network_nor_more_than_its_share() {
    let made = shell(|_| {}, "echo $(<here.txt) > out.txt; echo \"$(<out.txt) ${PATH:-} ${HOME##*/}\"").await;
    assert!(made.unwrap().starts_with("mine"), "its own tree is its own");
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "s3cret").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let denied = "Permission denied";
    for (what, script, why) in [
        ("a file elsewhere", format!("cat=$(<{}) && echo got $cat", secret.path().display()), denied),
        ("the system's users", "users=$(</etc/passwd) && echo got $users".to_owned(), denied),
        ("to write elsewhere", format!("echo x > {}.new && echo got", secret.path().display()), denied),
        ("the network", format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo got"), "Operation not permitted"),
        ("another program", "exec /usr/bin/env".to_owned(), denied),
        ("a signal to its parent", "kill -0 $PPID && echo got".to_owned(), "Operation not permitted"),
    ] {
        match shell(|_| {}, &format!("{script} || exit 7")).await {
            Err(Error::Refused { said, .. }) => assert!(said.contains(why), "{what}: {said}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    let no_end = "while :; do :; done";
    let made = shell(|options| options.deadline = Duration::from_millis(500), no_end).await;
    assert!(matches!(&made, Err(Error::TooMuch { why, .. }) if why.contains("longer than")), "{made:?}");
    let made = shell(|options| options.limits.cpu = 1, no_end).await;
    assert!(matches!(&made, Err(Error::TooMuch { why, .. }) if why.contains("killed")), "{made:?}");
    let flood = "while :; do echo 0123456789012345678901234567890123456789; done";
    let few = sandbox::Limits { output: 10_000, ..sandbox::Limits::default() };
    let made = shell(|options| options.limits = few, flood).await;
    assert!(matches!(&made, Err(Error::TooMuch { why, .. }) if why.contains("10000 bytes")), "{made:?}");
    let greedy = "x=0123456789; while :; do x=$x$x; done";
    let little = sandbox::Limits { memory: 32 << 20, ..sandbox::Limits::default() };
    let made = shell(|options| options.limits = little, greedy).await;
    assert!(matches!(made, Err(Error::Refused { .. } | Error::TooMuch { .. })), "{made:?}");
    let made = shell(|options| options.kustomize = "/nowhere/kustomize".into(), "").await;
    assert!(matches!(&made, Err(Error::Broken { why, .. }) if why.contains("--kustomize")), "{made:?}");
}
