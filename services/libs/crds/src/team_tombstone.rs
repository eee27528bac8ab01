//! `TeamTombstone`: what stays of a team that has gone, so that nobody inherits its names.

use kube::{CustomResource, KubeSchema};
use mlp_model::Outbox;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// The names of a team that has gone. Until they are free no other team gets them: what outlived the team
/// elsewhere (dashboards, buckets, rights at the identity provider) would become the next one's. Written by
/// team-isolation; deleting it frees the names at once.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[kube(
    group = "mlplatform.dev",
    version = "v1alpha1",
    kind = "TeamTombstone",
    plural = "teamtombstones",
    shortname = "tomb",
    category = "mlp",
    doc = "The names of a team that has gone, kept from others until a moment.",
    status = "TeamTombstoneStatus",
    derive = "PartialEq",
    printcolumn(name = "Namespaces", type_ = "string", json_path = ".spec.namespaces"),
    printcolumn(name = "Removed", type_ = "string", json_path = ".spec.removed"),
    printcolumn(name = "Reserved until", type_ = "string", json_path = ".spec.reservedUntil"),
    printcolumn(name = "Cost centre", type_ = "string", json_path = ".spec.costCenter", priority = "1")
)]
#[serde(rename_all = "camelCase")]
pub struct TeamTombstoneSpec {
    /// uid of the Team that had the name.
    #[schemars(length(min = 1, max = 64))]
    pub team_uid: String,
    /// Who paid.
    #[serde(default)]
    #[schemars(length(max = 63))]
    pub cost_center: String,
    /// The namespaces that it had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub namespaces: Vec<String>,
    /// When it went, RFC 3339 in UTC.
    #[schemars(length(min = 20, max = 35))]
    pub removed: String,
    /// Until when nobody else gets the names, RFC 3339 in UTC.
    #[schemars(length(min = 20, max = 35))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$')")
        .message("spec.reservedUntil: write a moment in UTC, for example 2027-01-31T00:00:00Z"))]
    pub reserved_until: String,
}

/// What the platform says about a tombstone.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TeamTombstoneStatus {
    /// `Ready`: whether the names are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Facts recorded and not yet published.
    #[serde(default)]
    pub outbox: Outbox,
}
