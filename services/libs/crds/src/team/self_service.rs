//! Namespaces that a team opens by itself.

use kube::KubeSchema;
use mlp_model::Environment;
use serde::{Deserialize, Serialize};

use super::access::Role;

/// Who in the team may open further namespaces, and which. They share the team's quota, limits, network
/// policy and members, and are opened and closed over gRPC (`cargo mlp team open`).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SelfServiceSpec {
    /// Roles whose holders may. Default: admin.
    #[serde(default = "admins")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(validation = Rule::new("!('view' in self)")
        .message("selfService.roles: whoever only reads opens nothing; name admin or edit"))]
    pub roles: Vec<Role>,
    /// How many there may be at the same time, beside those that are declared.
    #[schemars(range(min = 1, max = 18))]
    pub namespaces: u32,
    /// Environments that they may be of, which decide the tier of their rules. Default: the platform's only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub environments: Vec<Environment>,
    /// The largest share of the team's quota that each may claim, in percent. Default: none, they live on what
    /// is lent.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub share: u32,
}

fn admins() -> Vec<Role> {
    vec![Role::Admin]
}
