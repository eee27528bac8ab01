//! Pod Security Standards of a team's namespaces.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Levels for the three modes; what is left out follows the environment.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PodSecurity {
    /// Pods below this level are refused. Default: baseline, and restricted in prod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforce: Option<PodSecurityLevel>,
    /// Pods below this level are noted in the audit log. Default: restricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<PodSecurityLevel>,
    /// Whoever applies pods below this level is warned. Default: restricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn: Option<PodSecurityLevel>,
    /// Version of the standards: `latest` or, for example, `v1.34`. Default: latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10), regex(pattern = "^(latest|v1\\.[0-9]{1,3})$"))]
    pub version: Option<String>,
}

/// A level of the Pod Security Standards. `privileged` is not for teams.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum PodSecurityLevel {
    /// Prevents known privilege escalations.
    Baseline,
    /// Current practice of hardening.
    Restricted,
}

impl PodSecurityLevel {
    /// The level as Kubernetes' namespace labels write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}
