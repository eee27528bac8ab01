use super::*;

#[test]
fn each_generation_is_declared_and_isolated_once() {
    let mut said = Said::default();
    let waiting = Outcome::WaitingForQuota(vec!["ml-team".to_owned()]);
    for (outcome, generation, expected) in [
        (&waiting, 1, vec![Happened::Declared]),
        (&waiting, 1, vec![]),
        (&Outcome::Isolated, 1, vec![Happened::Isolated]),
        (&waiting, 1, vec![]),
        (&Outcome::Isolated, 1, vec![]),
        (&Outcome::Isolated, 2, vec![Happened::Declared, Happened::Isolated, Happened::Changed]),
        (&Outcome::Removed, 2, vec![Happened::Removed]),
        (&Outcome::Removed, 2, vec![]),
    ] {
        let facts = facts(outcome, generation, said);
        assert_eq!(facts, expected, "{outcome:?} of generation {generation}");
        for fact in facts {
            match fact {
                Happened::Declared => said.declared = Some(generation),
                Happened::Isolated => said.isolated = Some(generation),
                Happened::Removed => said.removed = true,
                _ => {}
            }
        }
    }
}

#[test]
fn a_refused_team_states_nothing() {
    for outcome in [
        Outcome::Invalid(Vec::new()),
        Outcome::Obstructed(Vec::new()),
        Outcome::RemovalBlocked(Contents::default()),
        Outcome::Removed,
    ] {
        assert_eq!(facts(&outcome, 1, Said::default()), [], "{outcome:?}");
    }
}

#[test]
fn quota_adds_up_over_namespaces() {
    let parts = [
        ("requests.cpu", "10"),
        ("requests.cpu", "9500m"),
        ("requests.memory", "32Gi"),
        ("requests.memory", "32Gi"),
    ];
    let total = total_quota(parts.into_iter());
    assert_eq!(total.get("requests.cpu").map(mlp_crds::Amount::as_str), Some("19500m"));
    assert_eq!(total.get("requests.memory").map(mlp_crds::Amount::as_str), Some("64Gi"));
}

#[test]
fn what_passes_by_itself_says_so_by_a_shared_reason_and_a_fault_does_not() {
    let name = || vec!["ml-team".to_owned()];
    for outcome in
        [Outcome::WaitingForQuota(name()), Outcome::Obstructed(Vec::new()), Outcome::Removing(name())]
    {
        assert!(mlp_crds::status::NOT_YET.contains(&outcome.reason()), "{outcome:?}");
    }
    for outcome in [Outcome::Invalid(Vec::new()), Outcome::RemovalBlocked(Contents::default())] {
        assert!(!mlp_crds::status::NOT_YET.contains(&outcome.reason()), "{outcome:?}");
    }
}
