//! `PolicyExemption`: a rule before a sync that is lifted for some Applications, for a time, by somebody, for a reason.

use kube::{CustomResource, KubeSchema};
use mlp_model::Outbox;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// A time-boxed exemption from rules that gitops-sync holds manifests against before it applies them.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[kube(
    group = "mlplatform.dev",
    version = "v1alpha1",
    kind = "PolicyExemption",
    plural = "policyexemptions",
    shortname = "pex",
    category = "mlp",
    doc = "Rules before a sync that are lifted for Applications until a moment, with who approved it and why.",
    status = "PolicyExemptionStatus",
    derive = "PartialEq",
    printcolumn(name = "Namespace", type_ = "string", json_path = ".spec.namespace"),
    printcolumn(name = "Rules", type_ = "string", json_path = ".spec.rules"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expires"),
    printcolumn(
        name = "Active",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Ticket", type_ = "string", json_path = ".spec.ticket", priority = "1")
)]
#[serde(rename_all = "camelCase")]
pub struct PolicyExemptionSpec {
    /// Namespace of the Applications.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Names of the Applications. Default: all of the namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 253)))]
    pub applications: Vec<String>,
    /// The rules, by the name that a finding starts with: `clear-text-secret`.
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 1, max = 40), regex(pattern = "^[a-z]([a-z-]*[a-z])?$"))
    )]
    pub rules: Vec<String>,
    /// Until when syncs may begin so, RFC 3339 in UTC: `2027-01-31T00:00:00Z`.
    #[schemars(length(min = 20, max = 30))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$')")
        .message("spec.expires: write a moment in UTC, for example 2027-01-31T00:00:00Z"))]
    pub expires: String,
    /// Why.
    #[schemars(length(min = 10, max = 1000))]
    pub reason: String,
    /// Who answers for it.
    #[schemars(length(min = 1, max = 200))]
    pub approved_by: String,
    /// Where it is written down.
    #[schemars(length(min = 1, max = 200))]
    pub ticket: String,
}

/// What the platform says about an exemption.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyExemptionStatus {
    /// `Ready`: whether it lifts what it names.
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
