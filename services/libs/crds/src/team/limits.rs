//! Defaults and bounds for each pod, container and claim of a team.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::Amount;

/// What one LimitRange in each of the team's namespaces says.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LimitRangeSpec {
    /// Bounds on a pod: the sum over its containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodLimits>,
    /// Defaults and bounds on a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerLimits>,
    /// Bounds on a persistent volume claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<ClaimLimits>,
}

/// CPU and memory.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CpuMemory {
    /// CPU, in cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Amount>,
    /// Memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Amount>,
}

/// Bounds on a pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.max) || !has(self.min.cpu) || !has(self.max.cpu) || quantity(string(self.max.cpu)).compareTo(quantity(string(self.min.cpu))) >= 0")
    .message("limitRange.pod.max.cpu must be at least limitRange.pod.min.cpu"))]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.max) || !has(self.min.memory) || !has(self.max.memory) || quantity(string(self.max.memory)).compareTo(quantity(string(self.min.memory))) >= 0")
    .message("limitRange.pod.max.memory must be at least limitRange.pod.min.memory"))]
pub struct PodLimits {
    /// The most that a pod may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<CpuMemory>,
    /// The least that a pod must ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<CpuMemory>,
}

/// Defaults and bounds on a container.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.defaultRequest) || !has(self.default) || !has(self.defaultRequest.cpu) || !has(self.default.cpu) || quantity(string(self.default.cpu)).compareTo(quantity(string(self.defaultRequest.cpu))) >= 0")
    .message("limitRange.container.default.cpu must be at least limitRange.container.defaultRequest.cpu"))]
#[x_kube(validation = Rule::new("!has(self.defaultRequest) || !has(self.default) || !has(self.defaultRequest.memory) || !has(self.default.memory) || quantity(string(self.default.memory)).compareTo(quantity(string(self.defaultRequest.memory))) >= 0")
    .message("limitRange.container.default.memory must be at least limitRange.container.defaultRequest.memory"))]
#[x_kube(validation = Rule::new("!has(self.default) || !has(self.max) || !has(self.default.cpu) || !has(self.max.cpu) || quantity(string(self.max.cpu)).compareTo(quantity(string(self.default.cpu))) >= 0")
    .message("limitRange.container.max.cpu must be at least limitRange.container.default.cpu"))]
#[x_kube(validation = Rule::new("!has(self.default) || !has(self.max) || !has(self.default.memory) || !has(self.max.memory) || quantity(string(self.max.memory)).compareTo(quantity(string(self.default.memory))) >= 0")
    .message("limitRange.container.max.memory must be at least limitRange.container.default.memory"))]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.defaultRequest) || !has(self.min.cpu) || !has(self.defaultRequest.cpu) || quantity(string(self.defaultRequest.cpu)).compareTo(quantity(string(self.min.cpu))) >= 0")
    .message("limitRange.container.defaultRequest.cpu must be at least limitRange.container.min.cpu"))]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.defaultRequest) || !has(self.min.memory) || !has(self.defaultRequest.memory) || quantity(string(self.defaultRequest.memory)).compareTo(quantity(string(self.min.memory))) >= 0")
    .message("limitRange.container.defaultRequest.memory must be at least limitRange.container.min.memory"))]
pub struct ContainerLimits {
    /// Limit of a container that states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<CpuMemory>,
    /// Request of a container that states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_request: Option<CpuMemory>,
    /// The highest limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<CpuMemory>,
    /// The lowest request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<CpuMemory>,
}

/// Bounds on a persistent volume claim.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.max) || quantity(string(self.max.storage)).compareTo(quantity(string(self.min.storage))) >= 0")
    .message("limitRange.persistentVolumeClaim.max.storage must be at least limitRange.persistentVolumeClaim.min.storage"))]
pub struct ClaimLimits {
    /// The largest claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<ClaimSize>,
    /// The smallest claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<ClaimSize>,
}

/// A size of a claim.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ClaimSize {
    /// Storage, in bytes.
    pub storage: Amount,
}
