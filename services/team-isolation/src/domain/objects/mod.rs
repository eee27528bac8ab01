//! What a team's namespaces hold, as Kubernetes objects.
//!
//! Amounts and lists are written in the form that the API server stores, so that a comparison with
//! the live object finds changes and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::core::v1::{ConfigMap, LimitRange, Namespace, ResourceQuota, Secret, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mlp_crds::team::OffboardingPhase;
use mlp_model::{Environment, labels};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::SERVICE;
use super::exemption::Exemptions;
use super::lease::{self, Split};
use super::model::DeclaredTeam;
use super::plan::Observed;

pub mod copies;
pub mod limits;
pub mod namespace;
pub mod network;
pub mod quota;
pub mod roles;

/// The kinds that this service writes, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Namespace.
    Namespace,
    /// ServiceAccount.
    ServiceAccount,
    /// ResourceQuota.
    ResourceQuota,
    /// LimitRange.
    LimitRange,
    /// ConfigMap: a copy of one elsewhere.
    ConfigMap,
    /// Secret: a copy of one elsewhere.
    Secret,
    /// NetworkPolicy.
    NetworkPolicy,
    /// Role: none is written; those of an earlier version are taken away.
    Role,
    /// RoleBinding: last, so that nobody acts before quota and policy are in force.
    RoleBinding,
}

/// Names one object of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; for a Namespace, itself.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Namespace => write!(formatter, "Namespace {}", self.name),
            kind => write!(formatter, "{kind:?} {}/{}", self.namespace, self.name),
        }
    }
}

/// One object of ours.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A team's namespace.
    Namespace(Namespace),
    /// The team's service account.
    ServiceAccount(ServiceAccount),
    /// The namespace's share of the team's quota.
    ResourceQuota(ResourceQuota),
    /// Defaults and bounds.
    LimitRange(LimitRange),
    /// A copied ConfigMap.
    ConfigMap(ConfigMap),
    /// A copied Secret.
    Secret(Secret),
    /// Denied or admitted traffic.
    NetworkPolicy(NetworkPolicy),
    /// Who may do what.
    RoleBinding(RoleBinding),
}

impl Object {
    /// What the object is called.
    pub fn key(&self) -> Key {
        let (kind, metadata) = match self {
            Self::Namespace(object) => (Kind::Namespace, &object.metadata),
            Self::ServiceAccount(object) => (Kind::ServiceAccount, &object.metadata),
            Self::ResourceQuota(object) => (Kind::ResourceQuota, &object.metadata),
            Self::LimitRange(object) => (Kind::LimitRange, &object.metadata),
            Self::ConfigMap(object) => (Kind::ConfigMap, &object.metadata),
            Self::Secret(object) => (Kind::Secret, &object.metadata),
            Self::NetworkPolicy(object) => (Kind::NetworkPolicy, &object.metadata),
            Self::RoleBinding(object) => (Kind::RoleBinding, &object.metadata),
        };
        let name = metadata.name.clone().unwrap_or_default();
        Key { kind, namespace: metadata.namespace.clone().unwrap_or_else(|| name.clone()), name }
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Namespace(object) => &mut object.metadata,
            Self::ServiceAccount(object) => &mut object.metadata,
            Self::ResourceQuota(object) => &mut object.metadata,
            Self::LimitRange(object) => &mut object.metadata,
            Self::ConfigMap(object) => &mut object.metadata,
            Self::Secret(object) => &mut object.metadata,
            Self::NetworkPolicy(object) => &mut object.metadata,
            Self::RoleBinding(object) => &mut object.metadata,
        }
    }

    /// Annotated with a hash of itself: a statement that the declaration no longer makes shows as
    /// another hash, where a comparison of what is stated would find nothing missing.
    fn sealed(mut self) -> Self {
        let digest = Sha256::digest(self.json().to_string());
        let hash = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let annotations = self.metadata_mut().annotations.get_or_insert_default();
        annotations.insert(labels::APPLIED_HASH.to_owned(), hash);
        self
    }

    /// The object as JSON, for comparison and for printing.
    pub fn json(&self) -> Value {
        let value = match self {
            Self::Namespace(object) => serde_json::to_value(object),
            Self::ServiceAccount(object) => serde_json::to_value(object),
            Self::ResourceQuota(object) => serde_json::to_value(object),
            Self::LimitRange(object) => serde_json::to_value(object),
            Self::ConfigMap(object) => serde_json::to_value(object),
            Self::Secret(object) => serde_json::to_value(object),
            Self::NetworkPolicy(object) => serde_json::to_value(object),
            Self::RoleBinding(object) => serde_json::to_value(object),
        };
        // Serializing a k8s-openapi type into a Value cannot fail: all its map keys are strings.
        value.unwrap_or_default()
    }
}

/// What a team's objects depend on beside its declaration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surroundings {
    /// How the quota is split at the moment.
    pub split: Split,
    /// Rules that are lifted for a time.
    pub exemptions: Exemptions,
    /// Namespaces that left the declaration and still hold something.
    pub leaving: Vec<String>,
    /// Hosts that another team holds.
    pub refused_hosts: Vec<String>,
    /// Namespaces whose quota carries the key that makes Kubernetes count anew.
    pub recounts: BTreeSet<String>,
    /// The originals of what is copied.
    pub originals: copies::Originals,
}

impl Surroundings {
    /// Those of a team of which nothing is there yet.
    pub fn fresh(team: &DeclaredTeam) -> Self {
        let split = lease::of(team, &Observed::default(), &[], &lease::Demands::new());
        Self { split, ..Self::default() }
    }
}

/// All objects of a team, namespace by namespace, in the order in which they are made.
pub fn of(team: &DeclaredTeam, around: &Surroundings) -> Vec<Object> {
    let suspended = team.phase == OffboardingPhase::Suspended;
    let staying = team.namespaces.iter().flat_map(|namespace| {
        let mut objects = vec![Object::Namespace(namespace::namespace(team, namespace, around))];
        objects.extend(in_namespace(team, &namespace.name, around, suspended));
        objects
    });
    // Nobody has rights there any more; what still runs stays within its quota and behind its policy.
    let leaving = around.leaving.iter().flat_map(|name| {
        let mut objects = vec![Object::ResourceQuota(quota::quota(team, name, around))];
        objects.extend(quota::of_priorities(team, name).into_iter().map(Object::ResourceQuota));
        objects.extend(limits::limit_range(team, name).map(Object::LimitRange));
        objects.extend(network::policy(team, name, true).map(Object::NetworkPolicy));
        objects
    });
    staying.chain(leaving).map(Object::sealed).collect()
}

/// What a namespace holds; of a suspended team it is what holds others off, and nothing that admits.
fn in_namespace(team: &DeclaredTeam, namespace: &str, around: &Surroundings, suspended: bool) -> Vec<Object> {
    let accounts = roles::service_accounts(team, namespace).into_iter().map(Object::ServiceAccount);
    let mut objects: Vec<_> = accounts.collect();
    objects.push(Object::ResourceQuota(quota::quota(team, namespace, around)));
    objects.extend(quota::of_priorities(team, namespace).into_iter().map(Object::ResourceQuota));
    objects.extend(limits::limit_range(team, namespace).map(Object::LimitRange));
    objects.extend(copies::copies(team, namespace, around));
    objects.extend(network::policy(team, namespace, suspended).map(Object::NetworkPolicy));
    if !suspended {
        objects.extend(roles::bindings(team, namespace).into_iter().map(Object::RoleBinding));
    }
    objects
}

/// Metadata of an object in a team's namespace.
fn metadata(team: &DeclaredTeam, namespace: &str, name: &str) -> ObjectMeta {
    let declared = team.namespaces.iter().find(|declared| declared.name == namespace);
    let environment = declared.map_or(team.environment, |declared| declared.environment);
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(owner_labels(team, environment)),
        ..ObjectMeta::default()
    }
}

/// The labels by which this service finds its objects again.
fn owner_labels(team: &DeclaredTeam, environment: Environment) -> BTreeMap<String, String> {
    [
        (labels::TEAM, team.name.as_str()),
        (labels::COST_CENTER, team.cost_center.as_str()),
        (labels::ENVIRONMENT, environment.as_str()),
        (labels::MANAGED_BY, SERVICE),
        (labels::PART_OF, "ml-platform"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

#[cfg(test)]
mod tests;
