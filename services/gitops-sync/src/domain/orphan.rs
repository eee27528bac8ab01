//! Objects in a destination that no Application manages, for projects that ask to be told (`orphanedResources`).

use mlp_crds::argocd::OrphanedResources;

use super::glob::Glob;
use super::identity::ObjectId;

/// Objects named in one message.
const NAMED: usize = 5;
/// What every namespace has, by group, kind and name.
const GIVEN: [(&str, &str, &str); 3] =
    [("", "ServiceAccount", "default"), ("", "ConfigMap", "kube-root-ca.crt"), ("", "Service", "kubernetes")];
/// Groups of which objects are said, not made for anybody: what Applications are made of, reports, reviews.
const GROUPS: [&str; 6] = [
    "argoproj.io",
    "authorization.k8s.io",
    "events.k8s.io",
    "metrics.k8s.io",
    "wgpolicyk8s.io",
    "reports.kyverno.io",
];
/// Kinds that Argo CD leaves out of everything, and our own records.
const KINDS: [(&str, &str); 8] = [
    ("", "Endpoints"),
    ("", "Event"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("coordination.k8s.io", "Lease"),
    ("cert-manager.io", "CertificateRequest"),
    ("cilium.io", "CiliumEndpoint"),
    ("cilium.io", "CiliumIdentity"),
    ("mlplatform.dev", "ApplicationRecord"),
];

/// Whether objects of a kind may be orphans.
pub fn counts(group: &str, kind: &str) -> bool {
    !GROUPS.contains(&group) && !KINDS.contains(&(group, kind))
}

/// What is to be told of objects that no Application manages; none where there are none, or the project does not ask.
pub fn told<'a>(
    unmanaged: impl Iterator<Item = &'a ObjectId>,
    settings: &OrphanedResources,
    namespace: &str,
    project: &str,
) -> Option<String> {
    if settings.warn == Some(false) {
        return None;
    }
    let mut orphans: Vec<&ObjectId> =
        unmanaged.filter(|id| !is_given(id) && !is_ignored(id, settings)).collect();
    orphans.sort();
    let named: Vec<String> = orphans.iter().take(NAMED).map(|id| short(id)).collect();
    let (first, rest) = (named.join(", "), orphans.len().checked_sub(named.len())?);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    (!orphans.is_empty()).then(|| {
        format!(
            "Application has {} orphaned resources: {first}{more} in namespace {namespace}; write them into git, \
             delete them, or list them in spec.orphanedResources.ignore of AppProject {project}",
            orphans.len()
        )
    })
}

fn is_given(id: &ObjectId) -> bool {
    GIVEN.contains(&(id.group.as_str(), id.kind.as_str(), id.name.as_str()))
}

fn is_ignored(id: &ObjectId, settings: &OrphanedResources) -> bool {
    let fits = |pattern: Option<&String>, text: &str| {
        let pattern = pattern.filter(|pattern| !pattern.is_empty());
        pattern.is_none_or(|pattern| Glob::new(pattern).is_ok_and(|glob| glob.matches(text)))
    };
    settings.ignore.iter().any(|key| {
        // An empty group is the core group.
        let group = Glob::new(key.group.as_deref().unwrap_or_default());
        group.is_ok_and(|group| group.matches(&id.group))
            && fits(key.kind.as_ref(), &id.kind)
            && fits(key.name.as_ref(), &id.name)
    })
}

fn short(id: &ObjectId) -> String {
    ObjectId { namespace: String::new(), ..id.clone() }.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn id(group: &str, kind: &str, name: &str) -> ObjectId {
        let text = |text: &str| text.to_owned();
        ObjectId { group: text(group), kind: text(kind), name: text(name), ..ObjectId::default() }
    }

    fn said(settings: Value, all: &[ObjectId]) -> Option<String> {
        told(all.iter(), &serde_json::from_value(settings).unwrap(), "shop", "p")
    }

    #[test]
    fn orphans_are_counted_and_the_first_are_named() {
        let all = [id("", "Secret", "b"), id("apps", "Deployment", "a"), id("", "ServiceAccount", "default")];
        let words = said(json!({}), &all).unwrap();
        assert!(
            words.starts_with(
                "Application has 2 orphaned resources: Secret b, Deployment.apps a in namespace shop;"
            ),
            "{words}"
        );
        let many: Vec<_> = (0..7).map(|number| id("", "Secret", &number.to_string())).collect();
        let words = said(json!({}), &many).unwrap();
        assert!(
            words.contains("7 orphaned resources: Secret 0") && words.contains("4 and 2 more"),
            "{words}"
        );
        assert_eq!(said(json!({"warn": false}), &all), None);
        assert_eq!(said(json!({}), &all[2..]), None);
    }

    #[test]
    fn what_the_project_ignores_is_not_told_of() {
        let all = [id("", "Secret", "sh.helm.release.v1.shop"), id("apps", "Deployment", "a")];
        let without =
            |ignore: Value| said(json!({"ignore": [ignore]}), &all).map(|words| words.contains("has 2"));
        assert_eq!(without(json!({"kind": "Secret", "name": "sh.helm.*"})), Some(false));
        assert_eq!(without(json!({"kind": "Deployment"})), Some(true), "of the core group there is none");
        assert_eq!(without(json!({"group": "apps"})), Some(false));
        assert_eq!(without(json!({"group": "*"})), None);
    }

    #[test]
    fn reports_of_the_cluster_are_none_of_them() {
        assert!(counts("", "ConfigMap") && counts("batch", "Job"));
        for (group, kind) in
            [("", "Event"), ("argoproj.io", "Application"), ("discovery.k8s.io", "EndpointSlice")]
        {
            assert!(!counts(group, kind), "{kind}");
        }
    }
}
