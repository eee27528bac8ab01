//! Hosts that a team answers for, and where it may attach.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What a team may publish.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IngressSpec {
    /// Names that are the team's, with all names below them: `ml.example.com` covers
    /// `api.ml.example.com`. No two Teams may own overlapping names; the older Team keeps them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))
    )]
    pub hosts: Vec<String>,
    /// Ingress classes that the team may use. Default: `nginx`.
    #[serde(default = "nginx")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 253)))]
    pub classes: Vec<String>,
    /// Gateways that the team's routes may attach to, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        inner(length(min = 3, max = 320), regex(pattern = "^[a-z0-9-]+/[a-z0-9.-]+$"))
    )]
    pub gateways: Vec<String>,
    /// Limits on each client address, put on every Ingress of the team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
}

impl IngressSpec {
    /// What a team has that declares nothing: no host, and the default class.
    pub fn none() -> Self {
        Self { classes: nginx(), ..Self::default() }
    }
}

fn nginx() -> Vec<String> {
    vec!["nginx".to_owned()]
}

/// Limits on each client address of an Ingress (ingress-nginx reads them).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Requests a second.
    #[schemars(range(min = 1, max = 100_000))]
    pub requests_per_second: u32,
    /// Connections at the same time.
    #[schemars(range(min = 1, max = 100_000))]
    pub connections: u32,
    /// The largest body, in ingress-nginx's notation, for example `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10), regex(pattern = "^[0-9]+[kmg]?$"))]
    pub body_size: Option<String>,
}
