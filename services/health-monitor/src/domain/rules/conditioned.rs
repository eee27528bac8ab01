//! Our own kinds (conditions and observedGeneration) and Argo CD's Application.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use mlp_crds::status::NOT_YET;

use crate::domain::{Health, Verdict};

/// The verdict on an object that says `Ready` in its conditions.
pub fn conditioned(conditions: &[Condition], observed: Option<i64>, generation: Option<i64>) -> Verdict {
    if let Some(stale) = Verdict::stale(observed, generation) {
        return stale;
    }
    let find = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
    if let Some(simulated) = find("Simulated").filter(|condition| condition.status == "True") {
        return Verdict::simulated(simulated.message.clone()).since(Some(simulated.last_transition_time.0));
    }
    let Some(ready) = find("Ready") else {
        return Verdict::new(Health::Unknown, "NoReadyCondition", "the status has no Ready condition");
    };
    let stale = ready.observed_generation.zip(generation).filter(|(seen, newest)| seen < newest);
    if let Some((seen, newest)) = stale {
        return Verdict::stale(Some(seen), Some(newest)).unwrap_or_else(|| said(Health::Unknown, ready));
    }
    match ready.status.as_str() {
        "True" => said(Health::Healthy, ready),
        "False" if NOT_YET.contains(&ready.reason.as_str()) => said(Health::Progressing, ready),
        "False" => said(Health::Degraded, ready),
        _ => said(Health::Unknown, ready),
    }
}

fn said(health: Health, condition: &Condition) -> Verdict {
    Verdict::new(health, &condition.reason, condition.message.clone())
        .since(Some(condition.last_transition_time.0))
}

/// The verdict on an Application from what Argo CD's status says: `health.status`, its message,
/// and whether the last sync failed.
pub fn application(
    health: Option<&str>,
    message: Option<&str>,
    phase: Option<&str>,
    since: Option<Timestamp>,
) -> Verdict {
    let message = message.unwrap_or_default();
    if matches!(phase, Some("Failed" | "Error")) {
        return Verdict::new(Health::Degraded, "SyncFailed", message).since(since);
    }
    let (health, reason) = match health {
        Some("Healthy") => (Health::Healthy, "Healthy"),
        Some("Progressing") => (Health::Progressing, "Progressing"),
        Some("Suspended") => (Health::Suspended, "Suspended"),
        Some("Degraded") => (Health::Degraded, "Degraded"),
        Some("Missing") => (Health::Missing, "Missing"),
        Some(_) => (Health::Unknown, "Unknown"),
        None => (Health::Unknown, "NoStatus"),
    };
    Verdict::new(health, reason, message).since(since)
}
