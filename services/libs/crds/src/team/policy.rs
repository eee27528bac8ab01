//! What the API server admits into a team's namespaces.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lists that admission compares with. A list that is left out follows the default beside it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PolicySpec {
    /// Whether the rules of the environment's tier refuse, or only record. What holds teams apart is
    /// enforced either way. Default: Enforce.
    #[serde(default)]
    pub mode: PolicyMode,
    /// Registries that images may come from, with or without a path: `ghcr.io/acme`.
    /// Default: docker.io, gcr.io, quay.io, ghcr.io, registry.k8s.io.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(length(min = 1, max = 200), regex(pattern = "^[a-z0-9][a-z0-9.:/_-]*[a-z0-9]$"))
    )]
    pub registries: Vec<String>,
    /// RuntimeClasses that pods may name. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253), regex(pattern = "^[a-z0-9.-]+$")))]
    pub runtime_classes: Vec<String>,
    /// PriorityClasses that pods may name beside `workload-default`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_string()]))]
    pub priority_classes: Vec<PriorityAllowance>,
    /// StorageClasses that claims may name. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253), regex(pattern = "^[a-z0-9.-]+$")))]
    pub storage_classes: Vec<String>,
    /// VolumeAttributesClasses that claims may name. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253), regex(pattern = "^[a-z0-9.-]+$")))]
    pub volume_attributes_classes: Vec<String>,
    /// VolumeSnapshotClasses that snapshots may name. Default: only the cluster's default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253), regex(pattern = "^[a-z0-9.-]+$")))]
    pub snapshot_classes: Vec<String>,
    /// CSI drivers that pods may use inline. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253), regex(pattern = "^[a-z0-9.-]+$")))]
    pub csi_drivers: Vec<String>,
    /// Types of Services beside ClusterIP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub service_types: Vec<ServiceType>,
    /// ClusterRoles that the team's admins may bind in their namespaces. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253), regex(pattern = "^[A-Za-z0-9.:_-]+$")))]
    pub cluster_roles: Vec<String>,
    /// Schedulers that pods may name beside `default-scheduler`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(min = 1, max = 253), regex(pattern = "^[a-z0-9.-]+$")))]
    pub schedulers: Vec<String>,
    /// Kueue LocalQueues in which the team's Jobs wait; with none, Jobs need no queue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 63), regex(pattern = "^[a-z0-9-]+$")))]
    pub queues: Vec<String>,
}

/// Whether rules of the tier refuse.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicyMode {
    /// As the tier says.
    #[default]
    Enforce,
    /// Everything that the tier would refuse is recorded in the audit log instead.
    Audit,
}

/// A PriorityClass that a team's pods may name.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.name.startsWith('system-') && !self.name.startsWith('platform-') && !self.name.startsWith('infrastructure-')")
    .message("policy.priorityClasses[].name: the class belongs to Kubernetes or the platform; choose a workload or gpu class"))]
pub struct PriorityAllowance {
    /// The class.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9.-]+$"))]
    pub name: String,
    /// The most pods of the class over the team's namespaces. Default: as many as the quota admits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<u32>,
}

/// A type of Service that reaches outside.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceType {
    /// A port on every node.
    NodePort,
    /// An address outside.
    LoadBalancer,
    /// Another name, which must be a public one; what it resolves to nobody can promise.
    ExternalName,
}

impl ServiceType {
    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
            Self::ExternalName => "ExternalName",
        }
    }
}
