//! A team's quota.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::Amount;

/// The most that a team's namespaces may use together; what is left out is not bounded.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) || quantity(string(self.limits.cpu)).compareTo(quantity(string(self.requests.cpu))) >= 0")
    .message("quota.limits.cpu must be at least quota.requests.cpu; raise the limit or lower the request"))]
#[x_kube(validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) || quantity(string(self.limits.memory)).compareTo(quantity(string(self.requests.memory))) >= 0")
    .message("quota.limits.memory must be at least quota.requests.memory; raise the limit or lower the request"))]
pub struct QuotaSpec {
    /// Sums of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<QuotaRequests>,
    /// Sums of limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<QuotaLimits>,
    /// Numbers of objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectCounts>,
}

/// Sums of requests over a team's pods and claims.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct QuotaRequests {
    /// CPU, in cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Amount>,
    /// Memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Amount>,
    /// Storage of all claims together, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Amount>,
    /// NVIDIA GPUs. Left out means none: GPUs are closed unless granted.
    #[serde(default, rename = "nvidia.com/gpu", skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Amount>,
}

/// Sums of limits over a team's pods.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct QuotaLimits {
    /// CPU, in cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Amount>,
    /// Memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Amount>,
}

/// Numbers of objects; the names are Kubernetes' quota keys.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub struct ObjectCounts {
    /// Pods that have not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<u32>,
    /// Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<u32>,
    /// Services of type LoadBalancer.
    #[serde(default, rename = "services.loadbalancers", skip_serializing_if = "Option::is_none")]
    pub load_balancers: Option<u32>,
    /// Services of type NodePort.
    #[serde(default, rename = "services.nodeports", skip_serializing_if = "Option::is_none")]
    pub node_ports: Option<u32>,
    /// Persistent volume claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistentvolumeclaims: Option<u32>,
    /// ConfigMaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configmaps: Option<u32>,
    /// Secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<u32>,
    /// Replication controllers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicationcontrollers: Option<u32>,
}

impl QuotaSpec {
    /// The quota by Kubernetes' keys, as a ResourceQuota's `hard` has them.
    pub fn hard(&self) -> BTreeMap<String, Amount> {
        let requests = self.requests.clone().unwrap_or_default();
        let limits = self.limits.clone().unwrap_or_default();
        let objects = self.objects.clone().unwrap_or_default();
        let count = |number: Option<u32>| number.map(|number| Amount::new(number.to_string()));
        let keys = [
            ("requests.cpu", requests.cpu),
            ("requests.memory", requests.memory),
            ("requests.storage", requests.storage),
            ("requests.nvidia.com/gpu", Some(requests.gpu.unwrap_or_else(|| Amount::new("0")))),
            ("limits.cpu", limits.cpu),
            ("limits.memory", limits.memory),
            ("pods", count(objects.pods)),
            ("services", count(objects.services)),
            ("services.loadbalancers", count(objects.load_balancers)),
            ("services.nodeports", count(objects.node_ports)),
            ("persistentvolumeclaims", count(objects.persistentvolumeclaims)),
            ("configmaps", count(objects.configmaps)),
            ("secrets", count(objects.secrets)),
            ("replicationcontrollers", count(objects.replicationcontrollers)),
        ];
        keys.into_iter().filter_map(|(key, amount)| Some((key.to_owned(), amount?))).collect()
    }
}
