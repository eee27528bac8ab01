//! Defaults and bounds for each pod, container and claim.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem, LimitRangeSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;
use mlp_crds::Amount;
use mlp_crds::team::{ClaimSize, CpuMemory, LimitRangeSpec as Spec};

use super::metadata;
use crate::domain::model::{DeclaredTeam, Invalid};
use crate::domain::quantity::Quantity;

/// Name of the LimitRange in each namespace of a team. Two in one namespace would leave the order
/// of their defaults undefined.
pub const NAME: &str = "team-limits";

type Amounts = BTreeMap<String, Quantity>;

/// The LimitRange, where the team wants one.
pub fn limit_range(team: &DeclaredTeam, namespace: &str) -> Option<LimitRange> {
    (!team.limits.is_empty()).then(|| LimitRange {
        metadata: metadata(team, namespace, NAME),
        spec: Some(LimitRangeSpec { limits: team.limits.clone() }),
    })
}

/// The items that a spec asks for; a minimum above its default, or a default above its maximum,
/// would make every pod fail and is a problem.
pub fn items(spec: &Spec, problems: &mut Vec<Invalid>) -> Vec<LimitRangeItem> {
    let mut items = Vec::new();
    if let Some(pod) = &spec.pod {
        let (min, max) =
            (cpu_memory("pod.min", &pod.min, problems), cpu_memory("pod.max", &pod.max, problems));
        ordered("pod", &[("min", &min), ("max", &max)], problems);
        items.push(item("Pod", min, BTreeMap::new(), BTreeMap::new(), max));
    }
    if let Some(container) = &spec.container {
        let min = cpu_memory("container.min", &container.min, problems);
        let request = cpu_memory("container.defaultRequest", &container.default_request, problems);
        let default = cpu_memory("container.default", &container.default, problems);
        let max = cpu_memory("container.max", &container.max, problems);
        let order = [("min", &min), ("defaultRequest", &request), ("default", &default), ("max", &max)];
        ordered("container", &order, problems);
        items.push(item("Container", min, request, default, max));
    }
    if let Some(claim) = &spec.persistent_volume_claim {
        let prefix = "persistentVolumeClaim";
        let min = storage(&format!("{prefix}.min"), &claim.min, problems);
        let max = storage(&format!("{prefix}.max"), &claim.max, problems);
        ordered(prefix, &[("min", &min), ("max", &max)], problems);
        items.push(item("PersistentVolumeClaim", min, BTreeMap::new(), BTreeMap::new(), max));
    }
    items
}

fn cpu_memory(path: &str, maybe: &Option<CpuMemory>, problems: &mut Vec<Invalid>) -> Amounts {
    let CpuMemory { cpu, memory } = maybe.clone().unwrap_or_default();
    amounts(path, [("cpu", cpu), ("memory", memory)], problems)
}

fn storage(path: &str, maybe: &Option<ClaimSize>, problems: &mut Vec<Invalid>) -> Amounts {
    amounts(path, [("storage", maybe.as_ref().map(|size| size.storage.clone()))], problems)
}

fn amounts<const N: usize>(
    path: &str,
    pairs: [(&str, Option<Amount>); N],
    problems: &mut Vec<Invalid>,
) -> Amounts {
    let mut amounts = BTreeMap::new();
    for (resource, maybe_amount) in pairs {
        let Some(amount) = maybe_amount else { continue };
        match Quantity::parse(amount.as_str()) {
            Ok(quantity) => drop(amounts.insert(resource.to_owned(), quantity)),
            Err(error) => problems
                .push(Invalid::Limit { field: format!("{path}.{resource}"), problem: error.to_string() }),
        }
    }
    amounts
}

/// Checks that each bound is at least the ones before it.
fn ordered(path: &str, bounds: &[(&str, &Amounts)], problems: &mut Vec<Invalid>) {
    for (index, (low_name, lows)) in bounds.iter().enumerate() {
        for (high_name, highs) in bounds.iter().skip(index + 1) {
            for (resource, low) in lows.iter() {
                let Some(high) = highs.get(resource).filter(|high| high.nano() < low.nano()) else {
                    continue;
                };
                problems.push(Invalid::Limit {
                    field: format!("{path}.{high_name}.{resource}"),
                    problem: format!("{high} is below {low_name} {low}; raise it or lower {low_name}"),
                });
            }
        }
    }
}

fn item(kind: &str, min: Amounts, request: Amounts, default: Amounts, max: Amounts) -> LimitRangeItem {
    let written = |amounts: Amounts| {
        let pairs = amounts.into_iter().map(|(resource, amount)| (resource, Written(amount.to_string())));
        Some(pairs.collect::<BTreeMap<_, _>>()).filter(|map| !map.is_empty())
    };
    LimitRangeItem {
        type_: kind.to_owned(),
        min: written(min),
        default_request: written(request),
        default: written(default),
        max: written(max),
        max_limit_request_ratio: None,
    }
}
