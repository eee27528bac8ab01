//! The team's service accounts, and who holds which role.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LocalObjectReference, ServiceAccount};
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
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

/// One RoleBinding for each kind of access that somebody holds; in the first namespace one more, for those who
/// may open others.
pub fn bindings(team: &DeclaredTeam, namespace: &str) -> Vec<RoleBinding> {
    let holders = holders(team, namespace);
    let openers = team.openers.iter().filter(|_| namespace == team.home());
    let openers: Vec<_> = openers.filter_map(|access| holders.get(access)).flatten().cloned().collect();
    let held = holders.into_iter();
    let held =
        held.map(|(access, subjects)| (rights::binding_name(access), rights::role_name(access), subjects));
    let opening =
        Some((rights::OPENING, rights::OPENER, openers)).filter(|(_, _, openers)| !openers.is_empty());
    held.chain(opening)
        .map(|(name, role, subjects)| RoleBinding {
            metadata: metadata(team, namespace, name),
            role_ref: RoleRef {
                api_group: "rbac.authorization.k8s.io".to_owned(),
                kind: "ClusterRole".to_owned(),
                name: role.to_owned(),
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
