//! A team's namespace: labels that the rest of the platform selects on.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Surroundings, owner_labels};
use crate::domain::admission;
use crate::domain::model::{DeclaredNamespace, DeclaredTeam, pod_security};
use crate::domain::tier::Tier;

/// Annotation with the uid of the Team that holds the namespace, for people and for audits.
/// Ownership goes by label and field manager, never by this.
pub const TEAM_UID: &str = "mlplatform.dev/team-uid";

/// Label with the tier of the namespace's rules.
pub const TIER: &str = "mlplatform.dev/policy-tier";

/// The namespace with its labels (the platform's, the seed's plain ones, Pod Security, the team's) and
/// with the lists that admission compares with.
pub fn namespace(team: &DeclaredTeam, declared: &DeclaredNamespace, around: &Surroundings) -> Namespace {
    let environment = declared.environment;
    let mut labels = team.labels.clone();
    labels.extend(owner_labels(team, environment));
    let levels = pod_security(&team.pod_security, environment);
    let pairs = [
        ("team", team.name.as_str()),
        ("cost-center", team.cost_center.as_str()),
        ("environment", environment.as_str()),
        (TIER, Tier::of(environment).as_str()),
        ("pod-security.kubernetes.io/enforce", levels.enforce.as_str()),
        ("pod-security.kubernetes.io/enforce-version", levels.version.as_str()),
        ("pod-security.kubernetes.io/audit", levels.audit.as_str()),
        ("pod-security.kubernetes.io/audit-version", levels.version.as_str()),
        ("pod-security.kubernetes.io/warn", levels.warn.as_str()),
        ("pod-security.kubernetes.io/warn-version", levels.version.as_str()),
    ];
    let defaults = (!admission::has_pod_defaults(team)).then_some((admission::POD_DEFAULTS, "none"));
    let pairs = pairs.into_iter().chain(defaults);
    labels.extend(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let mut annotations = admission::annotations(team, declared, around);
    annotations.insert(TEAM_UID.to_owned(), team.uid.clone());
    Namespace {
        metadata: ObjectMeta {
            name: Some(declared.name.clone()),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}
