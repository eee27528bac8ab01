//! How a team goes.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The way out, asked for by `spec.offboarding.phase`: each step is reversible but the last.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OffboardingSpec {
    /// How far the team may go on its way out. Default: it stays.
    #[serde(default)]
    pub phase: OffboardingPhase,
    /// How long data is kept after work has stopped, in hours. Default: 720 (30 days).
    #[serde(default = "thirty_days")]
    #[schemars(range(min = 0, max = 87_600))]
    pub retention_hours: u32,
}

const fn thirty_days() -> u32 {
    720
}

impl OffboardingSpec {
    /// How long data is kept where nothing is declared, in hours.
    pub const DEFAULT_RETENTION_HOURS: u32 = thirty_days();
}

/// What is asked for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffboardingPhase {
    /// The team works.
    #[default]
    Active,
    /// Rights are cut, work is stopped, data is kept. Back to Active undoes it.
    Suspended,
}

/// How far a team is on its way out.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OffboardingStatus {
    /// The step that is reached.
    pub step: OffboardingStep,
    /// When the step was reached, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Until when data is kept at least, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retained_until: Option<String>,
}

/// A step of the way out.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OffboardingStep {
    /// The team works.
    #[default]
    Active,
    /// Nobody has rights; quota admits nothing; traffic is denied.
    RightsCut,
    /// Work has stopped; data is kept.
    Retained,
    /// Namespaces are being removed; no way back.
    Purging,
}
