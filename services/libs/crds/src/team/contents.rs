//! People to reach, and what every namespace of a team is given.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way to reach a team.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// What kind of address: `mail`, `slack`, `pager`, or one of yours.
    #[schemars(length(min = 1, max = 32), regex(pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$"))]
    pub kind: String,
    /// The address.
    #[schemars(length(min = 1, max = 200))]
    pub address: String,
}

/// An object that is copied into every namespace of a team under its own name.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CopiedObject {
    /// Its kind.
    pub kind: CopiedKind,
    /// The namespace that holds the original.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Whether the team's service accounts pull images with it. Secrets only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub image_pull: bool,
}

/// What can be copied.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CopiedKind {
    /// A ConfigMap.
    #[default]
    ConfigMap,
    /// A Secret.
    Secret,
}
