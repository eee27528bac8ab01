//! What to write into a Lease, decided from what it says; no clock and no API here.

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// What a leader puts beside its writes so that a stale leader's can be told from a newer one's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fencing {
    /// `leaseTransitions` at the acquisition: grows with each one, also by the same holder.
    pub transitions: i32,
    /// The holder: the instance id of the replica.
    pub holder: String,
}

impl fmt::Display for Fencing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.transitions, self.holder)
    }
}

/// Whether nobody holds the Lease: no holder is named, as after a hand-over.
pub(super) fn is_free(spec: &LeaseSpec) -> bool {
    spec.holder_identity.as_deref().is_none_or(str::is_empty)
}

/// How long the holder said it keeps the Lease without renewing it.
pub(super) fn term(spec: &LeaseSpec, fallback: Duration) -> Duration {
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(fallback, Duration::from_secs)
}

/// The record of `holder` taking the Lease, from whatever it said before.
pub(super) fn taken(before: Option<&LeaseSpec>, holder: &str, term: Duration, now: MicroTime) -> LeaseSpec {
    let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or_default();
    LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(whole_seconds(term)),
        acquire_time: Some(now.clone()),
        renew_time: Some(now),
        lease_transitions: Some(transitions.saturating_add(1)),
        ..LeaseSpec::default()
    }
}

/// The record of the holder staying.
pub(super) fn renewed(held: &LeaseSpec, now: MicroTime) -> LeaseSpec {
    LeaseSpec { renew_time: Some(now), ..held.clone() }
}

/// The record of the holder handing over: the number stays, so that the next one is greater.
pub(super) fn released(held: &LeaseSpec, now: MicroTime) -> LeaseSpec {
    LeaseSpec {
        holder_identity: None,
        lease_duration_seconds: Some(1),
        renew_time: Some(now),
        ..held.clone()
    }
}

/// Whether `now_said` still names the acquisition that `held` was.
pub(super) fn same_acquisition(held: &LeaseSpec, now_said: &LeaseSpec) -> bool {
    held.holder_identity == now_said.holder_identity && held.lease_transitions == now_said.lease_transitions
}

/// The number of an acquisition.
pub(super) fn fencing(spec: &LeaseSpec) -> Fencing {
    Fencing {
        transitions: spec.lease_transitions.unwrap_or_default(),
        holder: spec.holder_identity.clone().unwrap_or_default(),
    }
}

fn whole_seconds(term: Duration) -> i32 {
    // Rounded up: the Lease must not end for others before it ends for its holder.
    let seconds = term.as_secs() + u64::from(term.subsec_nanos() > 0);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> MicroTime {
        MicroTime("2026-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn each_acquisition_has_a_greater_number_even_after_a_hand_over_or_by_the_same_holder() {
        let first = taken(None, "a", Duration::from_secs(15), now());
        let freed = released(&first, now());
        let second = taken(Some(&freed), "b", Duration::from_secs(15), now());
        let third = taken(Some(&second), "b", Duration::from_secs(15), now());
        assert!(is_free(&freed) && !is_free(&second));
        assert_eq!([&first, &second, &third].map(|spec| fencing(spec).transitions), [1, 2, 3]);
        assert!(!same_acquisition(&second, &third));
        assert!(same_acquisition(&second, &renewed(&second, now())));
    }

    #[test]
    fn terms_are_whole_seconds_rounded_up() {
        let spec = taken(None, "a", Duration::from_millis(2_100), now());
        assert_eq!(term(&spec, Duration::ZERO), Duration::from_secs(3));
        assert_eq!(term(&LeaseSpec::default(), Duration::from_secs(7)), Duration::from_secs(7));
    }
}
