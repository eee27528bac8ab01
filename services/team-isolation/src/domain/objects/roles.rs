//! The team's service account, the roles that somebody holds, and who holds them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding, RoleRef, Subject};
use mlp_crds::team::Role as Access;

use super::metadata;
use crate::domain::model::DeclaredTeam;
use crate::domain::rights;

/// The account that the team's automation uses in the namespace.
pub fn service_account(team: &DeclaredTeam, namespace: &str) -> ServiceAccount {
    ServiceAccount { metadata: metadata(team, namespace, &team.service_account), ..ServiceAccount::default() }
}

/// One Role for each kind of access that somebody holds.
pub fn roles(team: &DeclaredTeam, namespace: &str) -> Vec<Role> {
    let held = holders(team, namespace).into_keys();
    held.map(|access| Role {
        metadata: metadata(team, namespace, rights::role_name(access)),
        rules: Some(rights::rules(access)),
    })
    .collect()
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

/// Who holds which access in the namespace: the members everywhere, the account in its own.
fn holders(team: &DeclaredTeam, namespace: &str) -> BTreeMap<Access, Vec<Subject>> {
    let mut holders = team.members.clone();
    let account = Subject {
        api_group: None,
        kind: "ServiceAccount".to_owned(),
        name: team.service_account.clone(),
        namespace: Some(namespace.to_owned()),
    };
    holders.entry(team.service_account_role).or_default().push(account);
    holders
}
