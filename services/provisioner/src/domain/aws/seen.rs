//! What exists in AWS under a request's identifier.

use super::names::{OWNER_TAG, Tags};
use crate::domain::binding::Address;

/// What one look at AWS found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// What has the identifier, whoever owns it.
    pub seen: Option<Seen>,
    /// The final snapshot; looked for only where nothing has the identifier.
    pub snapshot: Option<String>,
}

/// One RDS instance or one ElastiCache replication group, as AWS describes it now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// AWS' word for where it is, for example `available`.
    pub status: String,
    /// Its Amazon resource name.
    pub arn: String,
    /// Where it listens, once it does.
    pub address: Option<Address>,
    /// The engine's version; none where AWS did not say.
    pub version: Option<String>,
    /// Instance class or node type, for example `db.t3.micro`.
    pub class: String,
    /// Allocated storage, in GiB; 0 for a cache.
    pub storage_gib: u64,
    /// Up to where RDS grows the storage by itself, in GiB; 0 where it does not.
    pub max_storage_gib: u64,
    /// Members beside the primary; 0 for a database.
    pub replicas: u32,
    /// A standby in another zone, or automatic failover.
    pub high_availability: bool,
    /// Days that backups or snapshots are kept.
    pub retention_days: u32,
    /// Whether AWS refuses to delete it; always false for a cache.
    pub deletion_protection: bool,
    /// All its tags; none where AWS tells none of what it is still making or changing.
    pub tags: Option<Tags>,
    /// What AWS has accepted and not yet applied.
    pub pending: Pending,
}

/// Changes that AWS holds for the maintenance window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Instance class or node type.
    pub class: Option<String>,
    /// Storage, in GiB.
    pub storage_gib: Option<u64>,
    /// Engine version.
    pub version: Option<String>,
    /// Standby or failover.
    pub high_availability: Option<bool>,
    /// Days that backups are kept.
    pub retention_days: Option<u32>,
    /// Whether anything else is pending, which we never ask for.
    pub other: bool,
}

impl Seen {
    /// Whether it carries the uid of the resource that asks. What tells no tags yet is taken for its
    /// own: its identifier was made from that uid.
    pub fn is_owned_by(&self, uid: &str) -> bool {
        self.tags.as_ref().is_none_or(|tags| tags.get(OWNER_TAG).is_some_and(|owner| owner == uid))
    }

    /// The tags of `wanted` that are missing or differ; tags of others are left alone.
    pub fn missing_tags(&self, wanted: &Tags) -> Tags {
        let Some(tags) = &self.tags else { return Tags::new() };
        let differs = |key: &String, value: &String| tags.get(key) != Some(value);
        wanted
            .iter()
            .filter(|(key, value)| differs(key, value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

impl Pending {
    /// Whether AWS holds anything at all.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}
