//! `ApplicationRecord`: what gitops-sync last stated about an Argo CD `Application`, with the outbox
//! that the Application, not being ours, cannot carry.

use kube::{CustomResource, KubeSchema};
use mlp_model::Outbox;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// Which Application a record is of. It lives beside the Application; its name is the
/// Application's uid, so that an Application made anew gets a record of its own.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "mlplatform.dev",
    version = "v1alpha1",
    kind = "ApplicationRecord",
    plural = "applicationrecords",
    shortname = "apprec",
    category = "mlp",
    namespaced,
    doc = "What gitops-sync last stated about an Application; keyed by its uid.",
    status = "ApplicationRecordStatus",
    derive = "PartialEq",
    printcolumn(name = "Application", type_ = "string", json_path = ".spec.name"),
    printcolumn(name = "Sync", type_ = "string", json_path = ".status.sync"),
    printcolumn(name = "Revision", type_ = "string", json_path = ".status.revision"),
    printcolumn(name = "Health", type_ = "string", json_path = ".status.health"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("spec of an ApplicationRecord does not change"))]
pub struct ApplicationRecordSpec {
    /// Name of the Application.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// uid of the Application; also the record's name.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
}

/// What was last stated.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationRecordStatus {
    /// `Published`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
    /// Generation of the Application that the last statement speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Last stated sync status: Synced, OutOfSync or Unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<String>,
    /// Last stated phase of an operation: Succeeded, Failed, Error or Running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Digest of the operation that was last stated to have synced: it is not stated again where the end of it has to be
    /// written once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_by: Option<String>,
    /// Git revision of the last statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Digest of what git wanted when it was last stated to be in sync: a commit that changes nothing of it is no news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Digest of what git was last stated to want, in sync or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// Since when what is live is another than was synced, RFC 3339; absent where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drifted_since: Option<String>,
    /// Last stated health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// Hash of the failure last stated; the same failure is stated once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Facts recorded and not yet published.
    #[serde(default)]
    pub outbox: Outbox,
}
