//! `PriceSheet`: what a node's resources cost per hour.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use mlp_model::Outbox;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// Prices of nodes, dated and sourced. The first row that matches a node prices it; a node that no
/// row matches is unpriced, never free.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "mlplatform.dev",
    version = "v1alpha1",
    kind = "PriceSheet",
    plural = "pricesheets",
    shortname = "prices",
    category = "mlp",
    doc = "Hourly prices of nodes by instance type or label, in decimal US dollars.",
    status = "PriceSheetStatus",
    derive = "PartialEq",
    printcolumn(name = "Source", type_ = "string", json_path = ".spec.source"),
    printcolumn(name = "Valid from", type_ = "string", json_path = ".spec.validFrom"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Unpriced", type_ = "integer", json_path = ".status.unpricedNodes"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct PriceSheetSpec {
    /// Where the prices come from; a price without a source is refused.
    #[schemars(length(min = 1, max = 300))]
    pub source: String,
    /// From when they hold, RFC 3339. Of two sheets that match a node the later one counts.
    #[schemars(extend("format" = "date-time"), length(max = 40))]
    pub valid_from: String,
    /// Rows, the first match counts.
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_string()]))]
    pub nodes: Vec<NodePrice>,
}

/// Hourly prices of one sort of node, in decimal US dollars with at most nine decimals.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.instanceTypes) || has(self.matchLabels) || (has(self.anyNode) && self.anyNode)")
    .message("spec.nodes[]: say which nodes by instanceTypes, matchLabels or anyNode: true"))]
pub struct NodePrice {
    /// The row's name, unique in the sheet.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Nodes whose label `node.kubernetes.io/instance-type` is one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    pub instance_types: Vec<String>,
    /// Nodes that have all of these labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16))]
    pub match_labels: BTreeMap<String, String>,
    /// Every node; for the last row.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_node: bool,
    /// One core for one hour.
    #[schemars(length(min = 1, max = 20), regex(pattern = "^[0-9]{1,9}(\\.[0-9]{1,9})?$"))]
    pub cpu_core_hour: String,
    /// One GiB of memory for one hour.
    #[schemars(length(min = 1, max = 20), regex(pattern = "^[0-9]{1,9}(\\.[0-9]{1,9})?$"))]
    pub memory_gib_hour: String,
    /// One GPU for one hour. Left out: a GPU on such a node is unpriced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20), regex(pattern = "^[0-9]{1,9}(\\.[0-9]{1,9})?$"))]
    pub gpu_hour: Option<String>,
}

/// What the platform says about a sheet.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PriceSheetStatus {
    /// `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Nodes that the sheet prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priced_nodes: Option<u32>,
    /// Nodes that no sheet prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpriced_nodes: Option<u32>,
    /// Facts recorded and not yet published.
    #[serde(default)]
    pub outbox: Outbox,
}
