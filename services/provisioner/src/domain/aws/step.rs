//! One call to AWS that changes something. A step prints itself and holds no secret.

use std::fmt;

use super::names::Tags;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `rds:CreateDBInstance`.
    CreateDatabase(CreateDatabase),
    /// `rds:ModifyDBInstance`.
    ModifyDatabase {
        /// Instance identifier.
        id: String,
        /// What becomes different.
        change: DatabaseChange,
        /// When.
        at: When,
    },
    /// `rds:DeleteDBInstance`.
    DeleteDatabase {
        /// Instance identifier.
        id: String,
        /// Whether its content is kept as a snapshot; false only where AWS cannot take one.
        keep: bool,
    },
    /// `rds:AddTagsToResource`.
    TagDatabase {
        /// Amazon resource name.
        arn: String,
        /// What to add or set.
        tags: Tags,
    },
    /// `elasticache:CreateReplicationGroup`.
    CreateCache(CreateCache),
    /// `elasticache:ModifyReplicationGroup`.
    ModifyCache {
        /// Replication group identifier.
        id: String,
        /// What becomes different.
        change: CacheChange,
        /// When.
        at: When,
    },
    /// `elasticache:IncreaseReplicaCount`.
    AddReplicas {
        /// Replication group identifier.
        id: String,
        /// How many there are afterwards.
        to: u32,
    },
    /// `elasticache:DecreaseReplicaCount`.
    RemoveReplicas {
        /// Replication group identifier.
        id: String,
        /// How many there are afterwards.
        to: u32,
    },
    /// `elasticache:DeleteReplicationGroup`.
    DeleteCache {
        /// Replication group identifier.
        id: String,
        /// Whether its content is kept as a snapshot.
        keep: bool,
    },
    /// `elasticache:AddTagsToResource`.
    TagCache {
        /// Amazon resource name.
        arn: String,
        /// What to add or set.
        tags: Tags,
    },
}

/// When a change takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At once, with the interruption that it brings.
    Now,
    /// In the maintenance window.
    Window,
}

/// A database to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateDatabase {
    /// Instance identifier.
    pub id: String,
    /// Instance class.
    pub class: String,
    /// Engine.
    pub engine: &'static str,
    /// Engine version, major or major.minor.
    pub version: String,
    /// Storage, in GiB.
    pub storage_gib: u64,
    /// Up to where RDS grows it by itself, in GiB.
    pub max_storage_gib: u64,
    /// Name of the database in the server.
    pub database_name: String,
    /// Its owner.
    pub username: String,
    /// A standby in another zone.
    pub high_availability: bool,
    /// Days that backups are kept.
    pub retention_days: u32,
    /// Whether AWS refuses to delete it.
    pub deletion_protection: bool,
    /// Tags.
    pub tags: Tags,
}

/// What becomes different in a database; none stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseChange {
    /// Instance class.
    pub class: Option<String>,
    /// Engine version.
    pub version: Option<String>,
    /// Whether that is a new major version.
    pub major_upgrade: bool,
    /// Storage, in GiB.
    pub storage_gib: Option<u64>,
    /// Up to where RDS grows it by itself, in GiB.
    pub max_storage_gib: Option<u64>,
    /// Standby.
    pub high_availability: Option<bool>,
    /// Days that backups are kept.
    pub retention_days: Option<u32>,
    /// Deletion protection.
    pub deletion_protection: Option<bool>,
}

/// A cache to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateCache {
    /// Replication group identifier.
    pub id: String,
    /// Node type.
    pub class: String,
    /// Engine.
    pub engine: &'static str,
    /// Engine version, major.minor.
    pub version: String,
    /// Members beside the primary.
    pub replicas: u32,
    /// Automatic failover, over zones.
    pub high_availability: bool,
    /// Days that snapshots are kept; 0 is none.
    pub retention_days: u32,
    /// Tags.
    pub tags: Tags,
}

/// What becomes different in a cache; none stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheChange {
    /// Node type.
    pub class: Option<String>,
    /// Engine version.
    pub version: Option<String>,
    /// Automatic failover, over zones.
    pub high_availability: Option<bool>,
    /// Days that snapshots are kept.
    pub retention_days: Option<u32>,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateDatabase(create) => write!(
                formatter,
                "create RDS instance {} ({}, {} {}, {} GiB)",
                create.id, create.class, create.engine, create.version, create.storage_gib
            ),
            Self::ModifyDatabase { id, change, at } => {
                write!(formatter, "modify RDS instance {id} {at}: {change}")
            }
            Self::DeleteDatabase { id, keep: true } => {
                write!(formatter, "delete RDS instance {id}, keeping a final snapshot")
            }
            Self::DeleteDatabase { id, keep: false } => {
                write!(formatter, "delete RDS instance {id}, keeping no snapshot")
            }
            Self::CreateCache(create) => write!(
                formatter,
                "create ElastiCache group {} ({}, {} {}, {} replicas)",
                create.id, create.class, create.engine, create.version, create.replicas
            ),
            Self::ModifyCache { id, change, at } => {
                write!(formatter, "modify ElastiCache group {id} {at}: {change}")
            }
            Self::AddReplicas { id, to } => {
                write!(formatter, "add replicas to ElastiCache group {id}, up to {to}")
            }
            Self::RemoveReplicas { id, to } => {
                write!(formatter, "remove replicas from ElastiCache group {id}, down to {to}")
            }
            Self::DeleteCache { id, keep: true } => {
                write!(formatter, "delete ElastiCache group {id}, keeping a final snapshot")
            }
            Self::DeleteCache { id, keep: false } => {
                write!(formatter, "delete ElastiCache group {id}")
            }
            Self::TagDatabase { arn, tags } | Self::TagCache { arn, tags } => {
                let keys: Vec<&str> = tags.keys().map(String::as_str).collect();
                write!(formatter, "tag {arn}: {}", keys.join(", "))
            }
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Now => "now",
            Self::Window => "in the maintenance window",
        })
    }
}

impl fmt::Display for DatabaseChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            self.class.as_ref().map(|class| format!("class {class}")),
            self.version.as_ref().map(|version| format!("version {version}")),
            self.storage_gib.map(|gib| format!("storage {gib} GiB")),
            self.max_storage_gib.map(|gib| format!("storage limit {gib} GiB")),
            self.high_availability.map(|wanted| format!("standby {}", on_off(wanted))),
            self.retention_days.map(|days| format!("backups kept {days} days")),
            self.deletion_protection.map(|wanted| format!("deletion protection {}", on_off(wanted))),
        ];
        formatter.write_str(&join(words))
    }
}

impl fmt::Display for CacheChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            self.class.as_ref().map(|class| format!("node type {class}")),
            self.version.as_ref().map(|version| format!("version {version}")),
            self.high_availability.map(|wanted| format!("failover {}", on_off(wanted))),
            self.retention_days.map(|days| format!("snapshots kept {days} days")),
        ];
        formatter.write_str(&join(words))
    }
}

fn join<const N: usize>(words: [Option<String>; N]) -> String {
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

const fn on_off(wanted: bool) -> &'static str {
    if wanted { "on" } else { "off" }
}
