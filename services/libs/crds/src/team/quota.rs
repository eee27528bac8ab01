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
    /// Extended resources by name, for example `nvidia.com/mig-1g.10gb`. One that is not here, or is
    /// zero, is closed to the team.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$') && !name.startsWith('kubernetes.io/') && name != 'nvidia.com/gpu')")
        .message("quota.extended: name resources as domain/name, for example nvidia.com/mig-1g.10gb; nvidia.com/gpu itself belongs under quota.requests"))]
    pub extended: BTreeMap<String, Amount>,
    /// Devices by DeviceClass (dynamic resource allocation). A class that is not here is closed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub device_classes: BTreeMap<String, u32>,
    /// Storage by StorageClass, beside the total under `requests.storage`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub storage_classes: BTreeMap<String, ClassStorage>,
}

/// Storage of one class.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub struct ClassStorage {
    /// Size of all claims of the class together, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Amount>,
    /// Number of claims of the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistentvolumeclaims: Option<u32>,
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
    /// Scratch space of pods (emptyDir, logs, writable layers), in bytes.
    #[serde(default, rename = "ephemeral-storage", skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<Amount>,
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
    /// Scratch space of pods (emptyDir, logs, writable layers), in bytes.
    #[serde(default, rename = "ephemeral-storage", skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<Amount>,
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
    /// Any other kind by `resource.group`, for example `jobs.batch`: everything that is stored,
    /// finished or not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub counts: BTreeMap<String, u32>,
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
            ("requests.ephemeral-storage", requests.ephemeral_storage),
            ("limits.ephemeral-storage", limits.ephemeral_storage),
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
        let fixed = keys.into_iter().filter_map(|(key, amount)| Some((key.to_owned(), amount?)));
        fixed.chain(self.named_keys()).collect()
    }

    /// The keys whose names the declaration gives.
    fn named_keys(&self) -> BTreeMap<String, Amount> {
        let mut keys = BTreeMap::new();
        for (name, amount) in &self.extended {
            keys.insert(format!("requests.{name}"), amount.clone());
        }
        for (class, count) in &self.device_classes {
            keys.insert(
                format!("{class}.deviceclass.resource.k8s.io/devices"),
                Amount::new(count.to_string()),
            );
        }
        for (class, ClassStorage { storage, persistentvolumeclaims }) in &self.storage_classes {
            let key = |what: &str| format!("{class}.storageclass.storage.k8s.io/{what}");
            keys.extend(storage.clone().map(|amount| (key("requests.storage"), amount)));
            let claims = persistentvolumeclaims.map(|count| Amount::new(count.to_string()));
            keys.extend(claims.map(|amount| (key("persistentvolumeclaims"), amount)));
        }
        for (resource, count) in self.objects.iter().flat_map(|objects| &objects.counts) {
            keys.insert(format!("count/{resource}"), Amount::new(count.to_string()));
        }
        keys
    }

    /// Extended resources that the team may ask for: those with a quota above zero.
    pub fn open_resources(&self) -> Vec<String> {
        let gpu = self.requests.as_ref().and_then(|requests| requests.gpu.as_ref());
        let gpu = gpu.map(|amount| ("nvidia.com/gpu".to_owned(), amount));
        let named = self.extended.iter().map(|(name, amount)| (name.clone(), amount));
        gpu.into_iter()
            .chain(named)
            .filter(|(_, amount)| amount.as_str() != "0")
            .map(|(name, _)| name)
            .collect()
    }

    /// DeviceClasses that the team may ask for.
    pub fn open_device_classes(&self) -> Vec<String> {
        self.device_classes.iter().filter(|(_, count)| **count > 0).map(|(class, _)| class.clone()).collect()
    }
}
