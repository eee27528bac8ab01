//! kube-controller-manager and kube-scheduler.
//!
//! The controller manager's own client limit (20 requests a second) would throttle Deployments
//! and quotas long before the server does; it is raised far above what two cores can ask for.

use std::path::Path;
use std::time::Duration;

use super::PlaneError;
use super::component::{Component, Invocation, Probe, Site};
use crate::kubeconfig::{self, Proof};
use crate::pki::{Authority, Leaf};
use crate::toolchain::pins;

pub(super) const KUBE_CONTROLLER_MANAGER: Component = Component {
    tool: pins::KUBE_CONTROLLER_MANAGER,
    ports: &["kube-controller-manager"],
    probe: Probe::Accepts("kube-controller-manager"),
    ready_limit: Duration::from_secs(60),
    stop_grace: Duration::from_secs(10),
    invocation: controller_manager,
};

pub(super) const KUBE_SCHEDULER: Component = Component {
    tool: pins::KUBE_SCHEDULER,
    ports: &["kube-scheduler"],
    probe: Probe::Accepts("kube-scheduler"),
    ready_limit: Duration::from_secs(60),
    stop_grace: Duration::from_secs(10),
    invocation: scheduler,
};

/// How many objects of a kind are worked on at once where a new team waits for it.
const WORKERS: [(&str, u32); 6] = [
    ("concurrent-deployment-syncs", 10),
    ("concurrent-replicaset-syncs", 10),
    ("concurrent-statefulset-syncs", 10),
    ("concurrent-namespace-syncs", 20),
    ("concurrent-resource-quota-syncs", 20),
    ("concurrent-serviceaccount-token-syncs", 10),
];

fn controller_manager(site: &Site) -> Result<Invocation, PlaneError> {
    let mut arguments =
        common(site, "kube-controller-manager", "system:kube-controller-manager", (500, 1_000))?;
    let cluster = site.pki.authority(Authority::Cluster);
    arguments.extend([
        format!("--root-ca-file={}", cluster.certificate.display()),
        format!("--cluster-signing-cert-file={}", cluster.certificate.display()),
        format!("--cluster-signing-key-file={}", cluster.key.display()),
        "--cluster-signing-duration=8760h".into(),
        format!("--service-account-private-key-file={}", site.pki.service_account_key().key.display()),
        "--use-service-account-credentials=true".into(),
        "--enable-hostpath-provisioner=true".into(),
        "--terminated-pod-gc-threshold=500".into(),
    ]);
    arguments.extend(WORKERS.map(|(flag, count)| format!("--{flag}={count}")));
    Ok(Invocation { volumes: true, ..Invocation::new(arguments) })
}

fn scheduler(site: &Site) -> Result<Invocation, PlaneError> {
    Ok(Invocation::new(common(site, "kube-scheduler", "system:kube-scheduler", (200, 400))?))
}

/// Flags that both have: their identity, their port, and no election, since there is one of each.
fn common(
    site: &Site,
    name: &'static str,
    user: &str,
    (rate, burst): (u32, u32),
) -> Result<Vec<String>, PlaneError> {
    let kubeconfig = site.layout.kubeconfig(name);
    identity(site, name, user, &kubeconfig)?;
    let serving = site.pki.ensure(&Leaf::server(&format!("{name}-serving"), &["localhost", "127.0.0.1"]))?;
    let kubeconfig = kubeconfig.display();
    Ok(vec![
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={}", site.port(name)?),
        format!("--tls-cert-file={}", serving.certificate.display()),
        format!("--tls-private-key-file={}", serving.key.display()),
        "--leader-elect=false".into(),
        "--profiling=false".into(),
        format!("--kube-api-qps={rate}"),
        format!("--kube-api-burst={burst}"),
    ])
}

/// Writes the kubeconfig of a component that proves itself by certificate.
pub(super) fn identity(site: &Site, name: &str, user: &str, path: &Path) -> Result<(), PlaneError> {
    let pair = site.pki.ensure(&Leaf::client(name, user, &[]))?;
    let server = format!("https://127.0.0.1:{}", site.port("kube-apiserver")?);
    let authority = site.pki.authority(Authority::Cluster).certificate;
    Ok(kubeconfig::write(path, &server, &authority, user, Proof::Certificate(&pair))?)
}
