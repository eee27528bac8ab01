//! The status of a set, as Argo CD writes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use mlp_crds::Application;
use mlp_crds::argocd::{
    ApplicationSetCondition, ApplicationSetResource, ApplicationSetStatus, GROUP, HealthStatus,
};

/// The most Applications that a status names; it counts all.
const NAMED: usize = 1_000;

/// What came of a look at a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The Applications are as the set wants them.
    Done,
    /// Parameters were not found; nothing was done.
    NoParameters {
        /// One word.
        reason: &'static str,
        /// What to change.
        message: String,
    },
    /// Some Applications are not as the set wants them.
    NotApplied {
        /// Which, and what to change.
        message: String,
    },
}

/// The reason where texts or generators are wrong.
pub const REFUSED: &str = "ApplicationParamsGenerationError";
const GENERATED: &str = "ParametersGenerated";
const UP_TO_DATE: &str = "ApplicationSetUpToDate";
const NOT_APPLIED: &str = "UpdateApplicationError";

/// The status that says so.
pub fn build(
    before: &ApplicationSetStatus,
    outcome: &Outcome,
    live: &BTreeMap<String, Arc<Application>>,
    now: Timestamp,
) -> ApplicationSetStatus {
    let generated = "Parameters were generated for all Applications";
    let (error, parameters, current) = match outcome {
        Outcome::Done => (
            (false, UP_TO_DATE, "All Applications are as wanted"),
            (true, GENERATED, generated),
            (true, UP_TO_DATE, "All Applications are as wanted"),
        ),
        Outcome::NoParameters { reason, message } => (
            (true, *reason, message.as_str()),
            (false, *reason, message.as_str()),
            (false, *reason, message.as_str()),
        ),
        Outcome::NotApplied { message } => (
            (true, NOT_APPLIED, message.as_str()),
            (true, GENERATED, generated),
            (false, NOT_APPLIED, message.as_str()),
        ),
    };
    let words =
        [("ErrorOccurred", error), ("ParametersGenerated", parameters), ("ResourcesUpToDate", current)];
    let conditions = words.map(|(type_, (is_true, reason, message))| {
        condition(before, type_, if is_true { "True" } else { "False" }, (reason, message), now)
    });
    ApplicationSetStatus {
        conditions: conditions.into(),
        resources: live.values().take(NAMED).map(|one| resource(one)).collect(),
        resources_count: i64::try_from(live.len()).ok(),
    }
}

fn condition(
    before: &ApplicationSetStatus,
    type_: &str,
    status: &str,
    (reason, message): (&str, &str),
    now: Timestamp,
) -> ApplicationSetCondition {
    let same = before.conditions.iter().find(|one| one.type_ == type_ && one.status == status);
    let since = same.and_then(|one| one.last_transition_time.clone());
    ApplicationSetCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: since.or_else(|| Some(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())),
    }
}

fn resource(application: &Application) -> ApplicationSetResource {
    let status = application.status.as_ref();
    let health = status.and_then(|status| status.health.as_ref()?.status.clone());
    ApplicationSetResource {
        group: GROUP.to_owned(),
        version: "v1alpha1".to_owned(),
        kind: "Application".to_owned(),
        namespace: application.metadata.namespace.clone().unwrap_or_default(),
        name: application.metadata.name.clone().unwrap_or_default(),
        status: status.and_then(|status| Some(status.sync.as_ref()?.status.clone())),
        // Its message and time change too often for what this is read for.
        health: health.map(|status| HealthStatus { status: Some(status), ..HealthStatus::default() }),
    }
}
