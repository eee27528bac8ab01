//! What the API server's rules read of a namespace: annotations with the lists of its team.
//!
//! The rules themselves (`deploy/admission`) are the same for all teams, so their cost does not
//! grow with the number of teams, and they go on while this service is down. Only whoever holds the
//! verb `isolate` on teams may write these keys.

use std::collections::BTreeMap;

use mlp_crds::team::{GpuAccess, Role, ServiceType, TaintToleration};

use super::model::{DeclaredNamespace, DeclaredTeam};
use super::objects::Surroundings;
use super::tier::{Tier, Verdict};

/// Domain of the annotations with a team's lists.
pub const LISTS: &str = "isolation.mlplatform.dev";
/// Domain of the annotations with the end of an exemption, one per rule.
pub const EXEMPT: &str = "exempt.mlplatform.dev";
/// Key of the label that names a node's pool.
pub const POOL: &str = "mlplatform.dev/pool";

/// Registries of the seed's policy (dossier section 7), for teams that name none.
pub const REGISTRIES: [&str; 5] = ["docker.io", "gcr.io", "quay.io", "ghcr.io", "registry.k8s.io"];

/// The annotations of one namespace; a list that is empty is left out.
pub fn annotations(
    team: &DeclaredTeam,
    namespace: &DeclaredNamespace,
    around: &Surroundings,
) -> BTreeMap<String, String> {
    let tier = Tier::of(namespace.environment);
    let rules = |verdict| joined(tier.rules(team.policy.mode, verdict));
    let lists = [
        ("denied-rules", rules(Verdict::Deny)),
        ("audited-rules", rules(Verdict::Audit)),
        ("namespaces", joined(team.namespaces.iter().map(|namespace| namespace.name.as_str()))),
        ("members", members(team)),
    ];
    let hosts = team.ingress.hosts.iter().filter(|host| !around.refused_hosts.contains(host));
    let lists = lists.into_iter().chain([("hosts", joined(hosts))]);
    let all = lists.chain(policy(team)).chain(scheduling(team)).chain(network(team));
    let written =
        all.filter(|(_, list)| !list.is_empty()).map(|(key, list)| (format!("{LISTS}/{key}"), list));
    written
        .chain(around.exemptions.of(&namespace.name).map(|(rule, end)| (format!("{EXEMPT}/{rule}"), end)))
        .collect()
}

fn policy(team: &DeclaredTeam) -> impl Iterator<Item = (&'static str, String)> {
    let policy = &team.policy;
    let registries =
        if policy.registries.is_empty() { joined(REGISTRIES) } else { joined(&policy.registries) };
    let schedulers = ["default-scheduler"].into_iter().chain(policy.schedulers.iter().map(String::as_str));
    [
        ("registries", registries),
        ("runtime-classes", joined(&policy.runtime_classes)),
        ("csi-drivers", joined(&policy.csi_drivers)),
        ("priority-classes", joined(policy.priority_classes.iter().map(|class| class.name.as_str()))),
        ("schedulers", if policy.schedulers.is_empty() { String::new() } else { joined(schedulers) }),
        ("service-types", joined(policy.service_types.iter().copied().map(ServiceType::as_str))),
        ("storage-classes", joined(&policy.storage_classes)),
        ("volume-attributes-classes", joined(&policy.volume_attributes_classes)),
        ("snapshot-classes", joined(&policy.snapshot_classes)),
        ("cluster-roles", joined(&policy.cluster_roles)),
        ("queues", joined(&policy.queues)),
        ("ingress-classes", joined(&team.ingress.classes)),
        ("gateways", joined(&team.ingress.gateways)),
        ("ingress-limits", limits(team)),
    ]
    .into_iter()
}

/// `rps=10,connections=5,body=10m`, for the defaults of an Ingress.
fn limits(team: &DeclaredTeam) -> String {
    let Some(limit) = &team.ingress.rate_limit else { return String::new() };
    let body = limit.body_size.iter().map(|size| format!("proxy-body-size={size}"));
    let fixed = [
        format!("limit-rps={}", limit.requests_per_second),
        format!("limit-connections={}", limit.connections),
    ];
    joined(fixed.into_iter().chain(body))
}

fn scheduling(team: &DeclaredTeam) -> impl Iterator<Item = (&'static str, String)> {
    let spec = &team.scheduling;
    let gpu = spec.gpu.clone().unwrap_or_default();
    let open = gpu.access == GpuAccess::Granted;
    let taints = |list: &[TaintToleration]| joined(list.iter().map(TaintToleration::written));
    let gpu_taints = if open { gpu.tolerations.as_slice() } else { &[] };
    let tolerated: Vec<_> = spec.tolerations.iter().chain(gpu_taints).cloned().collect();
    let first_pool = spec.node_pools.first().map(|pool| [(POOL.to_owned(), pool.clone())].into());
    let selector = if spec.node_selector.is_empty() {
        first_pool.unwrap_or_default()
    } else {
        spec.node_selector.clone()
    };
    [
        ("node-pools", joined(&spec.node_pools)),
        ("tolerations", taints(&tolerated)),
        ("node-tolerations", taints(&spec.tolerations)),
        ("gpu-tolerations", taints(gpu_taints)),
        ("node-selector", pairs(&selector)),
        ("gpu-node-selector", if open { pairs(&gpu.node_selector) } else { String::new() }),
        ("extended-resources", if open { joined(&team.open_resources) } else { String::new() }),
        ("device-classes", if open { joined(&team.device_classes) } else { String::new() }),
    ]
    .into_iter()
}

/// Label of a namespace whose pods get no defaults (`none`): the API server spares them the patch.
pub const POD_DEFAULTS: &str = "mlplatform.dev/pod-defaults";

/// Whether pods of the team get a node selector or tolerations by default.
pub fn has_pod_defaults(team: &DeclaredTeam) -> bool {
    let defaults = ["node-selector", "gpu-node-selector", "node-tolerations", "gpu-tolerations"];
    scheduling(team).any(|(key, list)| defaults.contains(&key) && !list.is_empty())
}

fn network(team: &DeclaredTeam) -> impl Iterator<Item = (&'static str, String)> {
    let rules = team.network.iter().flat_map(|spec| spec.all_rules());
    // DNS is there for all; what else the cluster runs beside it is nobody's to open.
    let mut shared: Vec<_> =
        rules.filter_map(|rule| rule.namespace).filter(|name| name != "kube-system").collect();
    shared.sort_unstable();
    shared.dedup();
    [("shared-namespaces", joined(shared)), ("protected-cidrs", joined(&team.protected_cidrs))].into_iter()
}

/// `Group:ml-engineers,User:ana@company.com`: whom the team's admins may give rights to.
fn members(team: &DeclaredTeam) -> String {
    let held = Role::ALL.iter().filter_map(|role| team.members.get(role)).flatten();
    joined(held.map(|subject| format!("{}:{}", subject.kind, subject.name)))
}

fn pairs(map: &BTreeMap<String, String>) -> String {
    joined(map.iter().map(|(key, value)| format!("{key}={value}")))
}

fn joined<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.as_ref().to_owned()).collect::<Vec<_>>().join(",")
}
