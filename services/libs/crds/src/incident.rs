//! `Incident`: something is wrong, since when, and what is known about it.

use kube::{CustomResource, KubeSchema};
use mlp_model::Outbox;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// What an incident is about; written once, when health-monitor opens it. Cluster-scoped, so that
/// it outlives the namespace it speaks of; its team is in the spec and in the team label.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "mlplatform.dev",
    version = "v1alpha1",
    kind = "Incident",
    plural = "incidents",
    shortname = "inc",
    category = "mlp",
    doc = "Something is wrong: since when, with what, and what is known about its cause.",
    status = "IncidentStatus",
    derive = "PartialEq",
    printcolumn(name = "Team", type_ = "string", json_path = ".spec.team"),
    printcolumn(name = "Severity", type_ = "string", json_path = ".spec.severity"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.resource.kind"),
    printcolumn(name = "Name", type_ = "string", json_path = ".spec.resource.name"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Opened", type_ = "date", json_path = ".status.openedAt"),
    printcolumn(name = "Closed", type_ = "date", json_path = ".status.closedAt", priority = "1")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("spec of an Incident does not change; what is learnt later goes to its status"))]
pub struct IncidentSpec {
    /// The team concerned, or `_platform`.
    #[schemars(length(min = 1, max = 63))]
    pub team: String,
    /// The resource that is not healthy.
    pub resource: ResourceRef,
    /// How bad it is.
    pub severity: Severity,
    /// One line for people.
    #[schemars(length(min = 1, max = 300))]
    pub title: String,
    /// What makes two observations the same incident; open incidents have different ones.
    #[schemars(length(min = 1, max = 128))]
    pub fingerprint: String,
}

/// A resource of any kind.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRef {
    /// API group; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub group: String,
    /// API version.
    #[schemars(length(min = 1, max = 63))]
    pub version: String,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Namespace; empty for cluster-scoped kinds.
    #[serde(default)]
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// uid of the object that was seen.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub uid: String,
}

/// How bad an incident is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Look soon.
    #[default]
    Warning,
    /// Look now.
    Critical,
}

/// Where an incident is in its life.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncidentState {
    /// The resource is not healthy.
    #[default]
    Open,
    /// The resource is healthy again, or gone.
    Closed,
}

/// What is known about an incident.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IncidentStatus {
    /// `Resolved`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it is in its life.
    #[serde(default)]
    pub state: IncidentState,
    /// First evidence, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub opened_at: Option<String>,
    /// Recovery, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub closed_at: Option<String>,
    /// Machine-readable reason of the last observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last observation in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The resource that causes it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_cause: Option<ResourceRef>,
    /// What the cause rests on, or that none is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub evidence: Vec<String>,
    /// Facts recorded and not yet published.
    #[serde(default)]
    pub outbox: Outbox,
}
