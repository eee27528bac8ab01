//! Certificates of components: one year, renewed a month before their end.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::authority::{Authority, issuer};
use super::{Pair, PkiError, RENEW_BEFORE, new_key, read, seconds};
use crate::layout::write_private;

const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Usage {
    /// To connect.
    Client,
    /// To be connected to.
    Server,
    /// Both, for peers.
    Peer,
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// Name of its files.
    pub name: String,
    /// Who signs it.
    pub authority: Authority,
    /// The user, for the Kubernetes API.
    pub common_name: String,
    /// The groups, for the Kubernetes API.
    pub organizations: Vec<String>,
    /// Host names and addresses that it may serve.
    pub hosts: Vec<String>,
    /// What it is for.
    pub usage: Usage,
}

impl Leaf {
    /// A client of the Kubernetes API with this user name and these groups.
    #[must_use]
    pub fn client(name: &str, user: &str, groups: &[&str]) -> Self {
        Self {
            name: name.into(),
            authority: Authority::Cluster,
            common_name: user.into(),
            organizations: groups.iter().map(|group| (*group).into()).collect(),
            hosts: Vec::new(),
            usage: Usage::Client,
        }
    }

    /// A server under these names, signed by the cluster's authority.
    #[must_use]
    pub fn server(name: &str, hosts: &[&str]) -> Self {
        Self {
            name: name.into(),
            authority: Authority::Cluster,
            common_name: name.into(),
            organizations: Vec::new(),
            hosts: hosts.iter().map(|host| (*host).into()).collect(),
            usage: Usage::Server,
        }
    }

    /// The same, signed by another authority.
    #[must_use]
    pub const fn signed_by(mut self, authority: Authority) -> Self {
        self.authority = authority;
        self
    }

    /// The same, for another use.
    #[must_use]
    pub const fn used_as(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }
}

/// What was issued, kept beside the certificate so that a change is seen without parsing it.
#[derive(Serialize, Deserialize)]
struct Record {
    leaf: Leaf,
    ends: u64,
    authority: String,
}

/// Issues the leaf unless what is there will do.
pub(super) fn ensure(leaf: &Leaf, pair: &Pair, authority: &Pair, now: SystemTime) -> Result<(), PkiError> {
    let record_path = pair.certificate.with_extension("json");
    let signer = fingerprint(&read(&authority.certificate)?);
    let record: Option<Record> =
        std::fs::read(&record_path).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let lasts = |record: &Record| {
        record.leaf == *leaf && record.authority == signer && record.ends > seconds(now + RENEW_BEFORE)
    };
    if record.as_ref().is_some_and(lasts) && pair.certificate.is_file() && pair.key.is_file() {
        return Ok(());
    }
    let failed = |source| PkiError::Crypto { name: leaf.name.clone(), source };
    let key = new_key(&leaf.name)?;
    let ends = now + LIFETIME;
    let certificate = params(leaf, now, ends)
        .and_then(|params| Ok((params, issuer(authority)?)))
        .and_then(|(params, issuer)| params.signed_by(&key, &issuer).map_err(failed))?;
    // The record goes last: a crash between leaves a pair that is issued again.
    let _ = std::fs::remove_file(&record_path);
    write_private(&pair.key, key.serialize_pem().as_bytes())?;
    write_private(&pair.certificate, certificate.pem().as_bytes())?;
    let record = Record { leaf: leaf.clone(), ends: seconds(ends), authority: signer };
    Ok(write_private(&record_path, &serde_json::to_vec(&record).unwrap_or_default())?)
}

fn params(leaf: &Leaf, now: SystemTime, ends: SystemTime) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(leaf.hosts.clone())
        .map_err(|source| PkiError::Crypto { name: leaf.name.clone(), source })?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, leaf.common_name.clone());
    for organization in &leaf.organizations {
        params.distinguished_name.push(DnType::OrganizationName, organization.clone());
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match leaf.usage {
        Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Usage::Peer => vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth],
    };
    params.use_authority_key_identifier_extension = true;
    params.not_before = OffsetDateTime::from(now - Duration::from_secs(3600));
    params.not_after = OffsetDateTime::from(ends);
    Ok(params)
}

fn fingerprint(pem: &str) -> String {
    Sha256::digest(pem.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
