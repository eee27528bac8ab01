//! Names and keys that cannot be.

use std::collections::{BTreeMap, BTreeSet};

use mlp_crds::team::CopiedObject;

use super::Invalid;

/// Namespaces of Kubernetes, of the platform and of what it shares: default rules admit their traffic.
const RESERVED_NAMESPACES: [&str; 9] = [
    "default",
    "argocd",
    "monitoring",
    "ingress-nginx",
    "database",
    "cache",
    "storage",
    "platform",
    "local-path-storage",
];
/// Label keys that this service writes on namespaces and that a Team may therefore not set.
pub(super) const OWN_PLAIN_LABELS: [&str; 4] = ["cost-center", "environment", "name", "team"];

pub(super) fn namespaces(names: &[String], problems: &mut Vec<Invalid>) {
    let mut seen = BTreeSet::new();
    for name in names {
        let first_part = name.split('-').next().unwrap_or(name);
        let reserved =
            ["kube", "mlp", "istio"].contains(&first_part) || RESERVED_NAMESPACES.contains(&name.as_str());
        if reserved || !mlp_model::name::is_dns_label(name) {
            problems.push(Invalid::NamespaceName(name.clone()));
        }
        if !seen.insert(name) {
            problems.push(Invalid::NamespaceTwice(name.clone()));
        }
    }
}

pub(super) fn labels(labels: &BTreeMap<String, String>, problems: &mut Vec<Invalid>) {
    let platforms = |key: &str| {
        OWN_PLAIN_LABELS.contains(&key)
            || key.split_once('/').is_some_and(|(domain, _)| is_platform_domain(domain))
    };
    problems.extend(labels.keys().filter(|key| platforms(key)).map(|key| Invalid::Label(key.clone())));
    problems.extend(labels.keys().filter(|key| !is_label_key(key)).map(|key| Invalid::LabelKey(key.clone())));
}

/// Kubernetes' syntax of a label key: an optional DNS subdomain and a slash, then a name.
pub(super) fn is_label_key(key: &str) -> bool {
    let (maybe_domain, name) = key.split_once('/').map_or((None, key), |(domain, name)| (Some(domain), name));
    let ends_well = |text: &str| {
        let ends = [text.chars().next(), text.chars().next_back()];
        ends.into_iter().all(|end| end.is_some_and(|end| end.is_ascii_alphanumeric()))
    };
    let name_is_one = name.len() <= 63
        && ends_well(name)
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    let is_domain =
        |domain: &str| domain.len() <= 253 && domain.split('.').all(mlp_model::name::is_dns_label);
    name_is_one && maybe_domain.is_none_or(is_domain)
}

fn is_platform_domain(domain: &str) -> bool {
    ["mlplatform.dev", "kubernetes.io", "k8s.io"]
        .iter()
        .any(|ours| domain == *ours || domain.strip_suffix(ours).is_some_and(|rest| rest.ends_with('.')))
}

pub(super) fn copies(copies: &[CopiedObject], problems: &mut Vec<Invalid>) {
    let mut seen = BTreeSet::new();
    for copy in copies {
        let (kind, name) = (format!("{:?}", copy.kind), copy.name.clone());
        if !seen.insert((copy.kind, &copy.name)) {
            problems.push(Invalid::CopyTwice { kind, name });
        }
    }
}
