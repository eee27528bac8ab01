//! Keys, all derived from one seed.

use std::fmt;

use mlp_model::Secret;
use nkeys::{KeyPair, KeyPairType};
use sha2::{Digest as _, Sha256};

/// Whose key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party<'a> {
    /// The account that sees the servers themselves.
    System,
    /// The account of the platform's services and streams.
    Platform,
    /// A team's account, by the uid of its Team resource: a team made again is another team.
    Team(&'a str),
}

impl fmt::Display for Party<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => formatter.write_str("system"),
            Self::Platform => formatter.write_str("platform"),
            Self::Team(uid) => write!(formatter, "team/{uid}"),
        }
    }
}

/// A seed that is none.
#[derive(Debug, thiserror::Error)]
#[error("the text is no operator seed; it starts with SO and is made by `Keyring::generate`")]
pub struct KeyringError;

/// The operator's key and, derived from it, all others. Keep its seed as the platform's secret.
#[derive(Clone)]
pub struct Keyring {
    root: Secret<[u8; 32]>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Keyring([redacted])")
    }
}

impl Keyring {
    /// A new, random keyring.
    pub fn generate() -> Self {
        Self { root: Secret::new(rand::random()) }
    }

    /// Reads an operator seed (`SO…`).
    ///
    /// # Errors
    /// [`KeyringError`] when the text is none.
    pub fn from_seed(seed: &Secret<String>) -> Result<Self, KeyringError> {
        let pair = KeyPair::from_seed(seed.expose().trim()).map_err(|_| KeyringError)?;
        if pair.key_pair_type() != KeyPairType::Operator {
            return Err(KeyringError);
        }
        let (_, root) = nkeys::decode_seed(seed.expose().trim()).map_err(|_| KeyringError)?;
        Ok(Self { root: Secret::new(root) })
    }

    /// The operator seed, to be stored.
    pub fn seed(&self) -> Secret<String> {
        seed_of(&self.operator())
    }

    pub(super) fn operator(&self) -> KeyPair {
        pair(KeyPairType::Operator, *self.root.expose())
    }

    pub(super) fn account(&self, party: Party<'_>) -> KeyPair {
        self.derive(KeyPairType::Account, &format!("account/{party}"))
    }

    pub(super) fn user(&self, party: Party<'_>, name: &str) -> KeyPair {
        self.derive(KeyPairType::User, &format!("user/{party}/{name}"))
    }

    fn derive(&self, kind: KeyPairType, purpose: &str) -> KeyPair {
        let mut digest = Sha256::new();
        digest.update(b"mlp-nkey/v1/");
        digest.update(self.root.expose());
        digest.update(purpose.as_bytes());
        pair(kind, digest.finalize().into())
    }
}

#[expect(clippy::expect_used, reason = "any 32 bytes are an Ed25519 seed")]
fn pair(kind: KeyPairType, raw: [u8; 32]) -> KeyPair {
    KeyPair::new_from_raw(kind, raw).expect("32 bytes are a seed")
}

#[expect(clippy::expect_used, reason = "pairs here are made from seeds")]
pub(super) fn seed_of(pair: &KeyPair) -> Secret<String> {
    Secret::new(pair.seed().expect("the pair holds its seed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_from_the_seed_and_differ_by_purpose() {
        let keyring = Keyring::generate();
        let again = Keyring::from_seed(&keyring.seed()).unwrap();
        let (ml, data) = (Party::Team("uid-ml"), Party::Team("uid-data"));
        assert_eq!(keyring.account(ml).public_key(), again.account(ml).public_key());
        assert_ne!(keyring.account(ml).public_key(), keyring.account(data).public_key());
        assert_ne!(keyring.account(ml).public_key(), Keyring::generate().account(ml).public_key());
        assert!(keyring.operator().public_key().starts_with('O'));
        assert!(keyring.account(ml).public_key().starts_with('A'));
        assert!(keyring.user(ml, "reader").public_key().starts_with('U'));
        assert_eq!(format!("{keyring:?}"), "Keyring([redacted])");
    }

    #[test]
    fn other_seeds_are_refused() {
        let account = Keyring::generate().account(Party::Platform);
        assert!(Keyring::from_seed(&seed_of(&account)).is_err());
        assert!(Keyring::from_seed(&Secret::new("SOnothing".into())).is_err());
    }
}
