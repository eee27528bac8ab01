//! PersistentVolumeClaims: bound, waiting or lost.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::domain::{Health, Verdict};

/// The verdict on a claim.
pub fn claim(claim: &PersistentVolumeClaim) -> Verdict {
    match claim.status.as_ref().and_then(|status| status.phase.as_deref()) {
        Some("Bound") => Verdict::new(Health::Healthy, "Bound", "a volume is bound"),
        Some("Pending") => Verdict::new(Health::Progressing, "Pending", "no volume is bound yet"),
        Some("Lost") => Verdict::new(Health::Degraded, "VolumeLost", "the bound volume is gone"),
        Some(other) => {
            Verdict::new(Health::Unknown, "UnknownPhase", format!("the claim's phase is `{other}`"))
        }
        None => Verdict::new(Health::Unknown, "NoStatus", "the claim has no status yet"),
    }
}
