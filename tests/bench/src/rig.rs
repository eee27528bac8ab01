//! An embedded control plane and broker in a folder of their own, for services to be measured on.

use std::path::{Path, PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use mlp_bus::accounts::{Keyring, OperatorMode, Party};
use mlp_tilt::layout::write_private;
use mlp_tilt::plane::nats::Operator;
use mlp_tilt::process::Watchdog;
use mlp_tilt::{Broker, Layout, Options, Plane, Progress};

use crate::Error;
use crate::service::Service;

/// The checkout's folders.
pub(crate) fn layout() -> Result<Layout, Error> {
    Ok(Layout::discover(Path::new(env!("CARGO_MANIFEST_DIR")))?)
}

/// Where results and states of benchmarks are.
pub(crate) fn folder() -> Result<PathBuf, Error> {
    Ok(layout()?.root().join(".mlp/bench"))
}

/// A control plane with our kinds, a broker in operator mode, and a watchdog over all of it.
pub(crate) struct Rig {
    plane: Plane,
    keyring: Keyring,
    watchdog: Watchdog,
}

impl Rig {
    /// Starts from nothing, with our kinds and rules. With `fsync` etcd syncs each write to disk, as a
    /// platform does.
    pub(crate) async fn start(fsync: bool) -> Result<Self, Error> {
        let rig = Self::bare(fsync).await?;
        rig.install_rules().await?;
        Ok(rig)
    }

    /// The same without the rules.
    pub(crate) async fn bare(fsync: bool) -> Result<Self, Error> {
        let layout = layout()?.with_state(folder()?.join("state"));
        let quiet = Progress::quiet();
        Plane::wipe(&layout, &quiet).await?;
        layout.open()?;
        let keyring = Keyring::generate();
        let mode = OperatorMode::of(&keyring, now());
        let operator = Operator {
            jwt: mode.operator,
            system_account: mode.system_account,
            resolver: layout.data("nats-accounts"),
            preload: mode.preload,
        };
        let options = Options { etcd_fsync: fsync, broker: Broker::Operator(operator), ..Options::default() };
        let plane = Plane::start(&layout, options, &quiet).await?;
        install_kinds(&plane.client()).await?;
        Ok(Self { plane, keyring, watchdog: Watchdog::start()? })
    }

    /// Installs the admission policies, as every platform has them: their cost is part of what is measured.
    pub(crate) async fn install_rules(&self) -> Result<(), Error> {
        let rules = self.plane.layout().root().join("deploy/admission").display().to_string();
        mlp_harness::kubectl(&self.plane.kubeconfig(), &["apply", "--server-side", "-k", &rules]).await?;
        Ok(())
    }

    /// Takes the admission policies out of force; what they are stays.
    pub(crate) async fn remove_rules(&self) -> Result<(), Error> {
        let kinds = "validatingadmissionpolicybindings,mutatingadmissionpolicybindings";
        mlp_harness::kubectl(&self.plane.kubeconfig(), &["delete", kinds, "--all"]).await?;
        Ok(())
    }

    /// A client that acts as a member of a group.
    pub(crate) async fn member(&self, user: &str, group: &str) -> Result<Client, Error> {
        let file = Kubeconfig::read_from(self.plane.kubeconfig())?;
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups = Some(vec![group.to_owned(), "system:authenticated".to_owned()]);
        Ok(Client::try_from(config)?)
    }

    /// The administrator's client.
    pub(crate) fn client(&self) -> Client {
        self.plane.client()
    }

    /// Ends what is under it when this process ends.
    pub(crate) const fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    /// Starts a service's process as `mlp up` does, and waits until it is ready.
    pub(crate) async fn service(&self, name: &'static str, binary: &Path) -> Result<Service, Error> {
        self.service_with(name, binary, []).await
    }

    /// The same with other variables, which count before those that all have.
    pub(crate) async fn service_with<const N: usize>(
        &self,
        name: &'static str,
        binary: &Path,
        more: [(&'static str, String); N],
    ) -> Result<Service, Error> {
        let layout = self.plane.layout();
        let kubeconfig = self.plane.service_kubeconfig(name, Some("cluster-admin")).await?;
        let credentials = layout.config().join(format!("nats-{name}.creds"));
        let user = self.keyring.service_credentials(Party::Platform, name, now());
        write_private(&credentials, user.expose().as_bytes())?;
        let seed = layout.pki().join("nats-operator.seed");
        write_private(&seed, self.keyring.seed().expose().as_bytes())?;
        let nats = self.plane.endpoints().nats.unwrap_or_default();
        let path = |path: &Path| path.display().to_string();
        let variables = [
            ("MLP_KUBECONFIG", path(&kubeconfig)),
            ("MLP_NATS_URL", nats),
            ("MLP_NATS_CREDS", path(&credentials)),
            ("MLP_NATS_OPERATOR_SEED", path(&seed)),
            ("MLP_DATA_DIR", path(&layout.data(name))),
            ("MLP_INSTANCE", format!("{name}-0")),
            ("MLP_AUDIT_LOG", path(&layout.logs().join("audit.log"))),
            ("MLP_ENVIRONMENT", "local".to_owned()),
            ("MLP_ALLOW_FILE_REPOSITORIES", "true".to_owned()),
            ("MLP_CACHE_DIR", path(&layout.data(&format!("{name}-cache")))),
            // Short, so that a round of looks in which nothing changes is seen.
            ("MLP_REPOSITORY_INTERVAL", "30s".to_owned()),
            ("MLP_GRPC_LISTEN", "127.0.0.1:0".to_owned()),
        ];
        let variables = variables.into_iter().chain(more);
        let service = Service::start(name, binary, variables, layout.log(name), &self.watchdog).await?;
        Ok(service)
    }

    /// Ends everything and removes its state.
    pub(crate) async fn end(self) -> Result<(), Error> {
        let layout = self.plane.layout().clone();
        drop(self.watchdog);
        Ok(Plane::wipe(&layout, &Progress::quiet()).await?)
    }
}

async fn install_kinds(client: &Client) -> Result<(), Error> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for kind in mlp_crds::all() {
        let name = kind.metadata.name.clone().unwrap_or_default();
        definitions.patch(&name, &PatchParams::apply("mlp-bench").force(), &Patch::Apply(&kind)).await?;
        let established = || async {
            let status = definitions.get(&name).await.ok()?.status?;
            let conditions = status.conditions.unwrap_or_default();
            conditions.iter().any(|one| one.type_ == "Established" && one.status == "True").then_some(())
        };
        mlp_harness::wait_until(std::time::Duration::from_secs(20), &format!("serving {name}"), established)
            .await?;
    }
    Ok(())
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
