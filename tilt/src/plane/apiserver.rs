//! kube-apiserver: RBAC, the Node authorizer, TLS everywhere, an audit log of bounded size, and
//! the admission plugins that a production cluster (EKS) runs: all defaults of the version, which
//! include `ResourceQuota`, `LimitRanger`, `PodSecurity`, `ServiceAccount`, `Priority`,
//! `DefaultStorageClass` and both kinds of admission policy, and two more.

use std::net::IpAddr;
use std::time::Duration;

use super::PlaneError;
use super::component::{Component, Invocation, Probe, Site};
use crate::pki::{Authority, Leaf};
use crate::toolchain::pins;

const AUDIT_POLICY: &str = include_str!("audit-policy.yaml");

/// On top of the version's defaults.
const ADMISSION: &str = "NodeRestriction,ExtendedResourceToleration";

/// The issuer of service account tokens.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// How Go collects garbage in the server, which is what most of the processor's time goes to when many
/// objects are made at once: less often while there is memory, as ever near the limit. 1,000 teams at once
/// took 40 s on two cores with Go's own choice, 34 s so (`cargo mlp bench onboarding`). What 3,000 namespaces hold
/// brought it near a limit of 2 GiB, where it did little else (`cargo mlp bench namespaces`).
const COLLECTOR: [(&str, &str); 2] = [("GOGC", "300"), ("GOMEMLIMIT", "4GiB")];

pub(super) const KUBE_APISERVER: Component = Component {
    tool: pins::KUBE_APISERVER,
    ports: &["kube-apiserver"],
    probe: Probe::Api,
    ready_limit: Duration::from_secs(90),
    stop_grace: Duration::from_secs(20),
    invocation,
};

fn invocation(site: &Site) -> Result<Invocation, PlaneError> {
    let policy = site.write_config("audit-policy.yaml", AUDIT_POLICY)?;
    let logs = site.layout.logs();
    // Pods of a real node reach the server through the link to that node; else loopback is enough.
    let bind = if site.options.nodes.real() { "0.0.0.0" } else { "127.0.0.1" };
    let mut arguments = vec![
        format!("--bind-address={bind}"),
        format!("--secure-port={}", site.port("kube-apiserver")?),
        format!("--advertise-address={}", site.network.host_address()),
        format!("--service-cluster-ip-range={}", site.network.services()),
        "--authorization-mode=Node,RBAC".into(),
        "--anonymous-auth=true".into(),
        format!("--enable-admission-plugins={ADMISSION}"),
        "--allow-privileged=true".into(),
        format!("--service-account-issuer={ISSUER}"),
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", logs.join("audit.log").display()),
        "--audit-log-maxsize=16".into(),
        "--audit-log-maxbackup=1".into(),
        "--audit-log-mode=batch".into(),
        "--audit-log-batch-max-wait=1s".into(),
        "--kubelet-preferred-address-types=InternalIP,Hostname".into(),
        "--profiling=false".into(),
        "--event-ttl=1h".into(),
    ];
    arguments.extend(certificates(site)?);
    let environment = COLLECTOR.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Invocation { environment: environment.into(), ..Invocation::new(arguments).with_file(AUDIT_POLICY) })
}

/// Keys of everyone that the server talks to or is talked to by.
fn certificates(site: &Site) -> Result<Vec<String>, PlaneError> {
    let pki = &site.pki;
    let addresses: [IpAddr; 2] =
        [site.network.kubernetes_service().into(), site.network.host_address().into()];
    let addresses = addresses.map(|address| address.to_string());
    let mut hosts = vec![
        "localhost",
        "127.0.0.1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    hosts.extend(addresses.iter().map(String::as_str));
    let serving = pki.ensure(&Leaf::server("kube-apiserver", &hosts))?;
    let etcd =
        pki.ensure(&Leaf::client("kube-apiserver-etcd", "kube-apiserver", &[]).signed_by(Authority::Etcd))?;
    let kubelet = pki.ensure(&Leaf::client("kube-apiserver-kubelet", super::KUBELET_CLIENT, &[]))?;
    let proxy =
        pki.ensure(&Leaf::client("front-proxy", "front-proxy-client", &[]).signed_by(Authority::FrontProxy))?;
    let account = pki.service_account_key();
    let cluster = pki.authority(Authority::Cluster).certificate;
    let flags = [
        ("tls-cert-file", &serving.certificate),
        ("tls-private-key-file", &serving.key),
        ("client-ca-file", &cluster),
        ("etcd-cafile", &pki.authority(Authority::Etcd).certificate),
        ("etcd-certfile", &etcd.certificate),
        ("etcd-keyfile", &etcd.key),
        ("kubelet-client-certificate", &kubelet.certificate),
        ("kubelet-client-key", &kubelet.key),
        ("kubelet-certificate-authority", &cluster),
        ("proxy-client-cert-file", &proxy.certificate),
        ("proxy-client-key-file", &proxy.key),
        ("requestheader-client-ca-file", &pki.authority(Authority::FrontProxy).certificate),
        ("service-account-key-file", &account.certificate),
        ("service-account-signing-key-file", &account.key),
    ]
    .map(|(flag, path)| format!("--{flag}={}", path.display()));
    let mut arguments = flags.to_vec();
    arguments.extend([
        format!("--etcd-servers=https://127.0.0.1:{}", site.port("etcd")?),
        "--requestheader-allowed-names=front-proxy-client".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
    ]);
    Ok(arguments)
}
