//! What an operation is about: all objects, or those that it names.

use mlp_crds::argocd::{ApplicationStatus, Operation, OperationResource, OperationState};

use super::identity::ObjectId;
use super::picture::Picture;

/// The objects that an operation names; none means all.
pub fn named(state: &OperationState) -> &[OperationResource] {
    state.operation.sync.as_ref().map(|sync| sync.resources.as_slice()).unwrap_or_default()
}

/// Whether the operation leaves something as it is on purpose: it is no attempt at the whole, and no entry of the
/// history.
pub fn is_partial(operation: &Operation) -> bool {
    operation.is_dry_run() || operation.sync.as_ref().is_some_and(|sync| !sync.resources.is_empty())
}

/// Whether an object is among those that are named, and not excluded.
pub fn takes(named: &[OperationResource], id: &ObjectId) -> bool {
    let (excluded, included): (Vec<_>, Vec<_>) = named.iter().partition(|rule| rule.exclude);
    let is_in = |rules: &[&OperationResource]| rules.iter().any(|rule| is_of(rule, id));
    !is_in(&excluded) && (included.is_empty() || is_in(&included))
}

/// The place of the first rule that names no object of the Application.
pub fn names_nothing(named: &[OperationResource], picture: &Picture) -> Option<usize> {
    let ids: Vec<_> = picture
        .items
        .iter()
        .map(|item| &item.id)
        .chain(picture.extras.iter().map(|extra| &extra.id))
        .collect();
    named.iter().position(|rule| !ids.iter().any(|id| is_of(rule, id)))
}

/// `*` stands for any, as does an empty namespace.
fn is_of(rule: &OperationResource, id: &ObjectId) -> bool {
    let fits = |wanted: &str, is: &str| wanted == "*" || wanted == is;
    fits(&rule.group, &id.group)
        && fits(&rule.kind, &id.kind)
        && fits(&rule.name, &id.name)
        && (rule.namespace.is_empty() || fits(&rule.namespace, &id.namespace))
}

/// How one begins to say that a sync of the whole failed for good.
pub fn not_again(revision: &str) -> String {
    format!("the sync to {revision} failed and is not tried again: ")
}

/// What was said of a sync of the whole to this revision that failed for good: an operation that is not about the whole
/// takes its place in the status, and must not have it tried again.
pub fn given_up(status: &ApplicationStatus, revision: &str) -> Option<String> {
    let beginning = not_again(revision);
    let mut said = status.conditions.iter().map(|one| &one.message);
    said.find(|message| message.starts_with(&beginning)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: &str, name: &str, exclude: bool) -> OperationResource {
        OperationResource { kind: kind.into(), name: name.into(), exclude, ..OperationResource::default() }
    }

    fn id(kind: &str, name: &str) -> ObjectId {
        let (kind, name, namespace) = (kind.into(), name.into(), "ml-team".into());
        ObjectId { kind, name, namespace, ..ObjectId::default() }
    }

    #[test]
    fn what_is_named_and_not_excluded_is_taken() {
        let (web, map) = (id("Service", "web"), id("ConfigMap", "settings"));
        assert!(takes(&[], &web));
        let one = [rule("Service", "web", false)];
        assert!(takes(&one, &web) && !takes(&one, &map));
        let but = [rule("ConfigMap", "*", true)];
        assert!(takes(&but, &web) && !takes(&but, &map));
        let both = [rule("*", "web", false), rule("Service", "web", true)];
        assert!(!takes(&both, &web));
        let elsewhere = [OperationResource { namespace: "other".into(), ..rule("Service", "web", false) }];
        assert!(!takes(&elsewhere, &web));
    }
}
