//! `Cache`: an in-memory store that a team asks for; and what the statuses of both stores share.

use kube::{CustomResource, KubeSchema};
use mlp_model::Outbox;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::database::{InstanceClass, InstanceResources};

/// What a team asks for. Where it runs (a pod or ElastiCache) follows from the environment alone.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "mlplatform.dev",
    version = "v1alpha1",
    kind = "Cache",
    plural = "caches",
    shortname = "mc",
    category = "mlp",
    namespaced,
    doc = "An in-memory store in a team's namespace; its connection is a Secret by the Service Binding specification.",
    status = "CacheStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([a-z0-9-]*[a-z0-9])?$')")
        .message("metadata.name: use at most 40 lower-case letters, digits and inner hyphens, starting with a letter"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Engine", type_ = "string", json_path = ".spec.engine"),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Provider", type_ = "string", json_path = ".status.provider", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.class) || !has(self.resources)")
    .message("spec: set class or resources, not both"))]
#[x_kube(validation = Rule::new("!self.highAvailability || self.replicas >= 1")
    .message("spec.highAvailability needs at least one replica; set spec.replicas"))]
pub struct CacheSpec {
    /// The engine; it does not change.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.engine does not change; make a new Cache"))]
    pub engine: CacheEngine,
    /// Version, major or major.minor, for example `7` or `7.2`. It does not go down. Default: 7.
    #[serde(default = "default_version")]
    #[schemars(length(max = 10), regex(pattern = "^[0-9]{1,2}(\\.[0-9]{1,3})?$"))]
    #[x_kube(validation = Rule::new("int(self.split('.')[0]) >= int(oldSelf.split('.')[0])").message("spec.version does not go down; make a new Cache"))]
    pub version: String,
    /// Size by name. Default: small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<InstanceClass>,
    /// Size by numbers, in place of `class`; in AWS the smallest node type that holds them is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<InstanceResources>,
    /// Read replicas beside the primary, 0 to 5. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 5))]
    pub replicas: u32,
    /// Automatic failover to a replica. Default: false.
    #[serde(default)]
    pub high_availability: bool,
    /// Days that snapshots are kept, 0 (none) to 35. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 35))]
    pub snapshot_retention_days: u32,
    /// Whether deletion is refused while this is true. Default: false.
    #[serde(default)]
    pub deletion_protection: bool,
    /// What becomes of the data when the Cache is deleted. Default: Retain.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// What becomes of data when its request is deleted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// Volume or final snapshot and the Secret stay; the same request made anew finds them.
    #[default]
    Retain,
    /// Everything goes.
    Delete,
}

/// An in-memory engine.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum CacheEngine {
    /// Redis.
    #[default]
    Redis,
    /// Valkey.
    Valkey,
}

impl CacheEngine {
    /// The engine as written in the spec.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valkey => "valkey",
            Self::Redis => "redis",
        }
    }
}

fn default_version() -> String {
    "7".to_owned()
}

/// Where a store is in its life.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Accepted; nothing was made yet.
    #[default]
    Pending,
    /// Being made.
    Creating,
    /// Accepts connections, and is as asked for.
    Ready,
    /// Accepts connections, and is being changed to what is asked for.
    Updating,
    /// Cannot go on without a change; the `Ready` condition says why.
    Failed,
    /// Being deleted.
    Deleting,
}

/// Where a store listens.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// DNS name.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// The Service Binding specification's pointer to a Secret.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// Name of the Secret.
    pub name: String,
}

/// What the platform says about a cache.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CacheStatus {
    /// `Ready`, `Simulated` and others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it is in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Who runs it: `kubernetes` or `aws`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The provider's own name for it, for example the replication group's identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Where it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// The Secret with the connection, in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// The Service Binding specification's pointer to the same Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// Version that runs, as the engine says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_version: Option<String>,
    /// Facts recorded and not yet published.
    #[serde(default)]
    pub outbox: Outbox,
}
