//! Keys and certificates of one platform: own authorities, one pair per component.
//!
//! Three authorities keep doors apart: `cluster` (the API), `etcd` (only the API server may enter)
//! and `front-proxy` (who may speak for others). Pairs are kept across `down` and `up`, and
//! issued anew when they near their end, their names change, or their authority was renewed.

mod authority;
mod leaf;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mlp_model::{Class, Classified};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};

pub use authority::Authority;
pub use leaf::{Leaf, Usage};

use crate::layout::{Layout, LayoutError, write_private};

/// A certificate is issued anew when it ends within this time.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Why keys or certificates cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Making or signing failed.
    #[error("cannot make the certificate {name}")]
    Crypto {
        /// Which.
        name: String,
        /// What the library said.
        source: rcgen::Error,
    },
    /// A file of an authority is damaged.
    #[error("{} is damaged; run `cargo mlp down --wipe` to start afresh, or restore a backup", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("keys cannot be kept")]
    Layout {
        /// Why.
        #[from]
        source: LayoutError,
    },
}

impl Classified for PkiError {
    fn class(&self) -> Class {
        Class::Terminal
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Crypto { .. } => "CertificateNotMade",
            Self::Damaged { .. } => "KeysDamaged",
            Self::Layout { source } => source.reason(),
        }
    }
}

/// Files of a certificate and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The keys of one platform.
#[derive(Clone, Debug)]
pub struct Pki {
    folder: PathBuf,
    now: SystemTime,
}

impl Pki {
    /// Makes what is missing: authorities and the key of service account tokens.
    ///
    /// # Errors
    /// A file is damaged or cannot be written.
    pub fn open(layout: &Layout, now: SystemTime) -> Result<Self, PkiError> {
        let pki = Self { folder: layout.pki(), now };
        for authority in Authority::ALL {
            authority::ensure(authority, &pki.authority(authority), now)?;
        }
        pki.ensure_service_account_key()?;
        Ok(pki)
    }

    /// Files of an authority.
    #[must_use]
    pub fn authority(&self, authority: Authority) -> Pair {
        self.pair(authority.name())
    }

    /// Files of the leaf, issued first when there is none that will do.
    ///
    /// # Errors
    /// A file is damaged or cannot be written.
    pub fn ensure(&self, leaf: &Leaf) -> Result<Pair, PkiError> {
        let pair = self.pair(&leaf.name);
        leaf::ensure(leaf, &pair, &self.authority(leaf.authority), self.now)?;
        Ok(pair)
    }

    /// Private key (`key`) and public key (`certificate`) of service account tokens.
    #[must_use]
    pub fn service_account_key(&self) -> Pair {
        let public = self.folder.join("service-account.pub");
        Pair { certificate: public, key: self.folder.join("service-account.key") }
    }

    fn ensure_service_account_key(&self) -> Result<(), PkiError> {
        let Pair { certificate: public, key: private } = self.service_account_key();
        if public.is_file() && private.is_file() {
            return Ok(());
        }
        let key = new_key("service-account")?;
        write_private(&private, key.serialize_pem().as_bytes())?;
        Ok(write_private(&public, key.public_key_pem().as_bytes())?)
    }

    fn pair(&self, name: &str) -> Pair {
        Pair {
            certificate: self.folder.join(format!("{name}.crt")),
            key: self.folder.join(format!("{name}.key")),
        }
    }
}

fn new_key(name: &str) -> Result<KeyPair, PkiError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        .map_err(|source| PkiError::Crypto { name: name.into(), source })
}

fn read(path: &Path) -> Result<String, PkiError> {
    std::fs::read_to_string(path).map_err(|_| PkiError::Damaged { path: path.into() })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
