//! What pods tell about the workload they belong to.
//!
//! A Deployment says "not available" for ten minutes before its own deadline passes; its pods say
//! at once that they crash. And a workload whose pods are all simulated works nowhere.

use k8s_openapi::api::core::v1::Pod;

use super::{Health, Verdict};

/// The controller a pod belongs to: kind and name. A ReplicaSet's pods count for its Deployment,
/// whose name is the ReplicaSet's without the template hash.
pub fn owner(pod: &Pod) -> Option<(String, String)> {
    let owner =
        pod.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    let hash = pod.metadata.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    if let (true, Some(hash)) = (owner.kind == "ReplicaSet", hash) {
        let deployment = owner.name.strip_suffix(&format!("-{hash}"))?;
        return Some(("Deployment".to_owned(), deployment.to_owned()));
    }
    Some((owner.kind.clone(), owner.name.clone()))
}

/// A workload's verdict with the evidence of its pods.
pub fn lift<'a>(own: Verdict, pods: impl IntoIterator<Item = (&'a str, &'a Verdict)>) -> Verdict {
    let pods: Vec<_> = pods.into_iter().collect();
    if !pods.is_empty() && pods.iter().all(|(_, verdict)| verdict.is_simulated()) {
        return Verdict::simulated(format!("all {} pods are on simulated nodes: nothing runs", pods.len()));
    }
    let broken =
        pods.iter().filter(|(_, verdict)| verdict.health == Health::Degraded).min_by_key(|(name, _)| *name);
    match broken {
        Some((name, verdict)) if own.health != Health::Healthy => {
            let message = format!("{}; pod {name}: {}", own.message, verdict.message);
            Verdict::new(Health::Degraded, &verdict.reason, message).since(verdict.since)
        }
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_of_a_replica_set_count_for_its_deployment() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {
            "labels": {"pod-template-hash": "5d8f"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d8f", "uid": "", "controller": true}]
        }}))
        .unwrap();
        assert_eq!(owner(&pod), Some(("Deployment".into(), "web".into())));
        assert_eq!(owner(&Pod::default()), None);
    }

    #[test]
    fn a_broken_pod_degrades_what_is_not_healthy_and_only_that() {
        let progressing = Verdict::new(Health::Progressing, "NotAvailable", "0 of 1");
        let crash = Verdict::new(Health::Degraded, "CrashLoopBackOff", "container c waits");
        let lifted = lift(progressing, [("web-1", &crash)]);
        assert_eq!((lifted.health, lifted.reason.as_str()), (Health::Degraded, "CrashLoopBackOff"));
        let healthy = Verdict::new(Health::Healthy, "Available", "2 of 2");
        assert_eq!(lift(healthy.clone(), [("old", &crash)]), healthy);
    }

    #[test]
    fn simulated_pods_make_no_healthy_workload() {
        let healthy = Verdict::new(Health::Healthy, "Available", "1 of 1");
        let (simulated, real) = (Verdict::simulated(""), Verdict::new(Health::Healthy, "Ready", ""));
        assert!(lift(healthy.clone(), [("a", &simulated)]).is_simulated());
        assert!(!lift(healthy.clone(), [("a", &simulated), ("b", &real)]).is_simulated());
        assert_eq!(lift(healthy.clone(), []), healthy);
    }
}
