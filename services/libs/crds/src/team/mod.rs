//! `Team`: who shares the cluster, with how much, and who may do what.

mod access;
mod contents;
mod ingress;
mod limits;
mod network;
mod offboarding;
mod pod_security;
mod policy;
mod quota;
mod scheduling;
mod self_service;

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use mlp_model::{Environment, Outbox};
use serde::{Deserialize, Serialize};

pub use access::{Access, Members, Role, ServiceAccountSpec};
pub use contents::{Contact, CopiedKind, CopiedObject};
pub use ingress::{IngressSpec, RateLimit};
pub use limits::{ClaimLimits, ClaimSize, ContainerLimits, CpuMemory, LimitRangeSpec, PodLimits};
pub use network::{NetworkMode, NetworkPolicySpec, NetworkRule, PolicyPort, Protocol};
pub use offboarding::{OffboardingPhase, OffboardingSpec, OffboardingStatus, OffboardingStep};
pub use pod_security::{PodSecurity, PodSecurityLevel};
pub use policy::{PolicyMode, PolicySpec, PriorityAllowance, ServiceType};
pub use quota::{ClassStorage, ObjectCounts, QuotaLimits, QuotaRequests, QuotaSpec};
pub use scheduling::{GpuAccess, GpuSpec, SchedulingSpec, TaintEffect, TaintToleration};
pub use self_service::SelfServiceSpec;

use crate::Condition;

/// What a platform engineer declares about a team. Cluster-scoped; the object's name is the team's.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "mlplatform.dev",
    version = "v1alpha1",
    kind = "Team",
    plural = "teams",
    shortname = "tm",
    category = "mlp",
    doc = "A team that shares the platform: its namespaces, quota, rights and network policy.",
    status = "TeamStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.size() <= 40")
        .message("metadata.name: a team's name has at most 40 characters; shorten it"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([a-z0-9-]*[a-z0-9])?$')")
        .message("metadata.name: use lower-case letters, digits and inner hyphens, starting with a letter"),
    validation = Rule::new("!self.metadata.name.matches('^(default|kube|system|platform|mlp|istio|monitoring|argocd)(-.*)?$')")
        .message("metadata.name: the name is reserved for Kubernetes or the platform; choose another"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Namespaces", type_ = "string", json_path = ".status.namespaces[*].name"),
    printcolumn(name = "Cost centre", type_ = "string", json_path = ".spec.costCenter"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct TeamSpec {
    /// Name for people, for example `Machine Learning`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub display_name: Option<String>,
    /// Who answers for the team: names or mail addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 200)))]
    pub owners: Vec<String>,
    /// How to reach the team: mail, chat, pager.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub contacts: Vec<Contact>,
    /// The cost centre that pays; a label value. Default: the team's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$"))]
    pub cost_center: Option<String>,
    /// The team's namespaces. Default: one, named `<team>-team`. Those that its members open are listed, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_string()]))]
    #[x_kube(validation = Rule::new("self.map(n, has(n.share) ? n.share : 0).sum() <= 100")
        .message("spec.namespaces[].share: the shares add up to more than 100; lower them, what is left is lent by demand"))]
    pub namespaces: Vec<TeamNamespace>,
    /// Labels put on the team's namespaces beside the platform's own; keys of the platform and of
    /// Kubernetes are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(
        extend("maxProperties" = 32),
        extend("additionalProperties" = {
            "type": "string",
            "maxLength": 63,
            "pattern": "^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$"
        })
    )]
    #[x_kube(validation = Rule::new("self.all(key, key.size() <= 317 && !key.contains('mlplatform.dev/') && !key.contains('kubernetes.io/') && !key.contains('k8s.io/') && !(key in ['team', 'cost-center', 'environment', 'name']))")
        .message("spec.labels: `team`, `cost-center`, `environment`, `name` and keys of mlplatform.dev, kubernetes.io and k8s.io belong to the platform; remove them"))]
    pub labels: BTreeMap<String, String>,
    /// The most that the team's namespaces may use together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaSpec>,
    /// Defaults and bounds for each pod, container and claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_range: Option<LimitRangeSpec>,
    /// Who may do what in the team's namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// Which traffic is admitted; everything else is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicySpec>,
    /// Pod Security Standards of the team's namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_security: Option<PodSecurity>,
    /// What the API server admits into the team's namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicySpec>,
    /// Hosts that the team answers for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,
    /// Where the team's pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling: Option<SchedulingSpec>,
    /// Secrets and ConfigMaps that every namespace of the team gets a copy of, and keeps in step with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub copies: Vec<CopiedObject>,
    /// Who in the team may open further namespaces. Default: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_service: Option<SelfServiceSpec>,
    /// How the team goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offboarding: Option<OffboardingSpec>,
}

/// One namespace of a team.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TeamNamespace {
    /// The namespace's full name: a DNS label that is not one of the system's.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("!self.matches('^(default|argocd|monitoring|ingress-nginx|database|cache|storage|platform|local-path-storage|(kube|mlp|istio)(-.*)?)$')")
        .message("spec.namespaces[].name: the namespace belongs to Kubernetes or the platform; choose another"))]
    pub name: String,
    /// The environment that the namespace is of; decides the tier of its rules. Default: the platform's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Percent of the team's quota that the namespace always has. What no share claims is lent to
    /// whichever namespace needs it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub share: Option<u32>,
    /// Who opened it by `selfService`; absent where it is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub opened_by: Option<String>,
}

impl Team {
    /// Names of the team's namespaces: those that are declared, the default applied, then those that its
    /// members opened.
    pub fn namespace_names(&self) -> Vec<String> {
        let (opened, mut names): (Vec<_>, Vec<_>) =
            self.spec.namespaces.iter().partition(|namespace| namespace.opened_by.is_some());
        let default = format!("{}-team", self.metadata.name.as_deref().unwrap_or_default());
        let default = names.is_empty().then_some(default);
        names.extend(opened);
        default.into_iter().chain(names.into_iter().map(|namespace| namespace.name.clone())).collect()
    }

    /// The cost centre, the default (the team's name) applied.
    pub fn cost_center(&self) -> &str {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        self.spec.cost_center.as_deref().unwrap_or(name)
    }
}

/// What the platform says about a team.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TeamStatus {
    /// `Ready` and one condition per part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The team's namespaces as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<NamespaceStatus>,
    /// Quota in force and used, over the team's namespaces together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaStatus>,
    /// What was refused to the team of late, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub denials: Vec<Denial>,
    /// How far the team is on its way out; absent while it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offboarding: Option<OffboardingStatus>,
    /// Facts recorded and not yet published.
    #[serde(default)]
    pub outbox: Outbox,
}

/// One namespace of a team, as it is.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceStatus {
    /// The namespace's name.
    pub name: String,
    /// The namespace's uid; tells a namespace that was made anew.
    #[serde(default)]
    pub uid: String,
    /// Whether quota, rights and policy are in force.
    #[serde(default)]
    pub ready: bool,
    /// The environment that decides the tier of its rules.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub environment: String,
    /// The part of the team's quota that the namespace holds at the moment, and its use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaStatus>,
}

/// A request that was refused, with those that were the same.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Denial {
    /// The namespace.
    pub namespace: String,
    /// Who asked.
    pub user: String,
    /// What for: `create pods`.
    pub action: String,
    /// The object of the newest one; empty where the request named none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Which control: policy, pod-security, quota, limit-range or rights.
    pub control: String,
    /// Which rule of it.
    pub rule: String,
    /// What, why and how to mend it.
    pub message: String,
    /// Whether it was admitted all the same, because the tier only audits the rule.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admitted: bool,
    /// How often.
    pub count: u32,
    /// When it was last, RFC 3339.
    pub last: String,
}

/// Quota in force and used, by Kubernetes' quota keys.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct QuotaStatus {
    /// The most admitted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub hard: BTreeMap<String, crate::Amount>,
    /// In use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub used: BTreeMap<String, crate::Amount>,
}
