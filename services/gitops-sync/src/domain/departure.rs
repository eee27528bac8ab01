//! The end of an Application whose source has hooks for it: an operation of its own for each of the two phases, in the
//! place of the last sync's, so that whoever is killed in between goes on with it.

use jiff::Timestamp;
use mlp_crds::argocd::{Operation, OperationInitiator, OperationState, SyncOperation};
use serde_json::{Map, json};

use super::hook::Phase;
use super::operation::{self, FAILED, SUCCEEDED};
use super::request::Request;
use super::revision;

/// Argo CD's finalizers by which an Application waits for such hooks; it puts the second of a pair beside the first.
const FINALIZERS: [(Phase, [&str; 2]); 2] = [
    (
        Phase::PreDelete,
        ["pre-delete-finalizer.argocd.argoproj.io", "pre-delete-finalizer.argocd.argoproj.io/cleanup"],
    ),
    (
        Phase::PostDelete,
        ["post-delete-finalizer.argocd.argoproj.io", "post-delete-finalizer.argocd.argoproj.io/cleanup"],
    ),
];

/// Entry of an operation's `info` that says for which phase it is.
const PHASE: &str = "mlplatform.dev/deletion";

/// The phases of the end, in their order.
pub const PHASES: [Phase; 2] = [Phase::PreDelete, Phase::PostDelete];

/// The finalizers of a phase of the end: the first is ours to put.
pub fn finalizers(phase: Phase) -> impl Iterator<Item = &'static str> {
    FINALIZERS.into_iter().filter(move |(of, _)| *of == phase).flat_map(|(_, names)| names)
}

/// What to do about the hooks of a phase.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// They did what they should: they go, and then the finalizer.
    Clear(OperationState),
    /// Begin, or go on.
    Run(OperationState),
    /// Nothing before this time; says why.
    Wait(Timestamp, String),
    /// Nothing until git holds something else; says why.
    GivenUp(String),
}

/// Decides; `revision` is what the hooks were read at: that of [`begun_at`], where it names one.
pub fn next(
    last: Option<&OperationState>,
    phase: Phase,
    request: &Request,
    revision: &str,
    now: Timestamp,
) -> Step {
    let begin = || Step::Run(operation::begun(request, revision, operation(phase, request, revision), now));
    let Some(last) = last.filter(|last| is_of(last, phase)) else { return begin() };
    let said = || last.message.clone().unwrap_or_default();
    match last.phase.as_str() {
        SUCCEEDED => Step::Clear(last.clone()),
        FAILED if at(last).as_deref() == Some(revision) => Step::GivenUp(said()),
        FAILED => begin(),
        _ => match operation::again(last, request.retry, now) {
            Ok(state) => Step::Run(state),
            Err(due) => Step::Wait(due, said()),
        },
    }
}

/// The revision that the hooks of a phase were begun with, and stay at until they have failed for good.
pub fn begun_at(last: Option<&OperationState>, phase: Phase) -> Option<String> {
    at(last.filter(|last| is_of(last, phase) && last.phase != FAILED)?)
}

fn at(state: &OperationState) -> Option<String> {
    state.sync_result.as_ref().map(revision::begun).filter(|revision| !revision.is_empty())
}

fn is_of(state: &OperationState, phase: Phase) -> bool {
    let entries = state.operation.rest.get("info").and_then(|info| info.as_array()).into_iter().flatten();
    let says = |key: &str, value: &str| json!({"name": key, "value": value});
    entries.into_iter().any(|entry| *entry == says(PHASE, phase.as_str()))
}

fn operation(phase: Phase, request: &Request, revision: &str) -> Operation {
    let (revision, revisions) = revision::apart(revision, request.several);
    let revision = Some(revision).filter(|_| !request.several);
    let mut rest = Map::new();
    rest.insert("info".into(), json!([{"name": PHASE, "value": phase.as_str()}]));
    // Nobody asks for it again where it fails.
    let by = OperationInitiator { automated: true, ..OperationInitiator::default() };
    let sync = SyncOperation { revision, revisions, ..SyncOperation::default() };
    Operation { initiated_by: Some(by), sync: Some(sync), rest, ..Operation::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::validate;

    fn request() -> Request {
        let spec = json!({"project": "default", "destination": {"namespace": "shop"},
            "source": {"repoURL": "https://git.example/shop"},
            "syncPolicy": {"retry": {"limit": 1, "backoff": {"duration": "10s"}}}});
        validate(&serde_json::from_value(spec).unwrap()).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn hooks_of_a_phase_are_begun_once_and_retried_as_the_spec_says() {
        let request = request();
        let go = |last: Option<&OperationState>, revision: &str, second: i64| {
            next(last, Phase::PreDelete, &request, revision, at(second))
        };
        let sync = OperationState { phase: "Succeeded".into(), ..OperationState::default() };
        let Step::Run(mut state) = go(Some(&sync), "a", 0) else {
            panic!("a sync's success is none of the end")
        };
        assert_eq!(begun_at(Some(&state), Phase::PreDelete).as_deref(), Some("a"));
        assert_eq!(begun_at(Some(&state), Phase::PostDelete), None);
        assert_eq!(go(Some(&state), "a", 1), Step::Run(state.clone()));

        operation::fail(&mut state, request.retry, "why".into(), at(2));
        assert_eq!(go(Some(&state), "a", 3), Step::Wait(at(12), "why; retry 1 follows".into()));
        let Step::Run(mut second) = go(Some(&state), "a", 12) else { panic!("it is due") };
        assert_eq!((second.finished_at.clone(), second.retry_count), (None, Some(1)));
        operation::fail(&mut second, request.retry, "again".into(), at(13));
        assert_eq!(go(Some(&second), "a", 100), Step::GivenUp("again".into()));
        assert_eq!(begun_at(Some(&second), Phase::PreDelete), None, "what is pushed now counts");
        assert!(matches!(go(Some(&second), "b", 100), Step::Run(state) if state.retry_count.is_none()));

        let Step::Run(mut done) = go(None, "a", 0) else { panic!("nothing was begun") };
        operation::succeed(&mut done, at(1));
        assert_eq!(go(Some(&done), "a", 2), Step::Clear(done.clone()));
        assert!(matches!(next(Some(&done), Phase::PostDelete, &request, "a", at(2)), Step::Run(_)));
    }
}
