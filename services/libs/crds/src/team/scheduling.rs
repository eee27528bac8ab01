//! Where a team's pods run.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nodes of a team.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SchedulingSpec {
    /// Node pools (label `mlplatform.dev/pool`) that pods stay in. Default: any node without a taint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        inner(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))
    )]
    pub node_pools: Vec<String>,
    /// Node labels that pods select by default. With pools and nothing here: the first pool.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that pods tolerate by default, exactly as written; no pod may tolerate others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub tolerations: Vec<TaintToleration>,
    /// Nodes with devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuSpec>,
}

/// How pods that ask for devices reach them.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GpuSpec {
    /// Whether the team may use the devices that its quota counts. Default: Granted.
    #[serde(default)]
    pub access: GpuAccess,
    /// Node labels that pods with devices select by default, in place of the team's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of the nodes with devices, tolerated by pods that ask for one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub tolerations: Vec<TaintToleration>,
}

/// Whether devices are open.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GpuAccess {
    /// Those that the quota counts.
    #[default]
    Granted,
    /// None, whatever the quota says.
    Denied,
}

/// A taint that is tolerated: this key with this value and effect.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TaintToleration {
    /// The taint's key.
    #[schemars(length(min = 1, max = 317), regex(pattern = "^[A-Za-z0-9]([A-Za-z0-9_./-]*[A-Za-z0-9])?$"))]
    pub key: String,
    /// The taint's value.
    #[serde(default)]
    #[schemars(length(max = 63), regex(pattern = "^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$"))]
    pub value: String,
    /// The taint's effect. Default: NoSchedule.
    #[serde(default)]
    pub effect: TaintEffect,
}

/// Effect of a taint.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaintEffect {
    /// Pods are not placed.
    #[default]
    NoSchedule,
    /// Pods are rather not placed.
    PreferNoSchedule,
    /// Pods are not placed, and running ones go.
    NoExecute,
}

impl TaintToleration {
    /// `key=value:Effect`, as kubectl writes taints.
    pub fn written(&self) -> String {
        format!("{}={}:{:?}", self.key, self.value, self.effect)
    }
}
