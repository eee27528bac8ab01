//! `Database`: a relational database that a team asks for.

use kube::{CustomResource, KubeSchema};
use mlp_model::Outbox;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cache::{Endpoint, Phase};
use crate::{Amount, Condition};

/// What a team asks for. Where it runs (a pod or RDS) follows from the environment alone.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "mlplatform.dev",
    version = "v1alpha1",
    kind = "Database",
    plural = "databases",
    shortname = "db",
    category = "mlp",
    namespaced,
    doc = "A relational database in a team's namespace; its connection is a Secret by the Service Binding specification.",
    status = "DatabaseStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([a-z0-9-]*[a-z0-9])?$')")
        .message("metadata.name: use at most 40 lower-case letters, digits and inner hyphens, starting with a letter"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Engine", type_ = "string", json_path = ".spec.engine"),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Storage", type_ = "string", json_path = ".spec.storage"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Provider", type_ = "string", json_path = ".status.provider", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.class) || !has(self.resources)")
    .message("spec: set class or resources, not both"))]
pub struct DatabaseSpec {
    /// The engine; it does not change.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.engine does not change; make a new Database"))]
    pub engine: DatabaseEngine,
    /// Version, major or major.minor, for example `15` or `15.8`. It does not go down. Default: 15.
    #[serde(default = "default_version")]
    #[schemars(length(max = 10), regex(pattern = "^[0-9]{1,2}(\\.[0-9]{1,3})?$"))]
    #[x_kube(validation = Rule::new("int(self.split('.')[0]) >= int(oldSelf.split('.')[0])").message("spec.version does not go down; restore a backup into a new Database"))]
    pub version: String,
    /// Size by name. Default: small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<InstanceClass>,
    /// Size by numbers, in place of `class`; in AWS the smallest class that holds them is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<InstanceResources>,
    /// Storage, in bytes. A floor: it grows, and never shrinks.
    #[serde(default = "default_storage")]
    #[x_kube(validation = Rule::new("quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0").message("spec.storage does not shrink; make a new Database"))]
    #[x_kube(validation = Rule::new("quantity(string(self)).compareTo(quantity('1Gi')) >= 0").message("spec.storage must be at least 1Gi"))]
    pub storage: Amount,
    /// Name of the database in the server; it does not change.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z][a-z0-9_]*$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.databaseName does not change; make a new Database"))]
    #[x_kube(validation = Rule::new("!(self in ['postgres', 'template0', 'template1', 'rdsadmin'])").message("spec.databaseName is reserved by the engine; choose another"))]
    pub database_name: String,
    /// Name of the owner; it does not change. Default: `app`.
    #[serde(default = "default_username")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z][a-z0-9_]*$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.username does not change; make a new Database"))]
    #[x_kube(validation = Rule::new("!(self in ['admin', 'postgres', 'public', 'none', 'rdsadmin', 'rds_superuser', 'rdsrepladmin', 'user']) && !self.startsWith('pg_')").message("spec.username is reserved by the engine or by RDS; choose another"))]
    pub username: String,
    /// A standby in another zone. Default: false.
    #[serde(default)]
    pub high_availability: bool,
    /// Backups.
    #[serde(default)]
    pub backup: Backup,
    /// Whether deletion is refused while this is true. Default: false.
    #[serde(default)]
    pub deletion_protection: bool,
    /// What becomes of the data when the Database is deleted. Default: Retain.
    #[serde(default)]
    pub deletion_policy: crate::cache::DeletionPolicy,
}

/// A relational engine.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseEngine {
    /// PostgreSQL.
    #[default]
    Postgres,
}

impl DatabaseEngine {
    /// The engine as written in the spec.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
        }
    }
}

/// A size by name.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum InstanceClass {
    /// 1 core, 1 GiB; `db.t3.micro`, `cache.t3.micro`.
    #[default]
    Small,
    /// 2 cores, 2 GiB; `db.t3.small`, `cache.t3.small`.
    Medium,
    /// 2 cores, 16 GiB; `db.r6g.large`, `cache.r6g.large`.
    Large,
}

/// A size by numbers.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct InstanceResources {
    /// CPU, in cores.
    #[x_kube(validation = Rule::new("quantity(string(self)).compareTo(quantity('0')) > 0").message("resources.cpu must be more than zero"))]
    pub cpu: Amount,
    /// Memory, in bytes.
    #[x_kube(validation = Rule::new("quantity(string(self)).compareTo(quantity('0')) > 0").message("resources.memory must be more than zero"))]
    pub memory: Amount,
}

/// Backups of a database.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// Days that backups are kept, 1 to 35. Default: 7.
    #[serde(default = "default_retention")]
    #[schemars(range(min = 1, max = 35))]
    pub retention_days: u32,
}

impl Default for Backup {
    fn default() -> Self {
        Self { retention_days: default_retention() }
    }
}

fn default_version() -> String {
    "15".to_owned()
}

fn default_storage() -> Amount {
    Amount::new("20Gi")
}

fn default_username() -> String {
    "app".to_owned()
}

const fn default_retention() -> u32 {
    7
}

/// What the platform says about a database.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseStatus {
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
    /// The provider's own name for it, for example the RDS instance identifier.
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
    pub binding: Option<crate::cache::Binding>,
    /// Version that runs, as the engine says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_version: Option<String>,
    /// Facts recorded and not yet published.
    #[serde(default)]
    pub outbox: Outbox,
}
