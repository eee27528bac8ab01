//! A team's namespace: labels that the rest of the platform selects on.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::owner_labels;
use crate::domain::model::DeclaredTeam;

/// Annotation with the uid of the Team that holds the namespace, for people and for audits.
/// Ownership goes by label and field manager, never by this.
pub const TEAM_UID: &str = "mlplatform.dev/team-uid";

/// The namespace with its labels: the platform's, the seed's plain ones, Pod Security, the team's.
pub fn namespace(team: &DeclaredTeam, name: &str) -> Namespace {
    let mut labels = team.labels.clone();
    labels.extend(owner_labels(team));
    let levels = &team.pod_security;
    let pairs = [
        ("team", team.name.as_str()),
        ("cost-center", team.cost_center.as_str()),
        ("environment", team.environment.as_str()),
        ("pod-security.kubernetes.io/enforce", levels.enforce.as_str()),
        ("pod-security.kubernetes.io/enforce-version", levels.version.as_str()),
        ("pod-security.kubernetes.io/audit", levels.audit.as_str()),
        ("pod-security.kubernetes.io/audit-version", levels.version.as_str()),
        ("pod-security.kubernetes.io/warn", levels.warn.as_str()),
        ("pod-security.kubernetes.io/warn-version", levels.version.as_str()),
    ];
    labels.extend(pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
    Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels),
            annotations: Some([(TEAM_UID.to_owned(), team.uid.clone())].into()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}
