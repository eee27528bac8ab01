use super::*;

const PATIENCE: Patience = Patience {
    open_after: Duration::from_secs(10),
    close_after: Duration::from_secs(20),
    progress_deadline: Duration::from_secs(600),
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn verdict(health: Health) -> Verdict {
    Verdict::new(health, "Reason", "")
}

/// Walks through (second, health) looks and returns every decision that is not to keep still.
fn walk(looks: &[(i64, Health)]) -> Vec<(i64, Decision)> {
    let (mut memory, mut open, mut decisions) = (None, None, Vec::new());
    for (second, health) in looks {
        let verdict = verdict(*health);
        let remembered = remember(memory.take(), &verdict, at(*second));
        let decision = decide(&verdict, &remembered, open.as_deref(), PATIENCE, at(*second));
        match &decision {
            Decision::Open(_) => open = Some(verdict.reason.clone()),
            Decision::Close(_) => open = None,
            _ => {}
        }
        if !matches!(decision, Decision::Keep(_)) {
            decisions.push((*second, decision));
        }
        memory = Some(remembered);
    }
    decisions
}

#[test]
fn lasting_degradation_opens_once_and_lasting_recovery_closes() {
    let looks = [
        (0, Health::Healthy),
        (5, Health::Degraded),
        (14, Health::Degraded),
        (15, Health::Degraded),
        (60, Health::Degraded),
        (70, Health::Healthy),
        (89, Health::Healthy),
        (90, Health::Healthy),
        (200, Health::Healthy),
    ];
    assert_eq!(walk(&looks), [(15, Decision::Open(at(5))), (90, Decision::Close(at(70)))]);
}

#[test]
fn a_flap_shorter_than_the_patience_opens_nothing_and_does_not_close() {
    assert_eq!(walk(&[(0, Health::Degraded), (9, Health::Healthy), (12, Health::Degraded)]), []);
    let flapping =
        [(0, Health::Degraded), (10, Health::Degraded), (15, Health::Healthy), (30, Health::Degraded)];
    assert_eq!(walk(&flapping), [(10, Decision::Open(at(0)))]);
}

#[test]
fn progress_becomes_an_incident_only_past_its_deadline() {
    assert_eq!(walk(&[(0, Health::Progressing), (599, Health::Progressing)]), []);
    assert_eq!(walk(&[(0, Health::Progressing), (600, Health::Progressing)]), [(600, Decision::Open(at(0)))]);
}

#[test]
fn unknown_neither_opens_nor_closes() {
    let looks =
        [(0, Health::Degraded), (10, Health::Degraded), (20, Health::Unknown), (9_999, Health::Unknown)];
    assert_eq!(walk(&looks), [(10, Decision::Open(at(0)))]);
    assert_eq!(walk(&[(0, Health::Unknown), (9_999, Health::Unknown)]), []);
}

#[test]
fn evidence_sets_the_beginning_and_never_lies_in_the_future() {
    let early = verdict(Health::Degraded).since(Some(at(-30)));
    assert_eq!(remember(None, &early, at(0)).since, at(-30));
    let late = verdict(Health::Degraded).since(Some(at(30)));
    assert_eq!(remember(None, &late, at(0)).since, at(0));
}

#[test]
fn a_new_reason_updates_the_open_incident() {
    let memory = Memory { health: Health::Degraded, since: at(0) };
    let decision = decide(&verdict(Health::Degraded), &memory, Some("Other"), PATIENCE, at(60));
    assert_eq!(decision, Decision::Update);
}

#[test]
fn names_repeat_for_the_same_opening_and_differ_for_another() {
    let fingerprint = fingerprint("Database", "u-1");
    assert_eq!(object_name(&fingerprint, at(0)), object_name(&fingerprint, at(0)));
    assert_ne!(object_name(&fingerprint, at(0)), object_name(&fingerprint, at(1)));
    assert!(object_name(&fingerprint, at(0)).starts_with("database-"));
}
