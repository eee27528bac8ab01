//! How far a team is on its way out, and how its work is stopped and resumed.

use jiff::{SignedDuration, Timestamp};
use mlp_crds::team::{OffboardingPhase, OffboardingStatus, OffboardingStep};
use serde_json::{Value, json};

/// What a workload was before it was stopped, written on the workload.
pub const STOPPED: &str = "mlplatform.dev/stopped-from";
/// A node label that no node has: a DaemonSet that selects it runs nowhere.
const NOWHERE: &str = "mlplatform.dev/nowhere";

/// A kind that makes pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Kind.
    pub kind: &'static str,
    /// Plural, as in the API's path.
    pub plural: &'static str,
    /// API group; the version is v1.
    pub group: &'static str,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// `spec.replicas` 0.
    Scale,
    /// `spec.suspend` true.
    Suspend,
    /// A node selector that selects nothing.
    Nowhere,
}

/// Kinds that are stopped, those first that make others.
pub const WORKLOADS: [Workload; 6] = [
    Workload { kind: "CronJob", plural: "cronjobs", group: "batch", how: How::Suspend },
    Workload { kind: "Job", plural: "jobs", group: "batch", how: How::Suspend },
    Workload { kind: "Deployment", plural: "deployments", group: "apps", how: How::Scale },
    Workload { kind: "StatefulSet", plural: "statefulsets", group: "apps", how: How::Scale },
    Workload { kind: "ReplicaSet", plural: "replicasets", group: "apps", how: How::Scale },
    Workload { kind: "DaemonSet", plural: "daemonsets", group: "apps", how: How::Nowhere },
];

/// The merge patch that stops a workload; nothing where it is stopped, finished, or another's to stop.
pub fn stop(workload: &Workload, live: &Value) -> Option<Value> {
    let is_owned = live
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array)
        .is_some_and(|owners| !owners.is_empty());
    let noted = live.pointer("/metadata/annotations").and_then(|all| all.get(STOPPED)).is_some();
    let noting = |from: &str| json!({STOPPED: from});
    match workload.how {
        How::Scale => {
            let replicas = live.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
            let due = replicas > 0 && !is_owned;
            due.then(|| json!({"metadata": {"annotations": noting(&replicas.to_string())}, "spec": {"replicas": 0}}))
        }
        How::Suspend => {
            let suspended = live.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or_default();
            let finished = live.pointer("/status/completionTime").is_some();
            let due = !suspended && !finished;
            due.then(|| json!({"metadata": {"annotations": noting("running")}, "spec": {"suspend": true}}))
        }
        How::Nowhere => {
            let patch = json!({
                "metadata": {"annotations": noting("running")},
                "spec": {"template": {"spec": {"nodeSelector": {NOWHERE: "true"}}}},
            });
            (!noted).then_some(patch)
        }
    }
}

/// The merge patch that lets a workload go on; nothing where it was not stopped here.
pub fn resume(workload: &Workload, live: &Value) -> Option<Value> {
    let from = live.pointer("/metadata/annotations")?.get(STOPPED)?.as_str()?;
    let metadata = json!({"annotations": {STOPPED: null}});
    Some(match workload.how {
        How::Scale => json!({"metadata": metadata, "spec": {"replicas": from.parse::<i64>().unwrap_or(1)}}),
        How::Suspend => json!({"metadata": metadata, "spec": {"suspend": false}}),
        How::Nowhere => {
            json!({"metadata": metadata, "spec": {"template": {"spec": {"nodeSelector": {NOWHERE: null}}}}})
        }
    })
}

/// The merge patch that takes away what a binding of the team's own making gives; nothing where it gives
/// nothing. Those that the platform made are deleted, and made anew by an undo.
pub fn cut(binding: &Value) -> Option<Value> {
    let subjects =
        binding.get("subjects").and_then(Value::as_array).filter(|subjects| !subjects.is_empty())?;
    let noted = Value::Array(subjects.clone()).to_string();
    Some(json!({"metadata": {"annotations": {STOPPED: noted}}, "subjects": []}))
}

/// The merge patch that gives back what was taken away here.
pub fn give_back(binding: &Value) -> Option<Value> {
    let from = binding.pointer("/metadata/annotations")?.get(STOPPED)?.as_str()?;
    let subjects: Value = serde_json::from_str(from).ok()?;
    Some(json!({"metadata": {"annotations": {STOPPED: null}}, "subjects": subjects}))
}

/// What is seen of a team that is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whether rights are cut and nothing more is admitted.
    pub cut: bool,
    /// Pods that have not ended.
    pub pods: usize,
}

/// The step that is reached now, never one behind what was reached.
pub fn advance(
    known: &OffboardingStatus,
    seen: Seen,
    retention_hours: u32,
    now: Timestamp,
) -> OffboardingStatus {
    let step = match seen {
        Seen { cut: true, pods: 0 } => OffboardingStep::Retained,
        Seen { cut: true, .. } => OffboardingStep::RightsCut,
        Seen { cut: false, .. } => OffboardingStep::Active,
    };
    if step < known.step {
        return known.clone();
    }
    if step > known.step {
        let retained_until =
            (step == OffboardingStep::Retained).then(|| until(now, retention_hours).to_string());
        return OffboardingStatus { step, since: Some(now.to_string()), retained_until };
    }
    // A retention that was made longer meanwhile holds; one that was made shorter takes back no promise.
    let since = known.since.as_ref().and_then(|since| since.parse().ok());
    let promised = known.retained_until.as_ref().and_then(|end| end.parse::<Timestamp>().ok());
    let longer = since.map(|since| until(since, retention_hours));
    match longer.filter(|end| promised.is_some_and(|old| *end > old)) {
        Some(end) => OffboardingStatus { retained_until: Some(end.to_string()), ..known.clone() },
        None => known.clone(),
    }
}

fn until(since: Timestamp, hours: u32) -> Timestamp {
    since.checked_add(SignedDuration::from_hours(i64::from(hours))).unwrap_or(Timestamp::MAX)
}

/// Whether data may go: the team is suspended, work has stopped, and the retention is over. An undo that
/// is asked for holds it up, until the purge has begun.
pub fn may_purge(phase: OffboardingPhase, status: Option<&OffboardingStatus>, now: Timestamp) -> bool {
    let Some(status) = status else { return false };
    if status.step != OffboardingStep::Purging && phase != OffboardingPhase::Suspended {
        return false;
    }
    let over = status
        .retained_until
        .as_ref()
        .and_then(|end| end.parse::<Timestamp>().ok())
        .is_some_and(|end| end <= now);
    status.step == OffboardingStep::Purging || (status.step == OffboardingStep::Retained && over)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(kind: &str) -> Workload {
        *WORKLOADS.iter().find(|workload| workload.kind == kind).unwrap()
    }

    /// Merges as RFC 7386 says, far enough for these patches.
    fn merge(target: &mut Value, patch: &Value) {
        let Some(fields) = patch.as_object() else {
            *target = patch.clone();
            return;
        };
        if !target.is_object() {
            *target = json!({});
        }
        for (key, value) in fields {
            let map = target.as_object_mut().unwrap();
            if value.is_null() {
                map.remove(key);
            } else {
                merge(map.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }

    #[test]
    fn what_is_stopped_resumes_as_it_was() {
        for (kind, live) in [
            ("Deployment", json!({"metadata": {"annotations": {"a": "b"}}, "spec": {"replicas": 3}})),
            ("StatefulSet", json!({"metadata": {"annotations": {}}, "spec": {"replicas": 1}})),
            ("CronJob", json!({"metadata": {"annotations": {}}, "spec": {"suspend": false}})),
            (
                "DaemonSet",
                json!({"metadata": {"annotations": {}}, "spec": {"template": {"spec": {"nodeSelector": {"x": "y"}}}}}),
            ),
        ] {
            let workload = workload(kind);
            let mut stopped = live.clone();
            merge(&mut stopped, &stop(&workload, &live).unwrap());
            assert_ne!(stopped["spec"], live["spec"], "{kind}");
            assert_eq!(stop(&workload, &stopped), None, "{kind}: stopping again changes nothing");
            let patch = resume(&workload, &stopped).unwrap();
            merge(&mut stopped, &patch);
            assert_eq!(stopped, live, "{kind}");
            assert_eq!(resume(&workload, &live), None, "{kind}: what was not stopped here is left alone");
        }
    }

    #[test]
    fn rights_that_the_team_gave_are_taken_away_and_given_back() {
        let live = json!({"metadata": {"annotations": {}}, "subjects": [{"kind": "User", "name": "ana"}]});
        let mut bare = live.clone();
        merge(&mut bare, &cut(&live).unwrap());
        assert_eq!(bare["subjects"], json!([]));
        assert_eq!(cut(&bare), None);
        let patch = give_back(&bare).unwrap();
        merge(&mut bare, &patch);
        assert_eq!(bare, live);
        assert_eq!(give_back(&live), None);
    }

    #[test]
    fn a_replica_set_of_a_deployment_and_a_finished_job_are_left_alone() {
        let owned =
            json!({"metadata": {"ownerReferences": [{"kind": "Deployment"}]}, "spec": {"replicas": 3}});
        assert_eq!(stop(&workload("ReplicaSet"), &owned), None);
        assert_eq!(stop(&workload("Job"), &json!({"spec": {}, "status": {"completionTime": "x"}})), None);
    }

    #[test]
    fn steps_go_forward_and_retention_begins_when_work_has_stopped() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let begun = advance(&OffboardingStatus::default(), Seen { cut: true, pods: 2 }, 24, now);
        assert_eq!((begun.step, begun.retained_until.clone()), (OffboardingStep::RightsCut, None));
        let kept = advance(&begun, Seen { cut: true, pods: 0 }, 24, now);
        assert_eq!(kept.retained_until.as_deref(), Some("2026-01-02T00:00:00Z"));
        assert_eq!(advance(&kept, Seen { cut: true, pods: 1 }, 24, now), kept);
        let later: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let suspended = OffboardingPhase::Suspended;
        assert!(!may_purge(suspended, Some(&kept), now) && may_purge(suspended, Some(&kept), later));
        assert!(!may_purge(OffboardingPhase::Active, Some(&kept), later), "an undo is asked for");
        assert!(!may_purge(suspended, Some(&begun), Timestamp::MAX) && !may_purge(suspended, None, now));
        let longer = advance(&kept, Seen { cut: true, pods: 0 }, 48, later);
        assert_eq!(longer.retained_until.as_deref(), Some("2026-01-03T00:00:00Z"));
        assert_eq!(
            advance(&kept, Seen { cut: true, pods: 0 }, 1, later),
            kept,
            "never earlier than promised"
        );
    }
}
