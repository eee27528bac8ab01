//! Doing what a plan says until it says nothing leads to what was asked for.

use proptest::prelude::*;
use serde_json::json;

use super::decisions::met;
use super::{cache, database};
use crate::domain::aws::{Observed, Seen, Step, decide};
use crate::domain::model::Wish;
use crate::domain::plan::State;

/// More passes than any change needs.
const PASSES: usize = 10;

/// What AWS shows after a step that took effect at once.
fn after(mut seen: Seen, step: &Step) -> Seen {
    match step {
        Step::ModifyDatabase { change, .. } => {
            seen.class = change.class.clone().unwrap_or(seen.class);
            seen.version = change.version.clone().map(|version| format!("{version}.0")).or(seen.version);
            seen.storage_gib = change.storage_gib.unwrap_or(seen.storage_gib);
            seen.max_storage_gib = change.max_storage_gib.unwrap_or(seen.max_storage_gib);
            seen.high_availability = change.high_availability.unwrap_or(seen.high_availability);
            seen.retention_days = change.retention_days.unwrap_or(seen.retention_days);
            seen.deletion_protection = change.deletion_protection.unwrap_or(seen.deletion_protection);
        }
        Step::ModifyCache { change, .. } => {
            assert!(
                change.high_availability != Some(true) || seen.replicas > 0,
                "failover without a replica"
            );
            seen.class = change.class.clone().unwrap_or(seen.class);
            seen.version = change.version.clone().or(seen.version);
            seen.high_availability = change.high_availability.unwrap_or(seen.high_availability);
            seen.retention_days = change.retention_days.unwrap_or(seen.retention_days);
        }
        Step::AddReplicas { to, .. } => seen.replicas = *to,
        Step::RemoveReplicas { to, .. } => {
            assert!(!seen.high_availability || *to > 0, "the last replica of a failover");
            seen.replicas = *to;
        }
        Step::TagDatabase { tags, .. } | Step::TagCache { tags, .. } => {
            seen.tags.get_or_insert_default().extend(tags.clone());
        }
        other => panic!("nothing is to be made or deleted: {other}"),
    }
    seen
}

fn converges(wish: &Wish, mut seen: Seen) {
    let caches_take_one = |steps: &[Step]| steps.len() <= 1;
    for _ in 0..PASSES {
        let observed = Observed { seen: Some(seen.clone()), snapshot: None };
        let plan = decide(wish, &observed).unwrap();
        assert_eq!(plan, decide(wish, &observed).unwrap());
        if plan.steps.is_empty() {
            assert!(matches!(plan.state, State::Ready(_)), "{:?}", plan.state);
            return;
        }
        assert!(wish.storage.is_some() || caches_take_one(&plan.steps), "{plan}");
        let storage = seen.storage_gib;
        seen = plan.steps.iter().fold(seen, after);
        assert!(seen.storage_gib >= storage, "storage never shrinks");
    }
    panic!("still not as asked for after {PASSES} passes: {seen:?}");
}

fn class() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["small", "medium", "large"])
}

prop_compose! {
    fn any_database()(class in class(), gib in 1u64..3000, standby: bool, days in 1u32..=35, protected: bool, major in 15u32..17) -> Wish {
        database(json!({
            "class": class, "storage": format!("{gib}Gi"), "highAvailability": standby, "version": major.to_string(),
            "backup": {"retentionDays": days}, "deletionProtection": protected,
        }))
    }
}

prop_compose! {
    fn any_cache()(class in class(), replicas in 0u32..=5, failover: bool, days in 0u32..=35, minor in 0u32..2) -> Wish {
        cache(json!({
            "class": class, "replicas": replicas, "highAvailability": failover && replicas > 0,
            "snapshotRetentionDays": days, "version": format!("7.{minor}"),
        }))
    }
}

proptest! {
    #[test]
    fn any_database_becomes_any_other(before in any_database(), wanted in any_database()) {
        converges(&wanted, met(&before));
    }

    #[test]
    fn any_cache_becomes_any_other(before in any_cache(), wanted in any_cache()) {
        let mut seen = met(&before);
        // No cache goes back to an older version.
        seen.version = Some("7.0.7".to_owned());
        converges(&wanted, seen);
    }
}
