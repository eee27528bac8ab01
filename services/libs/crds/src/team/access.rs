//! Who may do what in a team's namespaces.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Members by role; the roles are the platform's `admin`, `edit` and `view` for teams, none of
/// which can change quota, limits, network policy of the platform, or the namespace itself.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.admin) || !has(self.admin.groups) || ((!has(self.edit) || !has(self.edit.groups) || !self.edit.groups.exists(g, g in self.admin.groups)) && (!has(self.view) || !has(self.view.groups) || !self.view.groups.exists(g, g in self.admin.groups)))")
    .message("access: a group of access.admin is listed under edit or view as well; list each group under one role"))]
#[x_kube(validation = Rule::new("!has(self.edit) || !has(self.edit.groups) || !has(self.view) || !has(self.view.groups) || !self.view.groups.exists(g, g in self.edit.groups)")
    .message("access: a group of access.edit is listed under view as well; list each group under one role"))]
pub struct Access {
    /// May do all that a team may do in its namespaces, grant its roles included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<Members>,
    /// May change workloads, configuration and claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<Members>,
    /// May read all but Secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<Members>,
    /// The account that the team's automation uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccountSpec>,
    /// Further accounts, one of each in every namespace of the team.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new("self.all(account, has(account.name))")
        .message("access.serviceAccounts[].name is missing; name each account"))]
    pub service_accounts: Vec<ServiceAccountSpec>,
}

/// Groups and users, as the API server's authentication names them.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Members {
    /// Groups, for example `ml-engineers`; those that Kubernetes reserves are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)))]
    #[x_kube(validation = Rule::new("self.all(group, !group.startsWith('system:'))")
        .message("access groups: names that start with system: belong to Kubernetes; remove them"))]
    pub groups: Vec<String>,
    /// Users, for example `ml-engineer@company.com`; those that Kubernetes reserves are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[x_kube(validation = Rule::new("self.all(user, !user.startsWith('system:'))")
        .message("access users: names that start with system: belong to Kubernetes; remove them"))]
    pub users: Vec<String>,
}

/// The account that a team's automation uses, one in each of its namespaces.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountSpec {
    /// The account's name. Default: `<team>-team`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("self != 'default'")
        .message("access.serviceAccount.name: `default` is every pod's account; choose another name"))]
    pub name: Option<String>,
    /// The account's role. Default: edit.
    #[serde(default)]
    pub role: Role,
}

/// A role of a team's members.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// All that a team may do.
    Admin,
    /// Change workloads, configuration and claims.
    #[default]
    Edit,
    /// Read all but Secrets.
    View,
}

impl Role {
    /// All of them, the strongest first.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Edit, Self::View];

    /// The role's name as written in the spec.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Edit => "edit",
            Self::View => "view",
        }
    }
}
