//! Jobs: complete, failed, suspended or at work.

use k8s_openapi::api::batch::v1::Job;

use crate::domain::{Health, Verdict};

/// The verdict on a Job.
pub fn job(job: &Job) -> Verdict {
    let Some(status) = &job.status else {
        return Verdict::new(Health::Unknown, "NoStatus", "no controller has written a status yet");
    };
    let holds = |kind: &str| {
        status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == kind && condition.status == "True")
    };
    if let Some(condition) = holds("Failed") {
        let message = condition.message.clone().unwrap_or_else(|| "the job failed".to_owned());
        let since = condition.last_transition_time.as_ref().map(|time| time.0);
        return Verdict::new(Health::Degraded, "JobFailed", message).since(since);
    }
    if holds("Complete").is_some() {
        return Verdict::new(Health::Healthy, "Complete", "the job is complete");
    }
    if holds("Suspended").is_some() {
        return Verdict::new(Health::Suspended, "Suspended", "the job is suspended");
    }
    if status.start_time.is_none() {
        return Verdict::new(Health::Unknown, "NoStatus", "the job has not been started by a controller");
    }
    let active = status.active.unwrap_or(0);
    Verdict::new(Health::Progressing, "Running", format!("{active} pods are at work"))
}
