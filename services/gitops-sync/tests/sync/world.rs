//! A repository, an API server and a broker, and the loop on them.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use mlp_bus::{Bus, BusOptions, Relay, Topology};
use mlp_crds::argocd::ApplicationStatus;
use mlp_crds::{Application, ApplicationSet};
use mlp_gitops_sync::domain::manifest::Limits;
use mlp_gitops_sync::forge::Forges;
use mlp_gitops_sync::reconcile::sets::{SetParts, SetReconciler, generated};
use mlp_gitops_sync::reconcile::{ApplicationReconciler, Notices, Parts, watcher_pair, watches};
use mlp_gitops_sync::render::{Options as RenderOptions, Renderers, sandbox};
use mlp_gitops_sync::store::{Options as RepositoryOptions, Repositories};
use mlp_gitops_sync::webhook::notices;
use mlp_harness::{ControlPlane, NatsOptions, NatsServer, TestNamespace, tool, wait_until};
use mlp_reconcile::{Controller, Handle, Options, Trigger, WriteCounter, watcher};
use mlp_tilt::toolchain::pins::{GOTEMPLATE, HELM, KUSTOMIZE};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) const LIMIT: Duration = Duration::from_secs(30);
pub(crate) const NAME: &str = "shop";

/// A repository, a namespace that is both control plane's and destination, and the service's loop.
pub(crate) struct World {
    pub(crate) repository: TempDir,
    pub(crate) cache: TempDir,
    pub(crate) namespace: TestNamespace,
    pub(crate) client: kube::Client,
    _nats: NatsServer,
    pub(crate) bus: Bus,
    /// How often repositories are asked.
    pub(crate) interval: Duration,
}

pub(crate) struct Loop {
    pub(crate) renderers: Arc<Renderers>,
    pub(crate) applications: Handle<Application>,
    pub(crate) writes: WriteCounter,
    pub(crate) stop: CancellationToken,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let plane = ControlPlane::shared().await.unwrap();
        plane.install(&mlp_crds::all()).await.unwrap();
        let nats = NatsServer::start(NatsOptions::default()).await.unwrap();
        let bus = Bus::connect(BusOptions {
            servers: vec![nats.url()],
            client_name: "test".into(),
            ..BusOptions::default()
        });
        let bus = bus.await.unwrap();
        bus.ensure_streams(&Topology::builtin().unwrap().streams).await.unwrap();
        let world = Self {
            repository: tempfile::tempdir().unwrap(),
            cache: tempfile::tempdir().unwrap(),
            namespace: plane.namespace().await.unwrap(),
            client: plane.client().await.unwrap(),
            _nats: nats,
            bus,
            interval: Duration::from_millis(200),
        };
        world.git(&["init", "--quiet", "--initial-branch", "main"]);
        world
    }

    pub(crate) fn git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-C"])
            .arg(self.repository.path());
        let output = command.args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").output();
        let output = output.expect("git is needed: install the package git");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Writes files (an empty text removes one) and commits.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = self.repository.path().join(name);
            if text.is_empty() {
                std::fs::remove_file(path).unwrap();
            } else {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "change"]);
    }

    /// Starts the loop as the composition root does.
    pub(crate) async fn start(&self) -> Loop {
        self.start_with(self.client.clone()).await
    }

    /// The same with a client of its own.
    pub(crate) async fn start_with(&self, client: kube::Client) -> Loop {
        let (client, writes) = WriteCounter::wrap(client);
        let renderers = Arc::new(Renderers::new(renderers(self.cache.path()).await).unwrap());
        let namespace = self.namespace.name();
        let mine = Api::<Application>::namespaced(client.clone(), namespace);
        let options = Options { trigger: Trigger::SpecOrMetadata, ..Options::default() };
        let controller = Controller::new("gitops-sync", mine, watcher::Config::default(), options);
        let (controller, caches) = watches(controller, &client, namespace);
        let applications = controller.handle();
        let (asks, watcher) = watcher_pair(client.clone(), namespace, applications.clone());
        let repositories = RepositoryOptions { interval: self.interval, ..repositories(self.cache.path()) };
        let repositories = Arc::new(Repositories::new(repositories).unwrap());
        let (sets, set_reconciler) = {
            let mine = Api::<ApplicationSet>::namespaced(client.clone(), namespace);
            let options = Options { trigger: Trigger::SpecOrMetadata, ..Options::default() };
            let sets = Controller::new("gitops-sync-sets", mine, watcher::Config::default(), options);
            let (sets, generated) = generated(sets, &client, namespace);
            let (client, applications, caches) = (client.clone(), applications.clone(), caches.clone());
            let (repositories, renderers) = (Arc::clone(&repositories), Arc::clone(&renderers));
            let forges = Forges::new().unwrap();
            let parts = SetParts { client, applications, caches, generated, repositories, renderers, forges };
            (sets, Arc::new(SetReconciler::new(parts)))
        };
        let reconciler = Arc::new(ApplicationReconciler::new(Parts {
            client,
            applications: applications.store().clone(),
            caches,
            repositories,
            renderers: Arc::clone(&renderers),
            limits: Limits::default(),
            watches: asks,
            relay: Relay::new(self.bus.publisher()),
        }));
        let followed = Notices {
            applications: applications.clone(),
            sets: sets.handle(),
            reconciler: Arc::clone(&reconciler),
            set_reconciler: Arc::clone(&set_reconciler),
        };
        let told = notices(&self.bus).await.unwrap();
        let stop = CancellationToken::new();
        let [first, second, third, fourth] = [stop.clone(), stop.clone(), stop.clone(), stop.clone()];
        let task = tokio::spawn(async move {
            let sets = sets.run(set_reconciler, third);
            let followed = followed.run(told, fourth);
            tokio::join!(controller.run(reconciler, first), watcher.run(second), sets, followed);
        });
        Loop { renderers, applications, writes, stop, task }
    }

    /// Agrees to what asks for it.
    pub(crate) async fn approve(&self) {
        let now = jiff::Timestamp::now().to_string();
        let said = json!({"metadata": {"annotations": {"argocd.argoproj.io/deletion-approved": now}}});
        self.applications().patch(NAME, &PatchParams::default(), &Patch::Merge(&said)).await.unwrap();
    }

    /// Asks for the Application's end, and its objects' with it.
    pub(crate) async fn leave(&self) {
        let applications = self.applications();
        let mut finalizers = applications.get(NAME).await.unwrap().finalizers().to_vec();
        finalizers.push("resources-finalizer.argocd.argoproj.io".to_owned());
        let finalizer = json!({"metadata": {"finalizers": finalizers}});
        applications.patch(NAME, &PatchParams::default(), &Patch::Merge(&finalizer)).await.unwrap();
        applications.delete(NAME, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until the Application is gone.
    pub(crate) async fn is_left(&self) {
        let gone = || async { self.applications().get_opt(NAME).await.ok()?.is_none().then_some(()) };
        wait_until(LIMIT, "the application gone", gone).await.unwrap();
    }

    pub(crate) fn applications(&self) -> Api<Application> {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }

    pub(crate) fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }

    pub(crate) async fn declare(&self, policy: Value) {
        self.declare_source(policy, json!({})).await;
    }

    /// Declares the Application with more fields of its source.
    pub(crate) async fn declare_source(&self, policy: Value, more: Value) {
        let url = format!("file://{}", self.repository.path().display());
        let mut source = json!({"repoURL": url, "targetRevision": "main"});
        source.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let spec = json!({
            "project": "default",
            "source": source,
            "destination": {"server": "https://kubernetes.default.svc", "namespace": self.namespace.name()},
            "syncPolicy": policy,
        });
        let application = Application::new(NAME, serde_json::from_value(spec).unwrap());
        self.applications().create(&PostParams::default(), &application).await.unwrap();
    }

    pub(crate) async fn status(
        &self,
        what: &str,
        wanted: impl Fn(&ApplicationStatus) -> bool,
    ) -> ApplicationStatus {
        let look = || async {
            let application = self.applications().get(NAME).await.ok()?;
            application.status.filter(|status| wanted(status))
        };
        match wait_until(LIMIT, what, look).await {
            Ok(status) => status,
            Err(error) => panic!("{error}: {:#?}", self.applications().get(NAME).await.unwrap().status),
        }
    }

    pub(crate) async fn greeting(&self, text: Option<&str>) {
        wait_until(LIMIT, &format!("greeting {text:?}"), || async {
            let map = self.maps().get_opt("settings").await.ok()?;
            let found = map.and_then(|map| map.data?.get("greeting").cloned());
            (found.as_deref() == text).then_some(())
        })
        .await
        .unwrap();
    }
}

impl Loop {
    /// Ends it in the middle of whatever it does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

pub(crate) fn repositories(cache: &Path) -> RepositoryOptions {
    RepositoryOptions {
        folder: cache.to_owned(),
        interval: Duration::from_millis(200),
        allow_files: true,
        max_bytes: 1 << 30,
        deadline: Duration::from_secs(20),
        limits: Limits::default(),
    }
}

/// The pinned tools, confined by the service's own program.
pub(crate) async fn renderers(cache: &Path) -> RenderOptions {
    RenderOptions {
        kustomize: tool(&KUSTOMIZE).await.unwrap(),
        helm: tool(&HELM).await.unwrap(),
        gotemplate: tool(&GOTEMPLATE).await.unwrap(),
        confiner: env!("CARGO_BIN_EXE_mlp-gitops-sync").into(),
        folder: cache.join("trees"),
        deadline: Duration::from_secs(60),
        limits: sandbox::Limits::default(),
        cache_bytes: 1 << 24,
    }
}

pub(crate) fn settings(greeting: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{greeting: {greeting}}}\n")
}

pub(crate) fn word(status: &ApplicationStatus) -> &str {
    status.sync.as_ref().map(|sync| sync.status.as_str()).unwrap_or_default()
}

pub(crate) fn phase(status: &ApplicationStatus) -> &str {
    status.operation_state.as_ref().map(|state| state.phase.as_str()).unwrap_or_default()
}

pub(crate) fn automated() -> Value {
    json!({"automated": {"prune": true, "selfHeal": true}})
}
