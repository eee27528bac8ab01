//! A Team as the rest of the service sees it: validated, defaults applied, amounts canonical.
//!
//! Schema and CEL refuse most bad input at the API server. What they cannot see, or what an older
//! definition let in, is refused here with the field's path.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::LimitRangeItem;
use k8s_openapi::api::rbac::v1::Subject;
use mlp_crds::Team;
use mlp_crds::team::{Access, Members, NetworkMode, NetworkPolicySpec, PodSecurityLevel, Role};
use mlp_model::{Environment, NameError, TeamName};

use super::objects::limits;
use super::quantity::{Quantity, QuantityError};

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
pub const OWN_PLAIN_LABELS: [&str; 4] = ["cost-center", "environment", "name", "team"];

/// A Team that can be made true.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclaredTeam {
    /// The team's name.
    pub name: TeamName,
    /// uid of the Team object.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
    /// Who pays.
    pub cost_center: String,
    /// Where the platform runs.
    pub environment: Environment,
    /// Names of the namespaces, at least one, each once.
    pub namespaces: Vec<String>,
    /// Labels beside the platform's own.
    pub labels: BTreeMap<String, String>,
    /// The most that the namespaces may use together, by Kubernetes' quota keys.
    pub quota: BTreeMap<String, Quantity>,
    /// Items of the LimitRange, empty where none is wanted.
    pub limits: Vec<LimitRangeItem>,
    /// Name of the team's service account.
    pub service_account: String,
    /// Role of the team's service account.
    pub service_account_role: Role,
    /// Who holds which role; a role that nobody holds is absent.
    pub members: BTreeMap<Role, Vec<Subject>>,
    /// Admitted traffic, or nothing where policy is off.
    pub network: Option<NetworkPolicySpec>,
    /// Pod Security levels.
    pub pod_security: PodSecurityLabels,
}

/// Pod Security levels with the environment's defaults applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSecurityLabels {
    /// Pods below are refused.
    pub enforce: PodSecurityLevel,
    /// Pods below are audited.
    pub audit: PodSecurityLevel,
    /// Pods below are warned about.
    pub warn: PodSecurityLevel,
    /// Version of the standards.
    pub version: String,
}

/// A field that cannot be made true, with its path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The team's name.
    #[error("metadata.name: {0}")]
    Name(NameError),
    /// A quota amount.
    #[error("spec.quota {key}: {problem}")]
    Quota {
        /// The quota's key.
        key: String,
        /// What is wrong.
        problem: QuantityError,
    },
    /// A limit or default.
    #[error("spec.limitRange.{field}: {problem}")]
    Limit {
        /// Path below `spec.limitRange`.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// A namespace is listed twice.
    #[error("spec.namespaces: `{0}` is listed twice; remove one")]
    NamespaceTwice(String),
    /// A namespace's name that Kubernetes would refuse, or that belongs to the system.
    #[error("spec.namespaces: `{0}` cannot be a team's namespace; use a DNS label that is not the system's")]
    NamespaceName(String),
    /// A label that the platform writes.
    #[error("spec.labels: `{0}` is written by the platform; remove it")]
    Label(String),
    /// A label key that Kubernetes would refuse.
    #[error(
        "spec.labels: `{0}` is no label key; write at most 63 letters, digits, `-`, `_` and `.`, after a DNS name and a slash where it has one"
    )]
    LabelKey(String),
    /// A group or user that Kubernetes reserves.
    #[error(
        "spec.access.{role}: `{name}` belongs to Kubernetes; name groups and users of your identity provider"
    )]
    Member {
        /// The role's name.
        role: &'static str,
        /// The reserved name.
        name: String,
    },
}

/// Reads a Team. All problems are found, not only the first.
///
/// # Errors
/// At least one [`Invalid`], each naming its field.
pub fn declare(team: &Team, environment: Environment) -> Result<DeclaredTeam, Vec<Invalid>> {
    let mut problems = Vec::new();
    let raw_name = team.metadata.name.clone().unwrap_or_default();
    let name = raw_name.parse::<TeamName>().map_err(|error| problems.push(Invalid::Name(error))).ok();
    // The default namespace follows from the name, whose problem is said already.
    let listed: Vec<_> = team.spec.namespaces.iter().map(|namespace| namespace.name.clone()).collect();
    check_namespaces(&listed, &mut problems);
    check_labels(&team.spec.labels, &mut problems);
    let access = team.spec.access.clone().unwrap_or_default();
    let members = subjects(&access, &mut problems);
    let quota = quota(team, &mut problems);
    let limits =
        team.spec.limit_range.as_ref().map(|spec| limits::items(spec, &mut problems)).unwrap_or_default();
    let (Some(name), true) = (name, problems.is_empty()) else {
        return Err(problems);
    };
    let account = access.service_account.unwrap_or_default();
    Ok(DeclaredTeam {
        uid: team.metadata.uid.clone().unwrap_or_default(),
        generation: team.metadata.generation.unwrap_or_default(),
        cost_center: team.cost_center().to_owned(),
        environment,
        namespaces: team.namespace_names(),
        labels: team.spec.labels.clone(),
        quota,
        limits,
        service_account: account.name.unwrap_or_else(|| format!("{name}-team")),
        service_account_role: account.role,
        members,
        network: network(team),
        pod_security: pod_security(team, environment),
        name,
    })
}

fn check_namespaces(names: &[String], problems: &mut Vec<Invalid>) {
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

fn check_labels(labels: &BTreeMap<String, String>, problems: &mut Vec<Invalid>) {
    let platforms = |key: &str| {
        OWN_PLAIN_LABELS.contains(&key)
            || key.split_once('/').is_some_and(|(domain, _)| is_platform_domain(domain))
    };
    problems.extend(labels.keys().filter(|key| platforms(key)).map(|key| Invalid::Label(key.clone())));
    problems.extend(labels.keys().filter(|key| !is_label_key(key)).map(|key| Invalid::LabelKey(key.clone())));
}

/// Kubernetes' syntax of a label key: an optional DNS subdomain and a slash, then a name.
fn is_label_key(key: &str) -> bool {
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

fn subjects(access: &Access, problems: &mut Vec<Invalid>) -> BTreeMap<Role, Vec<Subject>> {
    let listed = [(Role::Admin, &access.admin), (Role::Edit, &access.edit), (Role::View, &access.view)];
    let mut members = BTreeMap::new();
    for (role, maybe_members) in listed {
        let Some(Members { groups, users }) = maybe_members else { continue };
        let mut subjects = Vec::new();
        for (kind, names) in [("Group", groups), ("User", users)] {
            for name in names {
                if name.starts_with("system:") {
                    problems.push(Invalid::Member { role: role.as_str(), name: name.clone() });
                }
                subjects.push(subject(kind, name));
            }
        }
        if !subjects.is_empty() {
            members.insert(role, subjects);
        }
    }
    members
}

fn subject(kind: &str, name: &str) -> Subject {
    Subject {
        api_group: Some("rbac.authorization.k8s.io".to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: None,
    }
}

fn quota(team: &Team, problems: &mut Vec<Invalid>) -> BTreeMap<String, Quantity> {
    let hard = team.spec.quota.clone().unwrap_or_default().hard();
    let mut quota = BTreeMap::new();
    for (key, amount) in hard {
        match Quantity::parse(amount.as_str()) {
            Ok(quantity) => drop(quota.insert(key, quantity)),
            Err(problem) => problems.push(Invalid::Quota { key, problem }),
        }
    }
    quota
}

fn network(team: &Team) -> Option<NetworkPolicySpec> {
    let spec = team.spec.network_policy.clone().unwrap_or_default();
    (spec.mode == NetworkMode::Enforced).then_some(spec)
}

fn pod_security(team: &Team, environment: Environment) -> PodSecurityLabels {
    let spec = team.spec.pod_security.clone().unwrap_or_default();
    let enforced = match environment {
        Environment::Prod => PodSecurityLevel::Restricted,
        Environment::Local | Environment::Dev | Environment::Staging => PodSecurityLevel::Baseline,
    };
    PodSecurityLabels {
        enforce: spec.enforce.unwrap_or(enforced),
        audit: spec.audit.unwrap_or(PodSecurityLevel::Restricted),
        warn: spec.warn.unwrap_or(PodSecurityLevel::Restricted),
        version: spec.version.unwrap_or_else(|| "latest".to_owned()),
    }
}

#[cfg(test)]
mod tests;
