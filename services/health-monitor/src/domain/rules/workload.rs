//! Deployments, StatefulSets and DaemonSets: replicas wanted, updated and ready.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};

use crate::domain::{Health, Verdict};

/// The verdict on a Deployment; its own progress deadline decides when it is stuck.
pub fn deployment(deployment: &Deployment) -> Verdict {
    let Some(status) = &deployment.status else {
        return Verdict::new(Health::Unknown, "NoStatus", "no controller has written a status yet");
    };
    if let Some(stale) = Verdict::stale(status.observed_generation, deployment.metadata.generation) {
        return stale;
    }
    let conditions = status.conditions.iter().flatten();
    let stuck = conditions
        .clone()
        .find(|c| c.type_ == "Progressing" && c.reason.as_deref() == Some("ProgressDeadlineExceeded"));
    if let Some(condition) = stuck {
        let message = condition.message.clone().unwrap_or_else(|| "the rollout makes no progress".to_owned());
        let since = condition.last_transition_time.as_ref().map(|time| time.0);
        return Verdict::new(Health::Degraded, "ProgressDeadlineExceeded", message).since(since);
    }
    let failure = conditions.clone().find(|c| c.type_ == "ReplicaFailure" && c.status == "True");
    if let Some(condition) = failure {
        let message = condition.message.clone().unwrap_or_else(|| "pods cannot be created".to_owned());
        let since = condition.last_transition_time.as_ref().map(|time| time.0);
        return Verdict::new(Health::Degraded, "ReplicaFailure", message).since(since);
    }
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    replicas(wanted, status.updated_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0))
}

/// The verdict on a StatefulSet.
pub fn stateful_set(set: &StatefulSet) -> Verdict {
    let Some(status) = &set.status else {
        return Verdict::new(Health::Unknown, "NoStatus", "no controller has written a status yet");
    };
    if let Some(stale) = Verdict::stale(status.observed_generation, set.metadata.generation) {
        return stale;
    }
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let current = status.current_revision.is_some() && status.current_revision == status.update_revision;
    let updated = if current { wanted } else { status.updated_replicas.unwrap_or(0) };
    replicas(wanted, updated, status.ready_replicas.unwrap_or(0))
}

/// The verdict on a DaemonSet; nodes that match take the place of replicas.
pub fn daemon_set(set: &DaemonSet) -> Verdict {
    let Some(status) = &set.status else {
        return Verdict::new(Health::Unknown, "NoStatus", "no controller has written a status yet");
    };
    if let Some(stale) = Verdict::stale(status.observed_generation, set.metadata.generation) {
        return stale;
    }
    let wanted = status.desired_number_scheduled;
    replicas(wanted, status.updated_number_scheduled.unwrap_or(0), status.number_ready)
}

fn replicas(wanted: i32, updated: i32, ready: i32) -> Verdict {
    if updated < wanted {
        let message = format!("{updated} of {wanted} replicas are of the newest revision");
        return Verdict::new(Health::Progressing, "RollingOut", message);
    }
    if ready < wanted {
        return Verdict::new(
            Health::Progressing,
            "NotAvailable",
            format!("{ready} of {wanted} replicas are ready"),
        );
    }
    Verdict::new(Health::Healthy, "Available", format!("{ready} of {wanted} replicas are ready"))
}
