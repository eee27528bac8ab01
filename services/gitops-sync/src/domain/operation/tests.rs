use mlp_crds::argocd::{ApplicationSpec, HistoryEntry};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::domain::identity::ObjectId;
use crate::domain::object_options::ObjectOptions;
use crate::domain::picture::{Extra, Item, Presence};
use crate::domain::request;
use crate::domain::termination::terminate;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn wanted(policy: Value) -> Request {
    let spec: ApplicationSpec = serde_json::from_value(json!({
        "project": "default",
        "source": {"repoURL": "https://git.example/shop", "targetRevision": "main"},
        "destination": {"namespace": "ml-team"},
        "syncPolicy": policy,
    }))
    .unwrap();
    request::validate(&spec).unwrap()
}

fn full() -> Request {
    wanted(json!({"automated": {"prune": true, "selfHeal": true}}))
}

fn id(name: &str) -> ObjectId {
    ObjectId { kind: "ConfigMap".into(), name: name.into(), ..ObjectId::default() }
}

fn picture(presence: Presence) -> Picture {
    let item = Item { id: id("a"), options: ObjectOptions::default(), presence, health: None };
    Picture { revision: "r1".into(), items: vec![item], stages: vec![(0, vec![0])], ..Picture::default() }
}

fn extra() -> Extra {
    Extra { id: id("old"), options: ObjectOptions::default(), deleting: false, health: None }
}

struct Case {
    request: Request,
    picture: Picture,
    last: Option<OperationState>,
    asked: Option<Operation>,
    history: Vec<HistoryEntry>,
    windows: Windows,
    barred: Option<&'static str>,
    now: i64,
}

impl Case {
    fn new(request: Request, picture: Picture) -> Self {
        Self {
            request,
            picture,
            last: None,
            asked: None,
            history: Vec::new(),
            windows: Windows::default(),
            barred: None,
            now: 1_000,
        }
    }

    fn next(&self) -> Step {
        let status = ApplicationStatus {
            operation_state: self.last.clone(),
            history: self.history.clone(),
            ..ApplicationStatus::default()
        };
        let (request, picture, windows) = (&self.request, &self.picture, &self.windows);
        next(Situation {
            request,
            status: &status,
            asked: self.asked.as_ref(),
            picture,
            windows,
            held: None,
            barred: self.barred,
            now: at(self.now),
        })
    }

    fn run(&self) -> OperationState {
        match self.next() {
            Step::Run(state) => state,
            other => panic!("expected a run, got {other:?}"),
        }
    }
}

#[test]
fn automated_sync_starts_only_when_something_differs() {
    assert_eq!(Case::new(full(), picture(Presence::Synced)).next(), Step::Idle);
    assert_eq!(Case::new(wanted(json!({})), picture(Presence::Missing)).next(), Step::Idle);
    let state = Case::new(full(), picture(Presence::Missing)).run();
    assert_eq!(state.phase, RUNNING);
    assert!(state.operation.sync.unwrap().prune);
    assert_eq!(state.sync_result.unwrap().revision, "r1");
}

#[test]
fn nothing_is_deleted_by_an_empty_or_partial_picture() {
    let empty = Picture { revision: "r1".into(), extras: vec![extra()], ..Picture::default() };
    assert!(matches!(Case::new(full(), empty.clone()).next(), Step::Blocked(_)));
    let allowed = wanted(json!({"automated": {"prune": true, "allowEmpty": true}}));
    let state = Case::new(allowed.clone(), empty.clone()).run();
    assert!(may_prune(&state, &allowed, &empty));
    assert!(!may_prune(&state, &full(), &empty));
    let partial = Picture { gaps: vec!["x".into()], ..picture(Presence::Missing) };
    assert_eq!(Case::new(full(), partial.clone()).next(), Step::Idle);
    assert!(!may_prune(&state, &allowed, &partial));
}

#[test]
fn a_left_over_alone_starts_a_sync_only_with_prune() {
    let left = Picture { extras: vec![extra()], ..picture(Presence::Synced) };
    assert_eq!(Case::new(wanted(json!({"automated": {}})), left.clone()).next(), Step::Idle);
    assert!(matches!(Case::new(full(), left.clone()).next(), Step::Run(_)));
    let mut kept = left;
    kept.extras[0].options.prune = crate::domain::consent::Consent::Withheld;
    assert_eq!(Case::new(full(), kept).next(), Step::Idle);
}

fn finished(case: &Case, phase: &str, second: i64) -> OperationState {
    let mut state = case.run();
    state.phase = phase.into();
    state.finished_at = Some(seconds(at(second)));
    state
}

#[test]
fn a_failed_revision_is_not_tried_again_but_a_new_one_is() {
    let mut case = Case::new(full(), picture(Presence::Missing));
    case.last = Some(finished(&case, FAILED, 990));
    assert!(matches!(case.next(), Step::Blocked(_)));
    case.picture.revision = "r2".into();
    assert_eq!(case.run().sync_result.unwrap().revision, "r2");
}

#[test]
fn self_heal_is_immediate_once_and_then_pauses_longer_and_longer() {
    let mut case = Case::new(full(), picture(Presence::Modified));
    case.last = Some(finished(&case, SUCCEEDED, 999));
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let mut state = match case.next() {
            Step::Run(state) => state,
            Step::Wait(due) => {
                pauses.push(due.as_second() - case.now);
                case.now = due.as_second();
                case.run()
            }
            other => panic!("{other:?}"),
        };
        succeed(&mut state, at(case.now));
        case.last = Some(state);
    }
    assert_eq!(pauses, [2, 6, 18, 54, 162, 300]);
    let without = wanted(json!({"automated": {}}));
    assert_eq!(Case { request: without, ..case }.next(), Step::Idle);
}

#[test]
fn a_failed_attempt_is_retried_with_growing_pauses_and_then_given_up() {
    let policy = json!({"automated": {}, "retry": {"limit": 2, "backoff": {"duration": "10s", "factor": 2}}});
    let mut case = Case::new(wanted(policy), picture(Presence::Missing));
    let mut state = case.run();
    for expected in [10, 20] {
        fail(&mut state, case.request.retry, "boom".into(), at(case.now));
        case.last = Some(state);
        let Step::Wait(due) = case.next() else { panic!("expected a pause") };
        assert_eq!(due.as_second() - case.now, expected);
        case.now = due.as_second();
        state = case.run();
        assert_eq!(state.finished_at, None);
    }
    fail(&mut state, case.request.retry, "boom".into(), at(case.now));
    assert_eq!((state.phase.as_str(), state.message.as_deref()), (FAILED, Some("boom")));
}

#[test]
fn a_newer_revision_replaces_a_running_automated_sync() {
    let mut case = Case::new(full(), picture(Presence::Missing));
    case.last = Some(case.run());
    assert_eq!(case.run().sync_result.unwrap().revision, "r1");
    case.picture.revision = "r2".into();
    assert_eq!(case.run().sync_result.unwrap().revision, "r1", "a commit that changes nothing of it");
    case.picture.content = "other".into();
    assert_eq!(case.run().sync_result.unwrap().revision, "r2");
}

fn asked(sync: Value) -> Operation {
    serde_json::from_value(json!({"initiatedBy": {"username": "ada"}, "sync": sync})).unwrap()
}

#[test]
fn a_sync_by_hand_runs_without_automation_and_is_not_retried() {
    let mut case = Case::new(wanted(json!({})), picture(Presence::Synced));
    case.asked = Some(asked(json!({"prune": true})));
    let mut state = case.run();
    assert!(may_prune(&state, &case.request, &case.picture));
    fail(&mut state, case.request.retry, "boom".into(), at(1));
    assert_eq!(state.phase, FAILED);
}

#[test]
fn what_a_sync_by_hand_cannot_do_is_refused_by_name() {
    let mut case = Case::new(full(), picture(Presence::Missing));
    for (sync, field) in [
        (json!({"resources": [{"kind": "Pod", "name": "a"}]}), "operation.sync.resources[0]"),
        (json!({"syncOptions": ["Prune=confirm"]}), "operation.sync.syncOptions"),
        (json!({"source": {"repoURL": "https://git.example/x"}}), "operation.sync.source"),
        (json!({"manifests": ["x"]}), "operation.sync.manifests"),
        (json!({"revision": "v1"}), "operation.sync.revision"),
    ] {
        case.asked = Some(asked(sync));
        let Step::Refuse(state) = case.next() else { panic!("expected a refusal of {field}") };
        assert!(state.message.unwrap().starts_with(field), "{field}");
        assert_eq!(state.phase, ERROR);
    }
}

#[test]
fn one_that_only_tries_or_is_about_some_objects_is_no_attempt_at_the_whole() {
    for sync in [json!({"dryRun": true}), json!({"resources": [{"kind": "ConfigMap", "name": "a"}]})] {
        let mut case = Case::new(wanted(json!({"automated": {}})), picture(Presence::Missing));
        case.asked = Some(asked(sync));
        let mut state = case.run();
        assert!(!runs_hooks(&state));
        state.phase = SUCCEEDED.into();
        (case.asked, case.last) = (None, Some(state.clone()));
        assert!(matches!(case.next(), Step::Run(_)), "what was never synced is");

        // What was synced before is changed by somebody: that stays, or is healed, without hooks.
        let result = state.sync_result.clone().unwrap();
        let entry = HistoryEntry {
            revision: Some(result.revision),
            source: result.source,
            ..HistoryEntry::default()
        };
        case.history = vec![entry];
        assert_eq!(case.next(), Step::Idle);
        case.request = full();
        case.now = 5_000;
        assert!(!runs_hooks(&case.run()));
    }
}

proptest! {
    /// Whatever the policy and the past, a picture without difference starts no automated sync.
    #[test]
    fn a_steady_state_stays_quiet(prune: bool, heal: bool, empty: bool, phase in "(Succeeded|Failed|Error)", now in 0_i64..100_000) {
        let request = wanted(json!({"automated": {"prune": prune, "selfHeal": heal, "allowEmpty": empty}}));
        let mut case = Case::new(request, picture(Presence::Missing));
        case.last = Some(finished(&case, &phase, 500));
        case.picture = picture(Presence::Synced);
        case.now = now;
        prop_assert_eq!(case.next(), Step::Idle);
    }
}

#[test]
fn a_closed_window_keeps_a_sync_from_beginning_and_holds_one_that_runs() {
    let closed = || Closed { why: "the project's window `deny` forbids it".into(), until: Some(at(5_000)) };
    let mut case = Case::new(full(), picture(Presence::Missing));
    case.windows.automated = Some(closed());
    assert_eq!(case.next(), Step::Closed(None, closed()), "nothing begins by itself");
    case.asked = Some(Operation { sync: Some(SyncOperation::default()), ..Operation::default() });
    assert!(matches!(case.next(), Step::Run(_)), "by hand it may");
    case.windows.manual = Some(closed());
    let Step::Closed(Some(state), _) = case.next() else { panic!("{:?}", case.next()) };
    assert_eq!(
        (state.phase.as_str(), state.message.unwrap().starts_with("waiting: the project's")),
        (RUNNING, true)
    );

    let open = Case::new(full(), picture(Presence::Missing));
    let Step::Run(running) = open.next() else { panic!("{:?}", open.next()) };
    let mut case = Case { last: Some(running.clone()), ..Case::new(full(), picture(Presence::Missing)) };
    case.windows.automated = Some(closed());
    let Step::Closed(Some(state), _) = case.next() else { panic!("{:?}", case.next()) };
    assert_eq!(state.started_at, running.started_at, "it goes on when the window opens");
    case.windows.overrun = true;
    assert!(matches!(case.next(), Step::Run(_)), "or to its end");
}

#[test]
fn what_a_person_ended_is_not_begun_anew_by_a_commit_that_changes_nothing_of_it() {
    let mut case = Case::new(full(), Picture { content: "c".into(), ..picture(Presence::Missing) });
    let mut state = case.run();
    terminate(&mut state, &[], at(1_000));
    case.last = Some(state.clone());
    case.picture.revision = "r2".into();
    assert!(matches!(case.next(), Step::Blocked(_)), "{:?}", case.next());
    case.picture.content = "d".into();
    assert!(matches!(case.next(), Step::Run(_)));
    state.phase = TERMINATING.into();
    case.last = Some(state);
    assert!(matches!(case.next(), Step::Terminate(_)));
}

#[test]
fn a_persons_word_counts_before_an_automated_sync_that_runs() {
    let mut case = Case::new(full(), picture(Presence::Missing));
    case.last = Some(case.run());
    assert_eq!(Some(case.run()), case.last, "it goes on");
    case.asked = Some(Operation { sync: Some(SyncOperation::default()), ..Operation::default() });
    assert_eq!(case.run().operation, case.asked.clone().unwrap());
    case.last = Some(case.run());
    case.asked = None;
    assert_eq!(Some(case.run()), case.last, "and that goes on, too");
}

#[test]
fn what_rules_forbid_does_not_begin_and_what_is_applied_is_healed() {
    let mut case = Case::new(full(), picture(Presence::Missing));
    case.last = Some(case.run());
    case.barred = Some("run-as-root: web");
    // It waited for its namespace, which has rules now; or a commit that breaks rules is to take its place.
    let Step::Barred(Some(ended), _) = case.next() else { panic!("{:?}", case.next()) };
    assert_eq!((ended.phase.as_str(), ended.message.as_deref()), (FAILED, case.barred));
    assert!(ended.finished_at.is_some());
    case.last = Some(ended);
    assert_eq!(case.next(), Step::Barred(None, "run-as-root: web".into()));
    case.barred = None;
    assert!(is_automated(&case.run()), "once the rule is lifted it goes on");
    case.barred = Some("run-as-root: web");

    // By hand it is refused, and may be tried.
    case.asked = Some(Operation { sync: Some(SyncOperation::default()), ..Operation::default() });
    let Step::Barred(Some(state), _) = case.next() else { panic!("{:?}", case.next()) };
    assert_eq!(state.phase, ERROR);
    // Once the rule is lifted, automated sync does what it was kept from.
    let lifted = Case {
        barred: None,
        asked: None,
        last: Some(state),
        ..Case::new(full(), picture(Presence::Missing))
    };
    assert!(is_automated(&lifted.run()));
    let tries = SyncOperation { dry_run: true, ..SyncOperation::default() };
    case.asked = Some(Operation { sync: Some(tries), ..Operation::default() });
    assert!(matches!(case.next(), Step::Run(_)));

    // Whatever else somebody says of it.
    let by = OperationInitiator { automated: true, ..OperationInitiator::default() };
    let mut heals = SyncOperation::default();
    heals.rest.insert(HEAL_COUNT.into(), json!(1));
    case.asked = Some(Operation { initiated_by: Some(by), sync: Some(heals), ..Operation::default() });
    let Step::Barred(Some(state), _) = case.next() else { panic!("{:?}", case.next()) };
    assert_eq!((state.phase.as_str(), state.message.as_deref()), (ERROR, case.barred));
}
