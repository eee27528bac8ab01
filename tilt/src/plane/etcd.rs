//! etcd: the record. Each write is on disk before it is acknowledged, unless a benchmark says not.

use std::time::Duration;

use super::PlaneError;
use super::component::{Component, Invocation, Probe, Site};
use crate::pki::{Authority, Leaf, Usage};
use crate::toolchain::pins;

/// Bound of the store, in bytes.
const QUOTA: u64 = 4 * 1024 * 1024 * 1024;

pub(super) const ETCD: Component = Component {
    tool: pins::ETCD,
    ports: &["etcd", "etcd-peer", "etcd-metrics"],
    probe: Probe::Page("etcd-metrics", "/health"),
    ready_limit: Duration::from_secs(60),
    stop_grace: Duration::from_secs(20),
    invocation,
};

fn invocation(site: &Site) -> Result<Invocation, PlaneError> {
    let (client, peer, metrics) = (site.port("etcd")?, site.port("etcd-peer")?, site.port("etcd-metrics")?);
    let leaf =
        Leaf::server("etcd", &["localhost", "127.0.0.1"]).signed_by(Authority::Etcd).used_as(Usage::Peer);
    let pair = site.pki.ensure(&leaf)?;
    let authority = site.pki.authority(Authority::Etcd).certificate;
    let (authority, certificate, key) = (authority.display(), pair.certificate.display(), pair.key.display());
    let mut arguments = vec![
        "--name=mlp".to_owned(),
        format!("--data-dir={}", site.layout.data("etcd").display()),
        format!("--listen-client-urls=https://127.0.0.1:{client}"),
        format!("--advertise-client-urls=https://127.0.0.1:{client}"),
        format!("--listen-peer-urls=https://127.0.0.1:{peer}"),
        format!("--initial-advertise-peer-urls=https://127.0.0.1:{peer}"),
        format!("--initial-cluster=mlp=https://127.0.0.1:{peer}"),
        format!("--listen-metrics-urls=http://127.0.0.1:{metrics}"),
        format!("--trusted-ca-file={authority}"),
        format!("--cert-file={certificate}"),
        format!("--key-file={key}"),
        "--client-cert-auth=true".into(),
        format!("--peer-trusted-ca-file={authority}"),
        format!("--peer-cert-file={certificate}"),
        format!("--peer-key-file={key}"),
        "--peer-client-cert-auth=true".into(),
        format!("--quota-backend-bytes={QUOTA}"),
        "--log-level=warn".into(),
    ];
    if !site.options.etcd_fsync {
        arguments.push("--unsafe-no-fsync".into());
    }
    Ok(Invocation::new(arguments))
}
