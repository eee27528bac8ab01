//! One real control plane for all tests of a process, or of a whole run.
//!
//! `MLP_TEST_PLANE` names the state folder of a plane that `cargo mlp test` started; without it
//! the first test of a process starts one, in a slot under `.mlp/test` that no other process
//! holds, and a watchdog ends it with the process.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use mlp_tilt::{Layout, Options, Plane, Progress};
use tokio::sync::OnceCell;

use crate::{HarnessError, start, wait_until};

/// The variable that names a running plane's state folder.
pub const TEST_PLANE: &str = "MLP_TEST_PLANE";

/// How many processes may each have a plane of their own at once.
const SLOTS: usize = 16;

/// How long the API server may take to serve a new kind.
const ESTABLISHED_LIMIT: Duration = Duration::from_secs(20);

/// A real API server with controllers, scheduler and simulated nodes.
#[derive(Debug)]
pub struct ControlPlane {
    plane: Plane,
    _slot: Option<File>,
}

impl ControlPlane {
    /// The plane of this process; started at the first call.
    ///
    /// # Errors
    /// A tool is missing, or a component did not start; the message says what to do.
    pub async fn shared() -> Result<&'static Self, HarnessError> {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    async fn start() -> Result<Self, HarnessError> {
        let layout = start::layout()?;
        if let Some(state) = std::env::var_os(TEST_PLANE) {
            let plane = Plane::attach(&layout.with_state(PathBuf::from(state))).await?;
            return Ok(Self { plane, _slot: None });
        }
        let (slot, layout) = free_slot(&layout)?;
        let quiet = Progress::quiet();
        // What a killed run left, if its watchdog has not ended it yet.
        Plane::stop(&layout, &quiet).await?;
        layout.wipe()?;
        let options = Options { etcd_fsync: false, ..Options::default() };
        let plane = Plane::start(&layout, options, &Progress::stderr()).await?;
        Ok(Self { plane, _slot: Some(slot) })
    }

    /// A client of the administrator, made for the runtime of the caller: each test has its own
    /// runtime, and a client does not outlive the one that made it.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub async fn client(&self) -> Result<Client, HarnessError> {
        Ok(self.plane.new_client().await?)
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.plane.kubeconfig()
    }

    /// The plane itself, for service accounts and addresses.
    #[must_use]
    pub const fn plane(&self) -> &Plane {
        &self.plane
    }

    /// Installs kinds and waits until they are served; again is harmless.
    ///
    /// # Errors
    /// The API server refused one, or did not serve it in time.
    pub async fn install(&self, kinds: &[CustomResourceDefinition]) -> Result<(), HarnessError> {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client().await?);
        let parameters = PatchParams::apply("mlp-harness").force();
        for kind in kinds {
            definitions.patch(&kind.name_any(), &parameters, &Patch::Apply(kind)).await?;
        }
        for kind in kinds {
            let name = kind.name_any();
            let definitions = &definitions;
            wait_until(ESTABLISHED_LIMIT, &format!("serving {name}"), || async {
                is_established(&definitions.get(&name).await.ok()?).then_some(())
            })
            .await?;
        }
        Ok(())
    }

    /// A new namespace with a name of its own; deleted when the value is dropped.
    ///
    /// # Errors
    /// The API server refused it.
    pub async fn namespace(&self) -> Result<TestNamespace, HarnessError> {
        let namespaces: Api<Namespace> = Api::all(self.client().await?);
        let metadata = ObjectMeta { generate_name: Some("test-".into()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let created = namespaces.create(&PostParams::default(), &namespace).await?;
        Ok(TestNamespace { name: created.name_any(), kubeconfig: self.kubeconfig() })
    }
}

/// A namespace of one test.
#[derive(Debug)]
pub struct TestNamespace {
    name: String,
    kubeconfig: PathBuf,
}

impl TestNamespace {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestNamespace {
    fn drop(&mut self) {
        let (name, kubeconfig) = (std::mem::take(&mut self.name), self.kubeconfig.clone());
        // A drop has no runtime of its own to wait in, so it borrows a thread that has.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                if let Ok(client) = mlp_tilt::kubeconfig::client(&kubeconfig).await {
                    let _ = Api::<Namespace>::all(client).delete(&name, &DeleteParams::background()).await;
                }
            });
        });
        let _ = thread.join();
    }
}

/// The first slot that no other process holds, and its layout.
fn free_slot(layout: &Layout) -> Result<(File, Layout), HarnessError> {
    let folder = layout.root().join(".mlp/test");
    let io = |source| HarnessError::Io { path: folder.display().to_string(), source };
    fs::create_dir_all(&folder).map_err(io)?;
    for slot in 0..SLOTS {
        let file = File::create(folder.join(format!("{slot}.lock"))).map_err(io)?;
        if file.try_lock().is_ok() {
            return Ok((file, layout.clone().with_state(folder.join(slot.to_string()))));
        }
    }
    Err(HarnessError::NoSlot)
}

fn is_established(definition: &CustomResourceDefinition) -> bool {
    let conditions =
        definition.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
}
