//! Health of kinds without a rule of their own, from the conditions that most controllers write.

use serde_json::Value;

use super::{Health, Level, number, text};

/// Condition types that sum up the others, in order of preference.
const SUMMARIES: [&str; 4] = ["Ready", "Available", "Healthy", "Established"];

/// Health by a summarising condition at the current generation.
pub(super) fn generic(live: &Value) -> Option<Health> {
    let status =
        live.get("status").filter(|status| status.as_object().is_some_and(|fields| !fields.is_empty()))?;
    let conditions =
        status.get("conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let summary = SUMMARIES
        .iter()
        .find_map(|wanted| conditions.iter().find(|condition| text(condition, "/type") == *wanted));
    let Some(condition) = summary else {
        return Some(Health::new(Level::Unknown, "no rule reads the status of this kind"));
    };
    let generation = number(live, "/metadata/generation");
    let observed = [condition.get("observedGeneration"), status.get("observedGeneration")];
    let observed = observed.into_iter().flatten().filter_map(Value::as_i64).next();
    if observed.is_some_and(|observed| observed < generation) {
        return Some(Health::new(Level::Progressing, "waiting for the controller to see the change"));
    }
    Some(by_condition(condition))
}

fn by_condition(condition: &Value) -> Health {
    let (reason, message) = (text(condition, "/reason"), text(condition, "/message"));
    let words = if message.is_empty() { reason } else { message };
    match text(condition, "/status") {
        "True" => Health::healthy(),
        "False" if is_failure(reason) => Health::new(Level::Degraded, words),
        "False" => Health::new(Level::Progressing, words),
        _ => Health::new(Level::Unknown, words),
    }
}

/// Reasons that do not pass by themselves.
fn is_failure(reason: &str) -> bool {
    ["Fail", "Error", "Invalid", "Refused", "Denied", "Degraded"].iter().any(|word| reason.contains(word))
}
