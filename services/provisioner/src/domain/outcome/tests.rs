use super::*;
use crate::domain::binding::Address;

fn running() -> Running {
    Running { address: Address { host: "h".to_owned(), port: 5432, tls: false }, version: "15".to_owned() }
}

fn failed(reason: &'static str) -> Outcome {
    Outcome::Refused { reason, message: "because".to_owned() }
}

#[test]
fn a_simulated_service_is_not_ready_and_states_no_fact() {
    let outcome = Outcome::Provider(State::Simulated(running()));
    assert!(!outcome.is_ready());
    assert_eq!(outcome.words().0, "Simulated");
    assert_ne!(outcome.phase(), Phase::Ready);
    assert_eq!(outcome.fact(1, &Said::default()), None);
}

#[test]
fn each_generation_is_ready_once_and_each_failure_is_stated_once() {
    let ready = Outcome::Provider(State::Ready(running()));
    let mut said = Said::default();
    assert!(ready.fact(1, &said).is_some());
    said.ready = Some(1);
    assert_eq!(ready.fact(1, &said), None);
    assert!(ready.fact(2, &said).is_some());
    assert!(failed("QuotaExceeded").fact(2, &said).is_some());
    said.failed = Some((2, "QuotaExceeded".to_owned()));
    assert_eq!(failed("QuotaExceeded").fact(2, &said), None);
    assert!(failed("AwsRefused").fact(2, &said).is_some());
    assert!(failed("QuotaExceeded").fact(3, &said).is_some());
}

#[test]
fn a_deletion_is_stated_once() {
    let gone = Outcome::Provider(State::Gone { kept: None });
    assert!(gone.fact(1, &Said::default()).is_some());
    assert_eq!(gone.fact(1, &Said { deleted: true, ..Said::default() }), None);
}

#[test]
fn what_passes_by_itself_says_so_by_a_shared_reason_and_a_fault_does_not() {
    let waits = [
        Outcome::WaitingForTeam("ml".to_owned()),
        Outcome::Delayed { reason: "AwsBusy", message: "x".to_owned() },
        Outcome::Provider(State::Creating("x".to_owned())),
        Outcome::Provider(State::Updating(running(), "x".to_owned())),
        Outcome::Provider(State::Deleting("x".to_owned())),
        Outcome::Provider(State::Gone { kept: None }),
    ];
    for outcome in waits {
        if !matches!(outcome, Outcome::Provider(State::Gone { .. })) {
            assert_eq!(outcome.fact(1, &Said::default()), None, "{outcome:?}");
        }
        let reason = outcome.words().0;
        assert!(mlp_crds::status::NOT_YET.contains(&reason), "{reason}");
    }
    for outcome in [failed("QuotaExceeded"), Outcome::Protected] {
        assert!(!mlp_crds::status::NOT_YET.contains(&outcome.words().0), "{outcome:?}");
    }
}
