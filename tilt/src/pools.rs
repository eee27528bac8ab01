//! The pools of simulated nodes, shaped like the seed's (seed dossier sections 1.8 and 6, prod).

use k8s_openapi::api::core::v1::Taint;
use mlp_model::labels::SIMULATED_NODE;
use serde_json::{Value, json};

/// Label that names a node's pool.
pub const POOL: &str = "mlplatform.dev/pool";

/// Nodes that are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Name of the pool: `general`.
    pub name: &'static str,
    /// How many nodes.
    pub count: usize,
    /// The instance type in AWS, which prices are looked up by.
    pub instance_type: &'static str,
    /// Cores.
    pub cpu: u32,
    /// Memory, in GiB.
    pub memory: u32,
    /// NVIDIA GPUs.
    pub gpus: u32,
    /// Labels on top of those that all nodes have.
    pub labels: &'static [(&'static str, &'static str)],
    /// Taints with the effect `NoSchedule`.
    pub taints: &'static [(&'static str, &'static str)],
}

/// The pools of the seed: general, data, ml and gpu.
#[must_use]
pub fn seed() -> Vec<Pool> {
    let plain = |name, count, instance_type, cpu, memory| Pool {
        name,
        count,
        instance_type,
        cpu,
        memory,
        gpus: 0,
        labels: &[],
        taints: &[],
    };
    vec![
        plain("general", 3, "m5.large", 2, 8),
        Pool {
            labels: &[("workload", "data")],
            taints: &[("workload", "data")],
            ..plain("data", 2, "c5.2xlarge", 8, 16)
        },
        Pool {
            labels: &[("workload", "ml")],
            taints: &[("workload", "ml")],
            ..plain("ml", 2, "m5.2xlarge", 8, 32)
        },
        Pool {
            gpus: 1,
            labels: &[("node-role", "gpu"), ("gpu-type", "nvidia"), ("team-access", "ml-team")],
            taints: &[("nvidia.com/gpu", "true"), ("team", "ml")],
            ..plain("gpu", 4, "g4dn.xlarge", 4, 16)
        },
    ]
}

impl Pool {
    /// Names of the pool's nodes.
    pub(crate) fn node_names(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.count).map(|index| format!("sim-{}-{index}", self.name))
    }

    /// The node of this name and index, for server-side apply. With `avoid`, pods that do not ask
    /// for simulated nodes prefer others.
    pub(crate) fn node(&self, name: &str, index: usize, avoid: bool) -> Value {
        let zone = ["a", "b", "c"].get(index % 3).copied().unwrap_or("a");
        let mut labels = serde_json::Map::new();
        let common = [
            (SIMULATED_NODE, "true"),
            (POOL, self.name),
            ("kubernetes.io/hostname", name),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", "amd64"),
            ("node.kubernetes.io/instance-type", self.instance_type),
            ("topology.kubernetes.io/region", "local"),
            ("eks.amazonaws.com/capacityType", "ON_DEMAND"),
        ];
        for (key, value) in common.iter().chain(self.labels) {
            labels.insert((*key).into(), (*value).into());
        }
        labels.insert("topology.kubernetes.io/zone".into(), format!("local-{zone}").into());
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels},
            "spec": {"taints": self.node_taints(avoid)},
        })
    }

    /// The node's capacity, for server-side apply of its status.
    pub(crate) fn status(&self, name: &str) -> Value {
        let mut capacity = json!({
            "cpu": self.cpu.to_string(),
            "memory": format!("{}Gi", self.memory),
            "pods": "110",
            "ephemeral-storage": "100Gi",
        });
        if let (true, Some(capacity)) = (self.gpus > 0, capacity.as_object_mut()) {
            capacity.insert("nvidia.com/gpu".into(), self.gpus.to_string().into());
        }
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name},
            "status": {"capacity": capacity, "allocatable": capacity},
        })
    }

    fn node_taints(&self, avoid: bool) -> Vec<Taint> {
        let taint = |key: &str, value: &str, effect: &str| Taint {
            key: key.into(),
            value: Some(value.into()),
            effect: effect.into(),
            ..Taint::default()
        };
        let mut taints: Vec<Taint> =
            self.taints.iter().map(|(key, value)| taint(key, value, "NoSchedule")).collect();
        if avoid {
            taints.push(taint(SIMULATED_NODE, "true", "PreferNoSchedule"));
        }
        taints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gpu_pool_keeps_everyone_else_out_and_covers_the_ml_quota() {
        let pools = seed();
        let gpu = pools.iter().find(|pool| pool.name == "gpu").unwrap();
        let node = gpu.node("sim-gpu-0", 0, false);
        assert_eq!(node["spec"]["taints"][0]["key"], "nvidia.com/gpu");
        assert_eq!(node["spec"]["taints"][1]["value"], "ml");
        assert_eq!(gpu.status("sim-gpu-0")["status"]["allocatable"]["nvidia.com/gpu"], "1");
        assert_eq!(gpu.count, 4);
    }

    #[test]
    fn every_node_says_that_it_is_simulated() {
        for pool in seed() {
            for (index, name) in pool.node_names().enumerate() {
                assert_eq!(pool.node(&name, index, true)["metadata"]["labels"][SIMULATED_NODE], "true");
            }
        }
    }
}
