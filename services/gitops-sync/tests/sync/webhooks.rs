//! Webhooks, from a signed delivery to what is live, and what they leave alone.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use mlp_crds::Application;
use mlp_crds::argocd::ApplicationStatus;
use mlp_gitops_sync::webhook::Webhook;
use mlp_harness::{GitServer, wait_until};
use mlp_reconcile::ObjectRef;
use serde_json::{Value, json};

use crate::world::{LIMIT, World, automated, word};

const SECRET: &str = "It's a Secret to Everybody";

/// The service's address for forges.
struct Forge {
    address: String,
    client: reqwest::Client,
}

impl Forge {
    async fn of(world: &World) -> Self {
        let webhook = Webhook::new(world.client.clone(), world.namespace.name(), world.bus.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/api/webhook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, webhook.routes()).await });
        Self { address, client: reqwest::Client::new() }
    }

    /// Delivers as GitHub does, and gives the answer.
    async fn deliver(&self, event: &str, body: &Value, secret: &str) -> (u16, String) {
        let body = body.to_string();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let sent = self.client.post(&self.address).header("content-type", "application/json");
        let sent =
            sent.header("x-github-event", event).header("x-hub-signature-256", format!("sha256={hex}"));
        let answer = sent.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

fn map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: \"{value}\"}}\n")
}

impl World {
    /// An Application of one folder of the repository, by its address.
    async fn declare_folder(&self, name: &str, url: &str, revision: &str) {
        let spec = json!({
            "project": "default",
            "source": {"repoURL": url, "targetRevision": revision, "path": name},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": self.namespace.name()},
            "syncPolicy": automated(),
        });
        let application = Application::new(name, serde_json::from_value(spec).unwrap());
        self.applications().create(&PostParams::default(), &application).await.unwrap();
    }

    async fn holds(&self, name: &str, value: &str) {
        wait_until(LIMIT, &format!("{name} with {value}"), || async {
            let found = self.maps().get_opt(name).await.ok()??;
            (found.data?.get("value")? == value).then_some(())
        })
        .await
        .unwrap();
    }

    async fn status_of(&self, name: &str) -> ApplicationStatus {
        wait_until(LIMIT, &format!("{name} in sync"), || async {
            let status = self.applications().get(name).await.ok()?.status?;
            (word(&status) == "Synced" && status.operation_state.as_ref()?.phase == "Succeeded")
                .then_some(status)
        })
        .await
        .unwrap()
    }

    async fn secret(&self, data: Value) {
        let api = Api::<Secret>::namespaced(self.client.clone(), self.namespace.name());
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-secret"}, "stringData": data});
        api.patch("argocd-secret", &PatchParams::apply("test").force(), &Patch::Apply(&secret))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_push_is_followed_at_once_and_only_by_what_it_changes() {
    let mut world = World::new().await;
    world.interval = Duration::from_secs(600);
    let files =
        [("web/a.yaml", map("web", "1")), ("api/a.yaml", map("api", "1")), ("old/a.yaml", map("old", "1"))];
    world.commit(&files.each_ref().map(|(path, text)| (*path, text.as_str())));
    world.git(&["branch", "stable"]);
    let server = GitServer::start(world.repository.path().to_owned(), None).unwrap();
    let running = world.start().await;
    world.secret(json!({"webhook.github.secret": SECRET})).await;
    for (name, revision) in [("web", "main"), ("api", "main"), ("old", "stable")] {
        world.declare_folder(name, &server.url, revision).await;
    }
    let mut before = Vec::new();
    for name in ["web", "api", "old"] {
        world.holds(name, "1").await;
        before.push(world.status_of(name).await);
    }
    let forge = Forge::of(&world).await;
    let push =
        json!({"ref": "refs/heads/main", "repository": {"clone_url": server.url, "default_branch": "main"}});

    // Nothing but a commit, until somebody tells of it who knows the secret.
    world.commit(&[("web/a.yaml", &map("web", "2"))]);
    let (code, words) = forge.deliver("push", &push, "a guess").await;
    assert_eq!(code, 401, "{words}");
    assert!(words.contains("x-hub-signature-256") && !words.contains(SECRET), "{words}");
    let requests = server.requests();
    assert_eq!(forge.deliver("ping", &json!({}), SECRET).await.0, 200);
    let elsewhere =
        json!({"ref": "refs/heads/main", "repository": {"clone_url": "https://git.example/x/y.git"}});
    assert_eq!(forge.deliver("push", &elsewhere, SECRET).await.0, 200);
    let branch = json!({"ref": "refs/heads/feature", "repository": {"clone_url": server.url}});
    assert_eq!(forge.deliver("push", &branch, SECRET).await.0, 200);
    assert_eq!(forge.deliver("push", &json!({"ref": "refs/heads/main"}), SECRET).await.0, 400);

    let writes = running.writes.total();
    assert_eq!(forge.deliver("push", &push, SECRET).await, (200, "looking\n".to_owned()));
    world.holds("web", "2").await;
    let web = world.status_of("web").await;
    assert_ne!(web.sync, before[0].sync);
    assert!(server.requests() > requests, "the repository was asked");
    assert!(running.writes.total() > writes);
    for (name, before) in [("api", &before[1]), ("old", &before[2])] {
        assert_eq!(
            world.status_of(name).await.reconciled_at,
            before.reconciled_at,
            "{name} is not looked at"
        );
    }

    // Many at once, of which the last counts.
    for value in ["3", "4", "5"] {
        world.commit(&[("api/a.yaml", &map("api", value))]);
        assert_eq!(forge.deliver("push", &push, SECRET).await.0, 200);
    }
    world.holds("api", "5").await;
    running.stop().await;
}

#[tokio::test]
async fn nothing_is_taken_without_a_secret_or_in_another_form() {
    let world = World::new().await;
    let forge = Forge::of(&world).await;
    let push = json!({"ref": "refs/heads/main", "repository": {"clone_url": "https://git.example/x/y.git"}});
    let (code, words) = forge.deliver("push", &push, "").await;
    assert_eq!(code, 401, "{words}");
    assert!(words.contains("argocd-secret has no `webhook.github.secret`"), "{words}");
    let answer =
        forge.client.post(&forge.address).header("content-type", "application/x-www-form-urlencoded");
    let answer = answer.header("x-github-event", "push").body("payload=%7B%7D").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 415);
    let get = forge.client.get(&forge.address).send().await.unwrap();
    assert_eq!(get.status().as_u16(), 405);

    // What was read of the Secret is kept for a moment; another replica reads it anew.
    world.secret(json!({"webhook.github.secret": "$other:key"})).await;
    let forge = Forge::of(&world).await;
    let (code, words) = forge.deliver("push", &push, "$other:key").await;
    assert_eq!(code, 401, "{words}");
    assert!(words.contains("names another Secret"), "{words}");

    world.secret(json!({"webhook.github.secret": SECRET})).await;
    let forge = Forge::of(&world).await;
    let large = json!({"ref": "refs/heads/main", "more": "x".repeat(5 << 20)});
    let (code, words) = forge.deliver("push", &large, SECRET).await;
    assert_eq!((code, words.as_str()), (413, "the body is larger than 4194304 bytes"));
}

#[tokio::test]
async fn a_push_has_a_set_make_what_is_new() {
    let mut world = World::new().await;
    world.interval = Duration::from_secs(600);
    world.commit(&[("apps/one/a.yaml", &map("one", "1"))]);
    let server = GitServer::start(world.repository.path().to_owned(), None).unwrap();
    let running = world.start().await;
    world.secret(json!({"webhook.github.secret": SECRET})).await;
    let template = json!({"metadata": {"name": "{{ path.basename }}"}, "spec": {
        "project": "default",
        "source": {"repoURL": server.url, "targetRevision": "main", "path": "{{ path }}"},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": world.namespace.name()},
        "syncPolicy": automated(),
    }});
    let generator =
        json!({"git": {"repoURL": server.url, "revision": "main", "directories": [{"path": "apps/*"}]}});
    let set = json!({"generators": [generator], "template": template});
    let set = mlp_crds::ApplicationSet::new("all", serde_json::from_value(set).unwrap());
    let sets = Api::<mlp_crds::ApplicationSet>::namespaced(world.client.clone(), world.namespace.name());
    sets.create(&PostParams::default(), &set).await.unwrap();
    world.holds("one", "1").await;
    world.status_of("one").await;

    world.commit(&[("apps/two/a.yaml", &map("two", "1"))]);
    let forge = Forge::of(&world).await;
    let push =
        json!({"ref": "refs/heads/main", "repository": {"clone_url": server.url, "default_branch": "main"}});
    assert_eq!(forge.deliver("push", &push, SECRET).await.0, 200);
    world.holds("two", "1").await;
    let made = world.applications().get("two").await.unwrap();
    assert!(running.applications.store().get(&ObjectRef::from_obj(&made)).is_some(), "{}", made.name_any());
    running.stop().await;
}
