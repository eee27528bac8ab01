//! The authorities: self-signed, ten years.

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Pair, PkiError, RENEW_BEFORE, new_key, read, seconds};
use crate::layout::write_private;

const LIFETIME: Duration = Duration::from_secs(3650 * 24 * 3600);

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authority {
    /// Identities of the Kubernetes API: components, people, nodes, our services.
    Cluster,
    /// Who may enter etcd.
    Etcd,
    /// Who may speak for others to aggregated APIs.
    FrontProxy,
}

impl Authority {
    pub(super) const ALL: [Self; 3] = [Self::Cluster, Self::Etcd, Self::FrontProxy];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cluster => "ca",
            Self::Etcd => "etcd-ca",
            Self::FrontProxy => "front-proxy-ca",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    ends: u64,
}

/// Makes the authority unless it is there and lasts.
pub(super) fn ensure(authority: Authority, pair: &Pair, now: SystemTime) -> Result<(), PkiError> {
    let record_path = pair.certificate.with_extension("json");
    if let Ok(text) = std::fs::read(&record_path) {
        let record: Record =
            serde_json::from_slice(&text).map_err(|_| PkiError::Damaged { path: record_path.clone() })?;
        if record.ends > seconds(now + RENEW_BEFORE) {
            issuer(pair)?;
            return Ok(());
        }
    }
    let failed = |source| PkiError::Crypto { name: authority.name().into(), source };
    let key = new_key(authority.name())?;
    let ends = now + LIFETIME;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("mlp local {}", authority.name()));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.not_before = OffsetDateTime::from(now - Duration::from_secs(3600));
    params.not_after = OffsetDateTime::from(ends);
    let certificate = params.self_signed(&key).map_err(failed)?;
    write_private(&pair.key, key.serialize_pem().as_bytes())?;
    write_private(&pair.certificate, certificate.pem().as_bytes())?;
    let record = serde_json::to_vec(&Record { ends: seconds(ends) }).unwrap_or_default();
    Ok(write_private(&record_path, &record)?)
}

/// The authority, ready to sign.
pub(super) fn issuer(pair: &Pair) -> Result<Issuer<'static, KeyPair>, PkiError> {
    let key =
        KeyPair::from_pem(&read(&pair.key)?).map_err(|_| PkiError::Damaged { path: pair.key.clone() })?;
    Issuer::from_ca_cert_pem(&read(&pair.certificate)?, key)
        .map_err(|_| PkiError::Damaged { path: pair.certificate.clone() })
}
