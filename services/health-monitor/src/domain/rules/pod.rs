//! Pods: phase, readiness and what the containers wait for.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};

use crate::domain::{Health, Verdict};

/// Waiting reasons that do not pass by themselves.
const FATAL_WAITS: [&str; 7] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
];

/// The verdict on a pod. `simulated` says that its node runs nothing.
pub fn pod(pod: &Pod, simulated: bool) -> Verdict {
    let Some(status) = &pod.status else {
        return Verdict::new(Health::Unknown, "NoStatus", "the pod has no status yet");
    };
    if simulated {
        return Verdict::simulated("the pod's node is simulated: nothing runs");
    }
    let phase = status.phase.as_deref().unwrap_or_default();
    match phase {
        "Succeeded" => Verdict::new(Health::Healthy, "Completed", "all containers ended well"),
        "Failed" => Verdict::new(Health::Degraded, "PodFailed", message_of(status)),
        "Running" | "Pending" => waiting(status).unwrap_or_else(|| readiness(status, phase)),
        _ => Verdict::new(Health::Unknown, "UnknownPhase", format!("the pod's phase is `{phase}`")),
    }
}

fn waiting(status: &PodStatus) -> Option<Verdict> {
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let (container, reason) = all.filter_map(fatal_wait).next()?;
    let message =
        format!("container {} waits: {reason}, {} restarts", container.name, container.restart_count);
    Some(Verdict::new(Health::Degraded, &reason, message))
}

fn fatal_wait(container: &ContainerStatus) -> Option<(&ContainerStatus, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    FATAL_WAITS.contains(&reason).then(|| (container, reason.to_owned()))
}

fn readiness(status: &PodStatus, phase: &str) -> Verdict {
    let conditions = status.conditions.iter().flatten();
    let unschedulable =
        conditions.clone().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unschedulable {
        let message = condition.message.clone().unwrap_or_else(|| "no node takes the pod".to_owned());
        let since = condition.last_transition_time.as_ref().map(|time| time.0);
        return Verdict::new(Health::Progressing, "Unschedulable", message).since(since);
    }
    let ready = conditions.clone().find(|condition| condition.type_ == "Ready");
    let since = ready.and_then(|condition| condition.last_transition_time.as_ref()).map(|time| time.0);
    match ready.map(|condition| condition.status.as_str()) {
        Some("True") => Verdict::new(Health::Healthy, "Ready", "all containers are ready").since(since),
        Some("False") => Verdict::new(Health::Progressing, "NotReady", message_of(status)).since(since),
        _ if phase == "Pending" => {
            Verdict::new(Health::Progressing, "Pending", "the pod is not on a node yet")
        }
        _ => Verdict::new(Health::Unknown, "NoReadiness", "the pod has no Ready condition"),
    }
}

fn message_of(status: &PodStatus) -> String {
    let unready = status.container_statuses.iter().flatten().filter(|container| !container.ready);
    let names: Vec<_> = unready.map(|container| container.name.as_str()).collect();
    match (&status.message, names.is_empty()) {
        (Some(message), _) => message.clone(),
        (None, false) => format!("not ready: {}", names.join(", ")),
        (None, true) => "not ready".to_owned(),
    }
}
