//! The team's service account, the roles that somebody holds, and who holds them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LocalObjectReference, ServiceAccount};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use mlp_crds::team::{CopiedKind, Role as Access};

use super::metadata;
use crate::domain::model::DeclaredTeam;
use crate::domain::rights;

/// The accounts that the team's automation uses in the namespace, with the Secrets they pull images with.
pub fn service_accounts(team: &DeclaredTeam, namespace: &str) -> Vec<ServiceAccount> {
    let pulls = team.copies.iter().filter(|copy| copy.image_pull && copy.kind == CopiedKind::Secret);
    let secrets: Vec<_> = pulls.map(|copy| LocalObjectReference { name: copy.name.clone() }).collect();
    let account = |(name, _): &(String, Access)| ServiceAccount {
        metadata: metadata(team, namespace, name),
        image_pull_secrets: Some(secrets.clone()).filter(|secrets| !secrets.is_empty()),
        ..ServiceAccount::default()
    };
    team.accounts.iter().map(account).collect()
}

/// One Role for each kind of access that somebody holds.
pub fn roles(team: &DeclaredTeam, namespace: &str) -> Vec<Role> {
    let held = holders(team, namespace).into_keys();
    held.map(|access| Role {
        metadata: metadata(team, namespace, rights::role_name(access)),
        rules: Some(rules(team, namespace, access)),
    })
    .collect()
}

fn rules(team: &DeclaredTeam, namespace: &str, access: Access) -> Vec<PolicyRule> {
    let mut rules = rights::rules(access);
    // Kubernetes lets nobody bind a role that holds more than the binder does.
    let opens = team.openers.contains(&access) || (access == Access::Admin && !team.openers.is_empty());
    if namespace == team.home() && opens {
        rules.push(rights::opening());
    }
    rules
}

/// One RoleBinding for each Role.
pub fn bindings(team: &DeclaredTeam, namespace: &str) -> Vec<RoleBinding> {
    let held = holders(team, namespace).into_iter();
    held.map(|(access, subjects)| RoleBinding {
        metadata: metadata(team, namespace, rights::role_name(access)),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: rights::role_name(access).to_owned(),
        },
        subjects: Some(subjects),
    })
    .collect()
}

/// Who holds which access in the namespace: the members everywhere, the accounts in their own.
fn holders(team: &DeclaredTeam, namespace: &str) -> BTreeMap<Access, Vec<Subject>> {
    let mut holders = team.members.clone();
    for (name, role) in &team.accounts {
        let account = Subject {
            api_group: None,
            kind: "ServiceAccount".to_owned(),
            name: name.clone(),
            namespace: Some(namespace.to_owned()),
        };
        holders.entry(*role).or_default().push(account);
    }
    holders
}
