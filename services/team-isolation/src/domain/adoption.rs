//! Adopting a namespace that is there: what keeps it from being adopted, and what of others stays in it and
//! means something for the team. Nothing in it is removed.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Namespace;
use mlp_model::labels;
use serde_json::Value;

use super::SERVICE;
use super::model::DeclaredTeam;
use super::objects::{Key, Kind};

/// What was found in the namespace, as JSON. It is nobody's yet, so all of it is others'.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Its objects of the kinds that this service writes, with their kind.
    pub objects: Vec<(Kind, Value)>,
    /// ClusterRoleBindings of the cluster, and RoleBindings of other namespaces, that name an account of this one.
    pub bindings_elsewhere: Vec<Value>,
}

impl Found {
    fn of(&self, wanted: Kind) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |(kind, _)| *kind == wanted).map(|(_, object)| object)
    }
}

/// What must be put in order before: each of it would be a way around the team's isolation, or be overwritten.
/// `made` are the objects that the team gets.
pub fn hindrances(namespace: &str, found: &Found, made: &BTreeSet<Key>) -> Vec<String> {
    let objects = found.objects.iter().filter_map(|(kind, object)| {
        let name = name(object);
        let manager = object.pointer("/metadata/labels").and_then(|all| all.get(labels::MANAGED_BY));
        if manager.and_then(Value::as_str) == Some(SERVICE) {
            return Some(format!(
                "{kind:?} {name} carries the platform's label {}={SERVICE}; remove the label or the object",
                labels::MANAGED_BY
            ));
        }
        let key = Key { kind: *kind, namespace: namespace.to_owned(), name };
        made.contains(&key).then(|| {
            format!("{kind:?} {} has the name of one that the platform makes; rename or delete it", key.name)
        })
    });
    let accounts = found.bindings_elsewhere.iter().flat_map(|binding| {
        accounts_of(namespace, binding).map(|account| {
            let role = format!("{} {}", text(binding, "/roleRef/kind"), text(binding, "/roleRef/name"));
            let (place, kind) = match text(binding, "/metadata/namespace") {
                place if place.is_empty() => ("the whole cluster".to_owned(), "ClusterRoleBinding"),
                place => (format!("namespace {place}"), "RoleBinding"),
            };
            format!(
                "ServiceAccount {account} holds {role} in {place} ({kind} {}), and every member could use it; take it away",
                name(binding)
            )
        })
    });
    let all = objects.chain(accounts);
    all.map(|line| format!("namespace {namespace}: {line}")).collect()
}

/// One line for each piece of others that stays and matters.
pub fn kept(team: &DeclaredTeam, namespace: &str, found: &Found) -> Vec<String> {
    let members: BTreeSet<String> =
        team.members.values().flatten().map(|subject| format!("{} {}", subject.kind, subject.name)).collect();
    let quotas = found.of(Kind::ResourceQuota).map(|quota| {
        format!(
            "ResourceQuota {}: narrows the team's quota as well; delete it to leave the Team's alone",
            name(quota)
        )
    });
    let limits = found.of(Kind::LimitRange).map(|limits| {
        format!("LimitRange {}: its defaults and bounds apply beside the Team's", name(limits))
    });
    let policies = found.of(Kind::NetworkPolicy).filter(|policy| opens(policy)).map(|policy| {
        format!("NetworkPolicy {}: policies only add, so what it admits stays admitted", name(policy))
    });
    let bindings = found.of(Kind::RoleBinding).flat_map(|binding| {
        let subjects = binding.pointer("/subjects").and_then(Value::as_array).into_iter().flatten();
        let others = subjects.filter(|subject| !is_account_of(subject, namespace));
        others.map(|subject| {
            let who = format!("{} {}", text(subject, "/kind"), text(subject, "/name"));
            let role = text(binding, "/roleRef/name");
            let member = if members.contains(&who) { "a member" } else { "no member of the team" };
            format!("RoleBinding {}: {who}, {member}, keeps {role}", name(binding))
        })
    });
    quotas.chain(limits).chain(policies).chain(bindings).collect()
}

/// What owns the namespace, and would change or delete it: a Tenant of Capsule, a Profile of Kubeflow.
pub fn owner(namespace: &Namespace) -> Option<String> {
    let owner = namespace.metadata.owner_references.as_ref()?.first()?;
    Some(format!("{} {}", owner.kind, owner.name))
}

/// The Team that the namespace is offered to: its name and uid, `ml/6f1c…`.
pub fn offered_to(namespace: &Namespace) -> Option<&str> {
    namespace.metadata.annotations.as_ref()?.get(labels::ADOPT_BY).map(String::as_str)
}

/// As the offer names a Team: another Team of the same name gets nothing.
pub fn address(team: &str, uid: &str) -> String {
    format!("{team}/{uid}")
}

/// The accounts of the namespace that a binding names.
pub fn accounts_of<'a>(namespace: &'a str, binding: &'a Value) -> impl Iterator<Item = String> + 'a {
    let subjects = binding.pointer("/subjects").and_then(Value::as_array).into_iter().flatten();
    subjects.filter(move |subject| is_account_of(subject, namespace)).map(|subject| text(subject, "/name"))
}

/// Whether a policy has a rule.
fn opens(policy: &Value) -> bool {
    ["/spec/ingress", "/spec/egress"]
        .iter()
        .any(|rules| policy.pointer(rules).and_then(Value::as_array).is_some_and(|rules| !rules.is_empty()))
}

fn is_account_of(subject: &Value, namespace: &str) -> bool {
    text(subject, "/kind") == "ServiceAccount" && text(subject, "/namespace") == namespace
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

    fn binding(name: &str, subjects: Value) -> Value {
        json!({"metadata": {"name": name}, "roleRef": {"kind": "ClusterRole", "name": "edit"}, "subjects": subjects})
    }

    fn account(namespace: &str) -> Value {
        json!({"kind": "ServiceAccount", "name": "ci", "namespace": namespace})
    }

    #[test]
    fn what_others_left_is_named_with_what_it_means() {
        let group = |name: &str| json!({"kind": "Group", "name": name});
        let open = json!({"metadata": {"name": "open"}, "spec": {"ingress": [{}]}});
        let found = Found {
            objects: vec![
                (Kind::ResourceQuota, json!({"metadata": {"name": "old"}})),
                (Kind::LimitRange, json!({"metadata": {"name": "old"}})),
                (Kind::NetworkPolicy, json!({"metadata": {"name": "deny"}, "spec": {"podSelector": {}}})),
                (Kind::NetworkPolicy, open),
                (Kind::RoleBinding, binding("own", json!([account("legacy")]))),
                (
                    Kind::RoleBinding,
                    binding("far", json!([account("elsewhere"), group("ml-engineers"), group("eve")])),
                ),
            ],
            bindings_elsewhere: Vec::new(),
        };
        let kept = kept(&team(), "legacy", &found);
        assert_eq!(kept.len(), 6, "{kept:#?}");
        assert!(kept[0].starts_with("ResourceQuota old: ") && kept[1].starts_with("LimitRange old: "));
        assert!(kept[2].starts_with("NetworkPolicy open: "));
        assert_eq!(
            kept[3..],
            [
                "RoleBinding far: ServiceAccount ci, no member of the team, keeps edit",
                "RoleBinding far: Group ml-engineers, a member, keeps edit",
                "RoleBinding far: Group eve, no member of the team, keeps edit",
            ]
        );
        assert!(hindrances("legacy", &found, &BTreeSet::new()).is_empty());
    }

    #[test]
    fn back_doors_and_clashes_of_names_keep_it_from_being_adopted() {
        let forged = json!({"metadata": {"name": "hidden", "labels": {"app.kubernetes.io/managed-by": "team-isolation"}}});
        let mut elsewhere = binding("far", json!([account("legacy")]));
        elsewhere["metadata"]["namespace"] = json!("prod");
        let made =
            Key { kind: Kind::NetworkPolicy, namespace: "legacy".to_owned(), name: "team-flows".to_owned() };
        let found = Found {
            objects: vec![
                (Kind::RoleBinding, forged),
                (Kind::NetworkPolicy, json!({"metadata": {"name": "team-flows"}})),
            ],
            bindings_elsewhere: vec![binding("root", json!([account("legacy"), account("x")])), elsewhere],
        };
        let said = hindrances("legacy", &found, &[made].into());
        assert_eq!(said.len(), 4, "{said:#?}");
        assert!(said[0].contains("RoleBinding hidden carries the platform's label"));
        assert!(said[1].contains("NetworkPolicy team-flows has the name of one that the platform makes"));
        assert!(said[2].contains(
            "ServiceAccount ci holds ClusterRole edit in the whole cluster (ClusterRoleBinding root)"
        ));
        assert!(
            said[3].contains("ServiceAccount ci holds ClusterRole edit in namespace prod (RoleBinding far)")
        );
    }

    #[test]
    fn owner_and_offer_are_read_from_the_namespace() {
        let namespace = |metadata: Value| serde_json::from_value(json!({"metadata": metadata})).unwrap();
        let profile = namespace(json!({
            "ownerReferences": [{"apiVersion": "kubeflow.org/v1", "kind": "Profile", "name": "ml", "uid": "p-1"}],
            "annotations": {"mlplatform.dev/adopt-by": "ml/u-1"},
        }));
        assert_eq!(owner(&profile).as_deref(), Some("Profile ml"));
        assert_eq!(offered_to(&profile), Some(&*address("ml", "u-1")));
        let plain = namespace(json!({}));
        assert_eq!((owner(&plain), offered_to(&plain)), (None, None));
    }
}
