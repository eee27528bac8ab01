//! A Team as the rest of the service sees it: validated, defaults applied, amounts canonical.
//!
//! Schema and CEL refuse most bad input at the API server. What they cannot see, or what an older
//! definition let in, is refused here with the field's path.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::LimitRangeItem;
use k8s_openapi::api::rbac::v1::Subject;
use mlp_crds::Team;
use mlp_crds::team::{
    Access, CopiedObject, IngressSpec, Members, NetworkMode, NetworkPolicySpec, OffboardingPhase,
    PodSecurity, PodSecurityLevel, PolicySpec, QuotaSpec, Role, SchedulingSpec,
};
use mlp_model::{Environment, NameError, TeamName};

use super::objects::limits;
use super::quantity::{Quantity, QuantityError};

mod checks;

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
    /// The namespaces, at least one, each once.
    pub namespaces: Vec<DeclaredNamespace>,
    /// Labels beside the platform's own.
    pub labels: BTreeMap<String, String>,
    /// The most that the namespaces may use together, by Kubernetes' quota keys.
    pub quota: BTreeMap<String, Quantity>,
    /// Items of the LimitRange, empty where none is wanted.
    pub limits: Vec<LimitRangeItem>,
    /// The team's service accounts with their roles; the first is the one that automation uses.
    pub accounts: Vec<(String, Role)>,
    /// Who holds which role; a role that nobody holds is absent.
    pub members: BTreeMap<Role, Vec<Subject>>,
    /// Admitted traffic, or nothing where policy is off.
    pub network: Option<NetworkPolicySpec>,
    /// Pod Security as declared; the environment of each namespace fills in the rest.
    pub pod_security: PodSecurity,
    /// Lists that admission compares with.
    pub policy: PolicySpec,
    /// Hosts, classes and gateways.
    pub ingress: IngressSpec,
    /// Pools, selectors and tolerations.
    pub scheduling: SchedulingSpec,
    /// Extended resources that the quota opens.
    pub open_resources: Vec<String>,
    /// DeviceClasses that the quota opens.
    pub device_classes: Vec<String>,
    /// Addresses of nodes, pods and services that no policy of a team may open.
    pub protected_cidrs: Vec<String>,
    /// Objects that every namespace gets a copy of.
    pub copies: Vec<CopiedObject>,
    /// Roles whose holders may open further namespaces.
    pub openers: Vec<Role>,
    /// Whether the team works, or is on its way out.
    pub phase: OffboardingPhase,
}

/// A namespace of a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredNamespace {
    /// Its name.
    pub name: String,
    /// The environment that decides the tier of its rules.
    pub environment: Environment,
    /// Percent of the team's quota that is always its own.
    pub share: u32,
}

impl DeclaredTeam {
    /// Names of the namespaces.
    pub fn namespace_names(&self) -> Vec<String> {
        self.namespaces.iter().map(|namespace| namespace.name.clone()).collect()
    }

    /// The namespace in which members hold what concerns the team as a whole: the first that is declared.
    pub fn home(&self) -> &str {
        self.namespaces.first().map(|namespace| namespace.name.as_str()).unwrap_or_default()
    }

    /// The account that the team's automation uses.
    pub fn service_account(&self) -> &str {
        self.accounts.first().map(|(name, _)| name.as_str()).unwrap_or_default()
    }
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
    /// Two service accounts of one name.
    #[error("spec.access.serviceAccounts: `{0}` is listed twice; remove one")]
    AccountTwice(String),
    /// A group or user with two roles.
    #[error("spec.access: {kind} `{name}` is listed under {} and {}; keep the stronger one", roles[0], roles[1])]
    TwoRoles {
        /// Group or User.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The roles.
        roles: [&'static str; 2],
    },
    /// Two objects to copy would have one name.
    #[error("spec.copies: two of kind {kind} are called `{name}`; they would share one copy")]
    CopyTwice {
        /// The kind.
        kind: String,
        /// The name.
        name: String,
    },
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

/// Where the platform runs, as far as teams are concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// The platform's environment.
    pub environment: Environment,
    /// Addresses of nodes, pods and services.
    pub protected_cidrs: Vec<String>,
    /// How long the names of a team are kept from others after it has gone.
    pub reservation: SignedDuration,
}

/// Reads a Team. All problems are found, not only the first.
///
/// # Errors
/// At least one [`Invalid`], each naming its field.
pub fn declare(team: &Team, site: &Site) -> Result<DeclaredTeam, Vec<Invalid>> {
    let mut problems = Vec::new();
    let raw_name = team.metadata.name.clone().unwrap_or_default();
    let name = raw_name.parse::<TeamName>().map_err(|error| problems.push(Invalid::Name(error))).ok();
    // The default namespace follows from the name, whose problem is said already.
    let listed: Vec<_> = team.spec.namespaces.iter().map(|namespace| namespace.name.clone()).collect();
    checks::namespaces(&listed, &mut problems);
    checks::labels(&team.spec.labels, &mut problems);
    checks::copies(&team.spec.copies, &mut problems);
    let access = team.spec.access.clone().unwrap_or_default();
    let members = subjects(&access, &mut problems);
    let accounts = accounts(&raw_name, &access, &mut problems);
    let quota = quota(team, &mut problems);
    let limits =
        team.spec.limit_range.as_ref().map(|spec| limits::items(spec, &mut problems)).unwrap_or_default();
    let (Some(name), true) = (name, problems.is_empty()) else {
        return Err(problems);
    };
    let spec = &team.spec;
    Ok(DeclaredTeam {
        uid: team.metadata.uid.clone().unwrap_or_default(),
        generation: team.metadata.generation.unwrap_or_default(),
        cost_center: team.cost_center().to_owned(),
        environment: site.environment,
        namespaces: namespaces(team, site.environment),
        labels: spec.labels.clone(),
        quota,
        limits,
        accounts,
        members,
        network: network(team),
        pod_security: spec.pod_security.clone().unwrap_or_default(),
        policy: spec.policy.clone().unwrap_or_default(),
        ingress: spec.ingress.clone().unwrap_or_else(IngressSpec::none),
        scheduling: spec.scheduling.clone().unwrap_or_default(),
        open_resources: spec.quota.iter().flat_map(QuotaSpec::open_resources).collect(),
        device_classes: spec.quota.iter().flat_map(QuotaSpec::open_device_classes).collect(),
        protected_cidrs: site.protected_cidrs.clone(),
        copies: spec.copies.clone(),
        openers: spec.self_service.iter().flat_map(|spec| spec.roles.iter().copied()).collect(),
        phase: spec.offboarding.as_ref().map(|spec| spec.phase).unwrap_or_default(),
        name,
    })
}

/// The team's namespaces, the default applied.
fn namespaces(team: &Team, environment: Environment) -> Vec<DeclaredNamespace> {
    let listed = team.spec.namespaces.iter();
    let declared = |name: String| {
        let spec = listed.clone().find(|spec| spec.name == name);
        DeclaredNamespace {
            environment: spec.and_then(|spec| spec.environment).unwrap_or(environment),
            share: spec.and_then(|spec| spec.share).unwrap_or_default(),
            name,
        }
    };
    team.namespace_names().into_iter().map(declared).collect()
}

/// The team's accounts: the one of its automation, then the others.
fn accounts(team: &str, access: &Access, problems: &mut Vec<Invalid>) -> Vec<(String, Role)> {
    let first = access.service_account.clone().unwrap_or_default();
    let mut accounts = vec![(first.name.unwrap_or_else(|| format!("{team}-team")), first.role)];
    for spec in &access.service_accounts {
        let name = spec.name.clone().unwrap_or_default();
        if accounts.iter().any(|(known, _)| *known == name) {
            problems.push(Invalid::AccountTwice(name.clone()));
        }
        accounts.push((name, spec.role));
    }
    accounts
}

fn subjects(access: &Access, problems: &mut Vec<Invalid>) -> BTreeMap<Role, Vec<Subject>> {
    let listed = [(Role::Admin, &access.admin), (Role::Edit, &access.edit), (Role::View, &access.view)];
    let mut members = BTreeMap::new();
    let mut seen: BTreeMap<(&str, String), Role> = BTreeMap::new();
    for (role, maybe_members) in listed {
        let Some(Members { groups, users }) = maybe_members else { continue };
        let mut subjects = Vec::new();
        for (kind, names) in [("Group", groups), ("User", users)] {
            for name in names {
                if name.starts_with("system:") {
                    problems.push(Invalid::Member { role: role.as_str(), name: name.clone() });
                }
                match seen.insert((kind, name.clone()), role) {
                    Some(other) if other != role => problems.push(Invalid::TwoRoles {
                        kind,
                        name: name.clone(),
                        roles: [other.as_str(), role.as_str()],
                    }),
                    _ => subjects.push(subject(kind, name)),
                }
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

/// Pod Security of one namespace: baseline on a laptop and in dev, restricted from staging on (seed
/// dossier section 10, item 63).
pub fn pod_security(spec: &PodSecurity, environment: Environment) -> PodSecurityLabels {
    let enforced = match environment {
        Environment::Staging | Environment::Prod => PodSecurityLevel::Restricted,
        Environment::Local | Environment::Dev => PodSecurityLevel::Baseline,
    };
    PodSecurityLabels {
        enforce: spec.enforce.unwrap_or(enforced),
        audit: spec.audit.unwrap_or(PodSecurityLevel::Restricted),
        warn: spec.warn.unwrap_or(PodSecurityLevel::Restricted),
        version: spec.version.clone().unwrap_or_else(|| "latest".to_owned()),
    }
}

#[cfg(test)]
mod tests;
