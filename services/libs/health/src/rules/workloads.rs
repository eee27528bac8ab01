//! Health of what runs pods.

use serde_json::Value;

use super::{Health, Level, number, text};

fn conditions(live: &Value) -> &[Value] {
    live.pointer("/status/conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn condition<'a>(live: &'a Value, kind: &str) -> Option<&'a Value> {
    conditions(live).iter().find(|condition| text(condition, "/type") == kind)
}

fn holds(live: &Value, kind: &str) -> bool {
    condition(live, kind).is_some_and(|condition| text(condition, "/status") == "True")
}

fn behind(live: &Value) -> bool {
    number(live, "/metadata/generation") > number(live, "/status/observedGeneration")
}

fn progressing(message: impl Into<String>) -> Health {
    Health::new(Level::Progressing, message)
}

fn wanted_replicas(live: &Value) -> i64 {
    live.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1)
}

const BEHIND: &str = "waiting for the rollout: the change is not seen yet";

pub(super) fn deployment(live: &Value) -> Health {
    if live.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        return Health::new(Level::Suspended, "the deployment is paused");
    }
    if behind(live) {
        return progressing(BEHIND);
    }
    if let Some(stuck) =
        condition(live, "Progressing").filter(|c| text(c, "/reason") == "ProgressDeadlineExceeded")
    {
        return Health::new(
            Level::Degraded,
            format!("the rollout exceeded its deadline: {}", text(stuck, "/message")),
        );
    }
    let wanted = wanted_replicas(live);
    let (all, updated) = (number(live, "/status/replicas"), number(live, "/status/updatedReplicas"));
    let available = number(live, "/status/availableReplicas");
    if updated < wanted {
        return progressing(format!("{updated} of {wanted} replicas are updated"));
    }
    if all > updated {
        return progressing(format!("{} old replicas wait to end", all - updated));
    }
    if available < updated {
        return progressing(format!("{available} of {updated} updated replicas are available"));
    }
    Health::healthy()
}

pub(super) fn stateful_set(live: &Value) -> Health {
    if number(live, "/status/observedGeneration") == 0 || behind(live) {
        return progressing(BEHIND);
    }
    let (wanted, ready) = (wanted_replicas(live), number(live, "/status/readyReplicas"));
    if ready < wanted {
        return progressing(format!("{ready} of {wanted} replicas are ready"));
    }
    if text(live, "/spec/updateStrategy/type") == "OnDelete" {
        return Health::healthy();
    }
    let partition = number(live, "/spec/updateStrategy/rollingUpdate/partition");
    let updated = number(live, "/status/updatedReplicas");
    if partition > 0 && updated < wanted - partition {
        return progressing(format!(
            "{updated} of {} replicas of the partition are updated",
            wanted - partition
        ));
    }
    let revisions = (text(live, "/status/updateRevision"), text(live, "/status/currentRevision"));
    if partition == 0 && revisions.0 != revisions.1 {
        return progressing(format!("{updated} of {wanted} replicas are updated"));
    }
    Health::healthy()
}

pub(super) fn daemon_set(live: &Value) -> Health {
    if behind(live) {
        return progressing(BEHIND);
    }
    if text(live, "/spec/updateStrategy/type") == "OnDelete" {
        return Health::healthy();
    }
    let desired = number(live, "/status/desiredNumberScheduled");
    let updated = number(live, "/status/updatedNumberScheduled");
    let available = number(live, "/status/numberAvailable");
    if updated < desired {
        return progressing(format!("{updated} of {desired} pods are updated"));
    }
    if available < desired {
        return progressing(format!("{available} of {desired} pods are available"));
    }
    Health::healthy()
}

pub(super) fn replica_set(live: &Value) -> Health {
    if behind(live) {
        return progressing(BEHIND);
    }
    if holds(live, "ReplicaFailure") {
        let message = condition(live, "ReplicaFailure").map(|c| text(c, "/message")).unwrap_or_default();
        return Health::new(Level::Degraded, message);
    }
    let (wanted, available) = (wanted_replicas(live), number(live, "/status/availableReplicas"));
    if available < wanted {
        return progressing(format!("{available} of {wanted} replicas are available"));
    }
    Health::healthy()
}

pub(super) fn job(live: &Value) -> Health {
    let message =
        |kind: &str| condition(live, kind).map(|c| text(c, "/message").to_owned()).unwrap_or_default();
    if holds(live, "Failed") {
        return Health::new(Level::Degraded, message("Failed"));
    }
    if holds(live, "Complete") {
        return Health::healthy();
    }
    if holds(live, "Suspended") {
        return Health::new(Level::Suspended, message("Suspended"));
    }
    progressing("the job runs")
}

pub(super) fn pod(live: &Value) -> Health {
    let restarts_always = matches!(text(live, "/spec/restartPolicy"), "" | "Always");
    if restarts_always && let Some(reason) = waiting_failure(live) {
        return Health::new(Level::Degraded, reason);
    }
    match text(live, "/status/phase") {
        "Succeeded" => Health::healthy(),
        "Failed" => Health::new(Level::Degraded, failure_message(live)),
        "Running" if !restarts_always => progressing("the pod runs to its end"),
        "Running" if holds(live, "Ready") => Health::healthy(),
        "Running" if terminated_before(live) => {
            Health::new(Level::Degraded, "a container ended and is not ready again")
        }
        "Running" => progressing("the pod is not ready yet"),
        _ => progressing("the pod waits to start"),
    }
}

fn containers(live: &Value) -> impl Iterator<Item = &Value> {
    ["/status/initContainerStatuses", "/status/containerStatuses"]
        .into_iter()
        .filter_map(|pointer| live.pointer(pointer)?.as_array())
        .flatten()
}

fn waiting_failure(live: &Value) -> Option<String> {
    containers(live).find_map(|container| {
        let reason = text(container, "/state/waiting/reason");
        let failing = reason.starts_with("Err") || reason.ends_with("Error") || reason.ends_with("BackOff");
        failing.then(|| {
            format!("{}: {reason} {}", text(container, "/name"), text(container, "/state/waiting/message"))
        })
    })
}

fn terminated_before(live: &Value) -> bool {
    containers(live).any(|container| container.pointer("/lastState/terminated").is_some())
}

fn failure_message(live: &Value) -> String {
    let own = text(live, "/status/message");
    if !own.is_empty() {
        return own.to_owned();
    }
    let ended = containers(live).find(|container| number(container, "/state/terminated/exitCode") != 0);
    ended.map_or_else(String::new, |container| {
        let (name, reason) = (text(container, "/name"), text(container, "/state/terminated/reason"));
        format!("{name} ended with code {} {reason}", number(container, "/state/terminated/exitCode"))
    })
}
