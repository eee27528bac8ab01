//! What changed since a team's health was last stated.

use std::collections::HashMap;

use mlp_crds::HealthRecordStatus;
use mlp_crds::health_record::{Health, ResourceHealth};
use mlp_crds::incident::ResourceRef;

use super::Verdict;

/// The most resources that a record lists.
pub const RESOURCES_MAX: usize = 512;

/// One object of a team, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The object.
    pub resource: ResourceRef,
    /// Its generation.
    pub generation: i64,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether it answers for itself. Pods of a controller and parts of our own kinds do not:
    /// what is wrong with them is an incident of what they belong to.
    pub answers: bool,
}

/// A change of one resource's health that is to be stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The object, as judged now.
    pub now: Judged,
    /// The health stated before, where there is one.
    pub previous: Option<Health>,
}

/// The resources' entries of a record, sorted and bounded. What is held back keeps its old entry, so
/// that its change is found again.
pub fn entries(stated: &HealthRecordStatus, judged: &[Judged], held_back: &[Change]) -> Vec<ResourceHealth> {
    let is_held = |uid: &str| held_back.iter().any(|change| change.now.resource.uid == uid);
    let fresh = judged.iter().filter(|judged| judged.answers && !is_held(&judged.resource.uid)).map(entry);
    let old = stated.resources.iter().filter(|entry| is_held(&entry.resource.uid)).cloned();
    let mut all: Vec<_> = fresh.chain(old).collect();
    all.sort_by(|left, right| left.resource.cmp(&right.resource));
    all.truncate(RESOURCES_MAX);
    all
}

fn entry(judged: &Judged) -> ResourceHealth {
    ResourceHealth {
        resource: judged.resource.clone(),
        health: judged.verdict.health,
        reason: judged.verdict.reason.clone(),
        message: judged.verdict.message.chars().take(1024).collect(),
        since: judged.verdict.since.map(|since| since.to_string()),
        simulated: judged.verdict.is_simulated(),
    }
}

/// The changes that have not been stated yet, in the order of the resources.
pub fn changes(stated: &HealthRecordStatus, judged: &[Judged]) -> Vec<Change> {
    let before: HashMap<_, _> =
        stated.resources.iter().map(|entry| (entry.resource.uid.as_str(), entry.health)).collect();
    let mut all: Vec<_> = judged.iter().filter(|judged| judged.answers).collect();
    all.sort_by(|left, right| left.resource.cmp(&right.resource));
    // What a record has no room for would be a change for ever.
    all.truncate(RESOURCES_MAX);
    let changed = all.into_iter().filter_map(|now| {
        let previous = before.get(now.resource.uid.as_str()).copied();
        (previous != Some(now.verdict.health)).then(|| Change { now: now.clone(), previous })
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str, health: Health, answers: bool) -> Judged {
        let resource =
            ResourceRef { kind: "Job".into(), name: name.into(), uid: name.into(), ..ResourceRef::default() };
        Judged { resource, generation: 1, verdict: Verdict::new(health, "R", "m"), answers }
    }

    #[test]
    fn stated_once_and_again_only_when_health_changes() {
        let first = [judged("b", Health::Progressing, true), judged("a", Health::Healthy, true)];
        let nothing = HealthRecordStatus::default();
        let names: Vec<_> =
            changes(&nothing, &first).into_iter().map(|c| (c.now.resource.name, c.previous)).collect();
        assert_eq!(names, [("a".into(), None), ("b".into(), None)]);
        let stated =
            HealthRecordStatus { resources: entries(&nothing, &first, &[]), ..HealthRecordStatus::default() };
        assert_eq!(changes(&stated, &first), []);
        let later = [judged("b", Health::Healthy, true), judged("a", Health::Healthy, true)];
        let change = changes(&stated, &later);
        assert_eq!((change.len(), change[0].previous), (1, Some(Health::Progressing)));
    }

    #[test]
    fn what_is_held_back_is_found_again() {
        let nothing = HealthRecordStatus::default();
        let now = [judged("a", Health::Healthy, true), judged("b", Health::Degraded, true)];
        let all = changes(&nothing, &now);
        let stated = HealthRecordStatus {
            resources: entries(&nothing, &now, &all[1..]),
            ..HealthRecordStatus::default()
        };
        let rest = changes(&stated, &now);
        assert_eq!((rest.len(), rest[0].now.resource.name.as_str()), (1, "b"));
    }

    #[test]
    fn what_a_record_has_no_room_for_is_not_stated_again_and_again() {
        let many: Vec<_> =
            (0..RESOURCES_MAX + 9).map(|n| judged(&format!("j{n:04}"), Health::Healthy, true)).collect();
        let nothing = HealthRecordStatus::default();
        assert_eq!(changes(&nothing, &many).len(), RESOURCES_MAX);
        let stated =
            HealthRecordStatus { resources: entries(&nothing, &many, &[]), ..HealthRecordStatus::default() };
        assert_eq!(changes(&stated, &many), []);
    }

    #[test]
    fn what_belongs_to_another_is_not_stated() {
        let parts = [judged("pod", Health::Degraded, false)];
        let nothing = HealthRecordStatus::default();
        assert_eq!((entries(&nothing, &parts, &[]), changes(&nothing, &parts)), (vec![], vec![]));
    }
}
