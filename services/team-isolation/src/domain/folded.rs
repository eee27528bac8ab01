//! Roles as they are kept in memory: three in each namespace, and all of them the same.
//!
//! The rules of a Role that has just those which this service gives it are taken out and put back when it is
//! looked at. Of 3,000 namespaces they are a third of all memory.

use std::borrow::Cow;
use std::sync::LazyLock;

use k8s_openapi::api::rbac::v1::{PolicyRule, Role};
use mlp_crds::team::Role as Access;

use super::rights;

/// Stands on a folded Role in place of its rules; never leaves this process.
const FOLDED: &str = "mlplatform.dev/folded";

/// Name of the Role, what stands for its rules, and the rules.
type Standard = (&'static str, &'static str, Vec<PolicyRule>);

static STANDARDS: LazyLock<Vec<Standard>> = LazyLock::new(|| {
    let all = [Access::Admin, Access::Edit, Access::View].into_iter().flat_map(|access| {
        let rules = rights::rules(access);
        let opening = rules.iter().cloned().chain([rights::opening()]).collect();
        let name = rights::role_name(access);
        [(name, "standard", rules), (name, "opening", opening)]
    });
    all.collect()
});

/// Takes the rules out of a Role that has those of this service.
pub fn fold(role: &mut Role) {
    // What somebody wrote under this key means nothing.
    if let Some(annotations) = &mut role.metadata.annotations {
        annotations.remove(FOLDED);
    }
    let name = role.metadata.name.as_deref().unwrap_or_default();
    let standard =
        STANDARDS.iter().find(|(known, _, rules)| *known == name && role.rules.as_ref() == Some(rules));
    if let Some((_, word, _)) = standard {
        role.rules = None;
        role.metadata.annotations.get_or_insert_default().insert(FOLDED.to_owned(), (*word).to_owned());
    }
}

/// The Role as it is in the cluster.
pub fn unfold(role: &Role) -> Cow<'_, Role> {
    let name = role.metadata.name.as_deref().unwrap_or_default();
    let word = role.metadata.annotations.as_ref().and_then(|all| all.get(FOLDED));
    let standard =
        STANDARDS.iter().find(|(known, stands, _)| *known == name && word.is_some_and(|word| word == stands));
    let Some((_, _, rules)) = standard.filter(|_| role.rules.is_none()) else { return Cow::Borrowed(role) };
    let mut unfolded = role.clone();
    unfolded.rules = Some(rules.clone());
    if let Some(annotations) = &mut unfolded.metadata.annotations {
        annotations.remove(FOLDED);
    }
    Cow::Owned(unfolded)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn role(name: &str, rules: Option<Vec<PolicyRule>>) -> Role {
        let mut role: Role =
            serde_json::from_value(json!({"metadata": {"name": name, "annotations": {"a": "b"}}})).unwrap();
        role.rules = rules;
        role
    }

    #[test]
    fn what_is_folded_is_the_same_again_and_nothing_else_is_folded() {
        for (name, _, rules) in STANDARDS.iter() {
            let made = role(name, Some(rules.clone()));
            let mut folded = made.clone();
            fold(&mut folded);
            assert_eq!(folded.rules, None, "{name}");
            assert_eq!(*unfold(&folded), made);
        }
        let mut fewer = rights::rules(Access::Edit);
        fewer.pop();
        for other in [
            role("team-edit", Some(fewer)),
            role("mine", Some(rights::rules(Access::Edit))),
            role("team-view", None),
        ] {
            let mut kept = other.clone();
            fold(&mut kept);
            assert_eq!(kept, other);
            assert_eq!(*unfold(&kept), other);
        }
    }

    #[test]
    fn nobody_outside_can_say_that_a_role_is_folded() {
        for rules in [None, Some(Vec::new())] {
            let mut forged = role("team-admin", rules.clone());
            let annotations = forged.metadata.annotations.get_or_insert_default();
            annotations.insert(FOLDED.to_owned(), "standard".to_owned());
            fold(&mut forged);
            assert_eq!(unfold(&forged).rules, rules);
        }
    }
}
