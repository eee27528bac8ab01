//! What an adopted namespace keeps of others: nothing of it is removed, and each piece is named with what
//! it means for the team, before anything is done.

use std::collections::BTreeSet;

use mlp_model::labels;
use serde_json::Value;

use super::SERVICE;
use super::model::DeclaredTeam;

/// What was found in the namespace, as JSON, ours and others'.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// ResourceQuotas.
    pub quotas: Vec<Value>,
    /// LimitRanges.
    pub limits: Vec<Value>,
    /// NetworkPolicies.
    pub policies: Vec<Value>,
    /// RoleBindings.
    pub bindings: Vec<Value>,
}

/// One line for each piece of others that stays and matters.
pub fn kept(team: &DeclaredTeam, found: &Found) -> Vec<String> {
    let members: BTreeSet<String> =
        team.members.values().flatten().map(|subject| format!("{} {}", subject.kind, subject.name)).collect();
    let quotas = found.quotas.iter().filter(others).map(|quota| {
        format!(
            "ResourceQuota {}: narrows the team's quota as well; delete it to leave the Team's alone",
            name(quota)
        )
    });
    let limits = found.limits.iter().filter(others).map(|limits| {
        format!("LimitRange {}: its defaults and bounds apply beside the Team's", name(limits))
    });
    let policies = found.policies.iter().filter(others).filter(|policy| opens(policy)).map(|policy| {
        format!("NetworkPolicy {}: policies only add, so what it admits stays admitted", name(policy))
    });
    let bindings = found.bindings.iter().filter(others).filter_map(|binding| {
        let strangers = strangers(binding, &members);
        (!strangers.is_empty()).then(|| {
            let role = text(binding, "/roleRef/name");
            let who = strangers.join(", ");
            format!("RoleBinding {}: {who} is no member of the team and keeps {role}", name(binding))
        })
    });
    quotas.chain(limits).chain(policies).chain(bindings).collect()
}

/// What owns the namespace, and would change or delete it: a Tenant of Capsule, a Profile of Kubeflow.
pub fn owner(namespace: &Value) -> Option<String> {
    let owner = namespace.pointer("/metadata/ownerReferences")?.as_array()?.first()?;
    Some(format!("{} {}", text(owner, "/kind"), text(owner, "/name")))
}

/// The team that the namespace is offered to.
pub fn offered_to(namespace: &Value) -> Option<String> {
    namespace.pointer("/metadata/annotations")?.get(labels::ADOPT_BY)?.as_str().map(str::to_owned)
}

fn others(object: &&Value) -> bool {
    let manager = object.pointer("/metadata/labels").and_then(|all| all.get(labels::MANAGED_BY));
    manager.and_then(Value::as_str) != Some(SERVICE)
}

/// Whether a policy has a rule.
fn opens(policy: &Value) -> bool {
    ["/spec/ingress", "/spec/egress"]
        .iter()
        .any(|rules| policy.pointer(rules).and_then(Value::as_array).is_some_and(|rules| !rules.is_empty()))
}

/// Groups and users of a binding that are no members; service accounts are the namespace's own business.
fn strangers(binding: &Value, members: &BTreeSet<String>) -> Vec<String> {
    let subjects = binding.pointer("/subjects").and_then(Value::as_array).into_iter().flatten();
    let people = subjects.filter(|subject| text(subject, "/kind") != "ServiceAccount");
    let named = people.map(|subject| format!("{} {}", text(subject, "/kind"), text(subject, "/name")));
    named.filter(|subject| !members.contains(subject)).collect()
}

fn name(object: &Value) -> String {
    text(object, "/metadata/name")
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::model::{Site, declare};

    fn team() -> DeclaredTeam {
        let team = json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": {"name": "ml", "uid": "u"},
            "spec": {"access": {"edit": {"groups": ["ml-engineers"]}}}});
        declare(&serde_json::from_value(team).unwrap(), &Site::default()).unwrap()
    }

    #[test]
    fn what_others_left_is_named_with_what_it_means() {
        let subject = |kind: &str, name: &str| json!({"kind": kind, "name": name});
        let binding = |name: &str, subjects: Value| json!({"metadata": {"name": name}, "roleRef": {"name": "edit"}, "subjects": subjects});
        let found = Found {
            quotas: vec![
                json!({"metadata": {"name": "old"}}),
                json!({"metadata": {"name": "team-quota", "labels": {"app.kubernetes.io/managed-by": "team-isolation"}}}),
            ],
            limits: vec![json!({"metadata": {"name": "old"}})],
            policies: vec![
                json!({"metadata": {"name": "deny"}, "spec": {"podSelector": {}}}),
                json!({"metadata": {"name": "open"}, "spec": {"ingress": [{}]}}),
            ],
            bindings: vec![
                binding(
                    "members",
                    json!([subject("Group", "ml-engineers"), subject("ServiceAccount", "ci")]),
                ),
                binding("strangers", json!([subject("User", "eve"), subject("Group", "ml-engineers")])),
            ],
        };
        let kept = kept(&team(), &found);
        assert_eq!(kept.len(), 4, "{kept:#?}");
        assert!(kept[0].starts_with("ResourceQuota old: ") && kept[1].starts_with("LimitRange old: "));
        assert!(kept[2].starts_with("NetworkPolicy open: "));
        assert_eq!(kept[3], "RoleBinding strangers: User eve is no member of the team and keeps edit");
    }

    #[test]
    fn owner_and_offer_are_read_from_the_namespace() {
        let profile = json!({"metadata": {"ownerReferences": [{"kind": "Profile", "name": "ml"}],
            "annotations": {"mlplatform.dev/adopt-by": "ml"}}});
        assert_eq!(owner(&profile).as_deref(), Some("Profile ml"));
        assert_eq!(offered_to(&profile).as_deref(), Some("ml"));
        assert_eq!((owner(&json!({})), offered_to(&json!({}))), (None, None));
    }
}
