//! `HealthRecord`: the last stated health of a team's resources, with the outbox for those that
//! are not ours and cannot carry one.

use kube::{CustomResource, KubeSchema};
use mlp_model::Outbox;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::incident::ResourceRef;

/// Which team a record is of; its name is the team's. Cluster-scoped, written by health-monitor.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "mlplatform.dev",
    version = "v1alpha1",
    kind = "HealthRecord",
    plural = "healthrecords",
    shortname = "health",
    category = "mlp",
    doc = "The last stated health of a team's resources; written by health-monitor.",
    status = "HealthRecordStatus",
    derive = "PartialEq",
    printcolumn(name = "Health", type_ = "string", json_path = ".status.health"),
    printcolumn(name = "Healthy", type_ = "integer", json_path = ".status.healthy"),
    printcolumn(name = "Not healthy", type_ = "integer", json_path = ".status.notHealthy"),
    printcolumn(name = "Decided by", type_ = "string", json_path = ".status.decidedBy.name"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct HealthRecordSpec {
    /// The team, or `_platform`.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.team does not change"))]
    pub team: String,
}

/// Health, the worst last. Unknown is worse than Degraded: nobody can tell.
#[derive(
    Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum Health {
    /// As it should be, by a rule that knows the kind.
    Healthy,
    /// Stopped on purpose.
    Suspended,
    /// On its way.
    Progressing,
    /// Wanted, and not there.
    Missing,
    /// Broken.
    Degraded,
    /// Unknown kind, stale or absent status, or controller down.
    #[default]
    Unknown,
}

impl Health {
    /// The word used in status and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Suspended => "Suspended",
            Self::Progressing => "Progressing",
            Self::Missing => "Missing",
            Self::Degraded => "Degraded",
            Self::Unknown => "Unknown",
        }
    }
}

/// The last stated health of one resource.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceHealth {
    /// The resource.
    pub resource: ResourceRef,
    /// Its health.
    pub health: Health,
    /// Machine-readable reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Reason in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Since when, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub since: Option<String>,
    /// Whether a simulated node runs it, so that nothing does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub simulated: bool,
}

/// The last stated health of a team.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HealthRecordStatus {
    /// `Healthy`, `Simulated`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The team's health: the worst of its resources, Unknown where none is known.
    #[serde(default)]
    pub health: Health,
    /// The resource that decided it, where one is not healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<ResourceRef>,
    /// Resources that are healthy.
    #[serde(default)]
    pub healthy: u32,
    /// Resources that are not.
    #[serde(default)]
    pub not_healthy: u32,
    /// The last stated health by resource, at most 512.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub resources: Vec<ResourceHealth>,
    /// Facts recorded and not yet published.
    #[serde(default)]
    pub outbox: Outbox,
}
