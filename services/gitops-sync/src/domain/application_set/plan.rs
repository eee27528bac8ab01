//! What is to be done to the Applications of a set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mlp_crds::Application;
use mlp_crds::argocd::{ApplicationSet, IgnoreDifference};
use serde_json::{Map, Value};

use super::made;
use crate::domain::identity::ObjectId;
use crate::domain::ignore::{self, IgnoreRule};
use crate::domain::request;

/// The annotation of a set that may come to no Application at all.
pub const ALLOW_EMPTY: &str = "mlplatform.dev/allow-empty";

/// What a set may do to its Applications (`spec.syncPolicy.applicationsSync`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether those that are there are changed.
    pub updates: bool,
    /// Whether those that are not wanted any more are deleted.
    pub deletes: bool,
}

impl Policy {
    /// Reads it.
    ///
    /// # Errors
    /// A word that there is not.
    pub fn of(set: &ApplicationSet) -> Result<Self, String> {
        let word = set.spec.sync_policy.as_ref().and_then(|policy| policy.applications_sync.as_deref());
        let (updates, deletes) = match word.unwrap_or_default() {
            "" | "sync" => (true, true),
            "create-only" => (false, false),
            "create-update" => (true, false),
            "create-delete" => (false, true),
            other => {
                return Err(format!(
                    "spec.syncPolicy.applicationsSync: there is no `{other}`; use sync, create-only, create-update or create-delete"
                ));
            }
        };
        Ok(Self { updates, deletes })
    }
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// To be made, or to be looked at whether they are as wanted.
    pub apply: Vec<Application>,
    /// Names of those that go.
    pub delete: Vec<String>,
    /// Why some stay that are not wanted.
    pub held: Vec<String>,
}

/// Compares what is wanted with what there is of the set.
///
/// A set that comes to nothing deletes nothing: a folder that was renamed or a pattern with a typing error is more
/// likely than that all shall go (argo-cd#18780).
pub fn plan(
    set: &ApplicationSet,
    policy: Policy,
    wanted: Vec<Application>,
    live: &BTreeMap<String, Arc<Application>>,
) -> Plan {
    let name = |one: &Application| one.metadata.name.clone().unwrap_or_default();
    let names: BTreeSet<String> = wanted.iter().map(name).collect();
    let left: Vec<String> = live.keys().filter(|name| !names.contains(*name)).cloned().collect();
    let annotations = set.metadata.annotations.as_ref();
    let may_be_empty = annotations.and_then(|all| all.get(ALLOW_EMPTY)).is_some_and(|value| value == "true");
    let apply = wanted.into_iter().filter(|one| policy.updates || !live.contains_key(&name(one))).collect();
    if !policy.deletes {
        return Plan { apply, ..Plan::default() };
    }
    // A label is copied with what carries it: only what has the set for its owner goes with it.
    let (delete, strange): (Vec<_>, Vec<_>) =
        left.into_iter().partition(|name| live.get(name).is_some_and(|one| owned(set, one)));
    let mut held: Vec<String> = strange
        .iter()
        .map(|name| format!("Application {name} has the set's label and not the set for its owner; it stays"))
        .collect();
    if names.is_empty() && !delete.is_empty() && !may_be_empty {
        held.push(format!(
            "the generators find nothing, and {} Applications stay; where they shall go, annotate the set with {ALLOW_EMPTY}=true",
            delete.len()
        ));
        return Plan { apply, delete: Vec::new(), held };
    }
    Plan { apply, delete, held }
}

/// Whether the set owns the Application.
pub fn owned(set: &ApplicationSet, application: &Application) -> bool {
    let owners = application.metadata.owner_references.iter().flatten();
    set.metadata.uid.is_some()
        && owners.map(|owner| Some(&owner.uid)).any(|uid| uid == set.metadata.uid.as_ref())
}

/// The owners of an Application without the set, where it is one of them.
pub fn without_owner(set: &ApplicationSet, application: &Application) -> Option<Value> {
    let owners = application.metadata.owner_references.iter().flatten();
    let others: Vec<_> = owners.filter(|owner| Some(&owner.uid) != set.metadata.uid.as_ref()).collect();
    owned(set, application).then(|| serde_json::json!(others))
}

/// The finalizers of an Application without those by which its objects go with it, where the set wants none of them:
/// whoever else wrote them keeps them in an apply.
pub fn finalizers_that_stay(wanted: &Application, live: &Application) -> Option<Vec<String>> {
    let takes_along = |name: &&String| name.starts_with(made::FINALIZER);
    let of = |one: &Application| one.metadata.finalizers.clone().unwrap_or_default();
    let (wanted, live) = (of(wanted), of(live));
    let surplus = |name: &&String| takes_along(name) && !wanted.contains(name);
    live.iter()
        .any(|name| surplus(&name))
        .then(|| live.iter().filter(|name| !surplus(name)).cloned().collect())
}

/// Fields of an Application that its set leaves as they are.
///
/// # Errors
/// Broken pointers and expressions, by field.
pub fn ignored(set: &ApplicationSet) -> Result<Vec<IgnoreRule>, String> {
    let rules: Vec<IgnoreDifference> = set
        .spec
        .ignore_application_differences
        .iter()
        .map(|one| IgnoreDifference {
            group: mlp_crds::argocd::GROUP.to_owned(),
            kind: "Application".to_owned(),
            name: one.name.clone(),
            json_pointers: one.json_pointers.clone(),
            jq_path_expressions: one.jq_path_expressions.clone(),
            ..IgnoreDifference::default()
        })
        .collect();
    ignore::read(&rules).map_err(|refusals| {
        request::words(&refusals).replace("spec.ignoreDifferences", "spec.ignoreApplicationDifferences")
    })
}

/// What is wanted, with the live value where a field is left as it is.
pub fn respecting(rules: &[IgnoreRule], wanted: &Value, live: &Value) -> Value {
    match ObjectId::of(wanted) {
        Some(id) if !rules.is_empty() => ignore::respect(rules, &id, live, wanted),
        _ => wanted.clone(),
    }
}

/// A merge patch that takes away what somebody added to the spec of an Application: its set says all of it.
pub fn surplus(wanted: &Value, live: &Value) -> Option<Value> {
    let (wanted, live) = (wanted.as_object()?, live.as_object()?);
    let mut patch = Map::new();
    for (key, value) in live {
        match wanted.get(key) {
            None => drop(patch.insert(key.clone(), Value::Null)),
            Some(below) => drop(surplus(below, value).map(|inner| patch.insert(key.clone(), inner))),
        }
    }
    if patch.is_empty() { None } else { Some(Value::Object(patch)) }
}

/// Whose an Application is that stands where one of the set is wanted; none where the set may have it.
pub fn stranger(set: &ApplicationSet, live: &Application) -> Option<String> {
    let owner = live.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    match owner {
        Some(owner) if Some(&owner.uid) != set.metadata.uid.as_ref() => {
            Some(format!("{} {}", owner.kind, owner.name))
        }
        _ => {
            let other = live.metadata.labels.as_ref().and_then(|labels| labels.get(made::SET));
            let other = other.filter(|name| Some(*name) != set.metadata.name.as_ref());
            other.map(|name| format!("ApplicationSet {name}"))
        }
    }
}
