//! A request for a store, validated and free of Kubernetes.

use mlp_crds::cache::CacheEngine;
use mlp_crds::database::{DatabaseEngine, InstanceClass};
use mlp_model::Environment;

/// What a team asks for, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Namespace of the resource.
    pub namespace: String,
    /// Name of the resource.
    pub name: String,
    /// uid of the resource: the one identity that a re-creation does not share.
    pub uid: String,
    /// The team that owns the namespace.
    pub team: String,
    /// The cost centre that pays.
    pub cost_center: String,
    /// The environment of this platform.
    pub environment: Environment,
    /// Whether the store is to exist.
    pub intent: Intent,
    /// How large it is.
    pub size: Size,
    /// Whether deletion is refused.
    pub deletion_protection: bool,
    /// What it is.
    pub store: Store,
}

/// Whether a store is to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// It is to exist as described.
    Present,
    /// Its resource is being deleted.
    Absent,
}

/// A size, by name or by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// By name.
    Class(InstanceClass),
    /// By numbers: the smallest that holds both.
    Numbers {
        /// CPU, in thousandths of a core.
        cpu_millis: u64,
        /// Memory, in bytes.
        memory_bytes: u64,
    },
}

/// The kind of store and what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// A relational database.
    Database(DatabaseRequest),
    /// An in-memory store.
    Cache(CacheRequest),
}

/// What only a database has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseRequest {
    /// The engine.
    pub engine: DatabaseEngine,
    /// Version, major or major.minor.
    pub version: String,
    /// Storage, in bytes; a floor.
    pub storage_bytes: u64,
    /// Name of the database in the server.
    pub database_name: String,
    /// Name of its owner.
    pub username: String,
    /// A standby in another zone.
    pub high_availability: bool,
    /// Days that backups are kept.
    pub backup_retention_days: u32,
}

/// What only a cache has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRequest {
    /// The engine.
    pub engine: CacheEngine,
    /// Version, major or major.minor.
    pub version: String,
    /// Read replicas beside the primary.
    pub replicas: u32,
    /// Automatic failover to a replica.
    pub high_availability: bool,
    /// Days that snapshots are kept; 0 is none.
    pub snapshot_retention_days: u32,
}
