//! Whether to sync now: automated sync, self-heal, retries and syncs that a person asks for.
//!
//! The operation lives in the Application's status, so a restart continues where it was. A newer
//! revision replaces an automated operation that still runs.

use std::time::Duration;

use jiff::Timestamp;
use mlp_crds::Application;
use mlp_crds::argocd::{ApplicationStatus, Operation, OperationInitiator, OperationState, SyncOperation};
use serde_json::{Map, json};

use super::picture::{Picture, SyncWord};
use super::request::{Request, RetryRule};
use super::termination::{TERMINATING, was_terminated};
use super::window::{Closed, Windows};
use super::{revision, selection};

/// The word for an operation under way.
pub const RUNNING: &str = "Running";
/// The word for an operation that did all.
pub const SUCCEEDED: &str = "Succeeded";
/// The word for an operation that could not do all.
pub const FAILED: &str = "Failed";
/// The word for an operation that was refused before it began.
pub const ERROR: &str = "Error";

/// First pause between two self-heals of one revision, growing threefold.
const HEAL_FIRST: Duration = Duration::from_secs(2);
/// Longest pause between two self-heals.
const HEAL_LONGEST: Duration = Duration::from_secs(300);
/// After as long without a self-heal the count begins anew.
const HEAL_REST: Duration = Duration::from_secs(600);
/// Entry of an operation's `info` that holds the digest of what it was begun for: a field that Argo CD has too.
const CONTENT: &str = "mlplatform.dev/content";
/// Argo CD's field that counts self-heals.
const HEAL_COUNT: &str = "autoHealAttemptsCount";

/// What to do about syncing.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing.
    Idle,
    /// Nothing, and a person should know why.
    Blocked(String),
    /// Nothing before this time.
    Wait(Timestamp),
    /// Refuse what a person asked for.
    Refuse(OperationState),
    /// Nothing while a window is closed; the operation says why, where there is one.
    Closed(Option<OperationState>, Closed),
    /// Nothing, because rules forbid it: what becomes of the operation, where there is one, and why.
    Barred(Option<OperationState>, String),
    /// End what runs, because a person says so.
    Terminate(OperationState),
    /// Start or resume; the state is written before anything is applied.
    Run(OperationState),
}

/// What `next` decides from.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The validated spec.
    pub request: &'a Request,
    /// The last status.
    pub status: &'a ApplicationStatus,
    /// What a person asks for.
    pub asked: Option<&'a Operation>,
    /// What was found.
    pub picture: &'a Picture,
    /// What the project's windows say.
    pub windows: &'a Windows,
    /// The revision that the Application is held at, where it is.
    pub held: Option<&'a str>,
    /// Why rules keep what was found from being applied, where they do: what is live and breaks them already does not count.
    pub barred: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
}

/// Decides.
pub fn next(situation: Situation<'_>) -> Step {
    let mut state = match regardless(situation) {
        Step::Run(state) => state,
        other => return other,
    };
    let running = situation.status.operation_state.as_ref().filter(|last| last.phase == RUNNING);
    let goes_on =
        running.is_some_and(|last| last.started_at == state.started_at && last.operation == state.operation);
    if let Some(why) = situation.barred {
        return barred(situation, state, running, why);
    }
    let closed = if is_automated(&state) { &situation.windows.automated } else { &situation.windows.manual };
    let Some(closed) = closed.clone().filter(|_| !(goes_on && situation.windows.overrun)) else {
        return Step::Run(state);
    };
    // One that nobody asked for and that has not begun does not begin.
    if is_automated(&state) && !goes_on {
        return Step::Closed(running.cloned(), closed);
    }
    state.message = Some(format!("waiting: {}", closed.why));
    Step::Closed(Some(state), closed)
}

/// What becomes of an operation that rules forbid. None of it is an attempt at its revision: once the rule is lifted,
/// automated sync goes on.
fn barred(
    situation: Situation<'_>,
    state: OperationState,
    running: Option<&OperationState>,
    why: &str,
) -> Step {
    if state.operation.is_dry_run() {
        return Step::Run(state);
    }
    let refused = |operation: &Operation| unreadable(operation, why.to_owned(), situation.now);
    let ended = if situation.asked == Some(&state.operation) || (running.is_none() && !is_automated(&state)) {
        Some(refused(&state.operation))
    } else {
        // One that nobody asked for does not begin; one that runs has waited for what made the rule, or is to be replaced.
        running.map(|running| OperationState {
            phase: FAILED.to_owned(),
            started_at: running.started_at.clone(),
            ..refused(&running.operation)
        })
    };
    Step::Barred(ended, why.to_owned())
}

/// What is to be done, whatever the windows and rules say.
fn regardless(situation: Situation<'_>) -> Step {
    let last = situation.status.operation_state.as_ref();
    if let Some(ending) = last.filter(|state| state.phase == TERMINATING) {
        return Step::Terminate(ending.clone());
    }
    if let Some(running) = last.filter(|state| state.phase == RUNNING) {
        // A person's word counts before what nobody asked for.
        return match situation.asked.filter(|_| is_automated(running)) {
            Some(asked) => asked_for(situation, asked),
            None => resume(situation, running),
        };
    }
    if let Some(asked) = situation.asked {
        return asked_for(situation, asked);
    }
    automated(situation, last)
}

fn resume(situation: Situation<'_>, running: &OperationState) -> Step {
    let sync = running.operation.sync.clone().unwrap_or_default();
    let revision = running.sync_result.as_ref().map(revision::begun).unwrap_or_default();
    let wanted = content(&running.operation);
    let is_another = match wanted {
        // A commit that changes nothing of this Application ends nothing, a hook that runs least of all.
        Some(wanted) => wanted != situation.picture.content,
        None => revision != situation.picture.revision,
    };
    if is_automated(running) && is_another {
        // Another content replaces the operation: waiting for an old one would hold the fix back.
        return Step::Run(begin(situation, automated_operation(situation, 0)));
    }
    match again(running, situation.request.retry, situation.now) {
        Err(due) => Step::Wait(due),
        Ok(mut state) => {
            state.operation.sync = Some(sync);
            Step::Run(state)
        }
    }
}

/// One that runs, as it goes on: where its last attempt failed, with the next.
///
/// # Errors
/// The time before which it does not.
pub fn again(running: &OperationState, rule: RetryRule, now: Timestamp) -> Result<OperationState, Timestamp> {
    let mut state = running.clone();
    let finished = running.finished_at.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    let Some(finished) = finished else { return Ok(state) };
    let retry = u32::try_from(running.retry_count.unwrap_or(1)).unwrap_or(1).saturating_sub(1);
    let due = finished.saturating_add(rule.wait(retry)).unwrap_or(finished);
    if now < due {
        return Err(due);
    }
    state.finished_at = None;
    // What hooks came to in the attempt before is no result of this one.
    if let Some(result) = &mut state.sync_result {
        result.resources.clear();
    }
    Ok(state)
}

fn asked_for(situation: Situation<'_>, asked: &Operation) -> Step {
    let mut state = begin(situation, asked.clone());
    if let Some(field) = unsupported(situation, asked) {
        state.phase = ERROR.to_owned();
        state.message = Some(field);
        state.finished_at = state.started_at.clone();
        return Step::Refuse(state);
    }
    Step::Run(state)
}

fn unsupported(situation: Situation<'_>, asked: &Operation) -> Option<String> {
    let Some(sync) = &asked.sync else {
        return Some("operation.sync is missing; write what to sync, or `sync: {}` for all".into());
    };
    if sync.source.is_some() {
        return Some("operation.sync.source is not supported; remove it".into());
    }
    if let Some(place) = selection::names_nothing(&sync.resources, situation.picture) {
        return Some(format!(
            "operation.sync.resources[{place}] names no object of the Application; see status.resources"
        ));
    }
    if let Some(option) = sync.sync_options.iter().find(|option| !situation.request.options.contains(*option))
    {
        return Some(format!(
            "operation.sync.syncOptions has `{option}`, which the Application has not; write it in spec.syncPolicy.syncOptions"
        ));
    }
    let known = ["autoHealAttemptsCount", "syncStrategy"];
    if let Some(key) = sync.rest.keys().find(|key| !known.contains(&key.as_str())) {
        return Some(format!("operation.sync.{key} is not supported; remove it"));
    }
    let request = situation.request;
    let wanted = asked_revision(sync).unwrap_or_default();
    if !wanted.is_empty() && sync.revisions.is_empty() == request.several {
        let (wrong, right) =
            if request.several { ("revision", "revisions") } else { ("revisions", "revision") };
        return Some(format!("operation.sync.{wrong} does not fit the Application's sources; write {right}"));
    }
    if !sync.revisions.is_empty() && sync.revisions.len() != request.origins.len() {
        let sources = request.origins.len();
        return Some(format!("operation.sync.revisions needs {sources}, one for each of spec.sources"));
    }
    if let Some(held) = situation.held {
        let other = !wanted.is_empty() && wanted != held;
        return other.then(|| format!("operation.sync.revision `{wanted}` is not what the Application is held at, {held}; release it first"));
    }
    // The picture is of what is asked for; what was compared before it is of the spec.
    let compared = situation.status.sync.as_ref().and_then(revision::compared);
    let compared = compared.unwrap_or_else(|| situation.picture.revision.clone());
    let pinned = !wanted.is_empty() && wanted != request.revision() && wanted != compared;
    (pinned && request.automated.is_some()).then(|| {
        format!("operation.sync.revision `{wanted}` differs from targetRevision, which automated sync would restore; turn spec.syncPolicy.automated off first")
    })
}

/// The revision that an operation names, or those of several sources.
fn asked_revision(sync: &SyncOperation) -> Option<String> {
    let text = revision::joined(sync.revision.as_deref().unwrap_or_default(), &sync.revisions);
    Some(text).filter(|text| !text.is_empty())
}

fn automated(situation: Situation<'_>, last: Option<&OperationState>) -> Step {
    let (request, picture) = (situation.request, situation.picture);
    let Some(policy) = request.automated else { return Step::Idle };
    if picture.sync() != SyncWord::OutOfSync {
        return Step::Idle;
    }
    let prunable = policy.prune && picture.has_prunable();
    if !picture.has_changes() && !prunable {
        return Step::Idle;
    }
    if picture.items.is_empty() && !policy.allow_empty {
        return Step::Blocked(
            "git has no objects left and automated sync would delete everything; set \
             spec.syncPolicy.automated.allowEmpty, or sync by hand"
                .into(),
        );
    }
    // One that only tried, or was about some objects, is no attempt at the whole: what was before it counts.
    if let Some(partial) = last.filter(|state| selection::is_partial(&state.operation)) {
        return match (was_synced(situation), policy.self_heal) {
            (true, true) => heal(situation, partial),
            (true, false) => Step::Idle,
            (false, _) => match selection::given_up(situation.status, &picture.revision) {
                Some(message) => Step::Blocked(message),
                None => Step::Run(begin(situation, automated_operation(situation, 0))),
            },
        };
    }
    match last.filter(|state| same_attempt(state, request, picture)) {
        None => Step::Run(begin(situation, automated_operation(situation, 0))),
        Some(state) if state.phase == SUCCEEDED && policy.self_heal => heal(situation, state),
        Some(state) if state.phase == SUCCEEDED => Step::Idle,
        Some(state) => {
            let message = state.message.as_deref().unwrap_or_default();
            Step::Blocked(format!("{}{message}", selection::not_again(&picture.revision)))
        }
    }
}

fn heal(situation: Situation<'_>, last: &OperationState) -> Step {
    let finished = last.finished_at.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    let finished = finished.unwrap_or(Timestamp::MIN);
    let sync = last.operation.sync.as_ref();
    let count = sync.and_then(|sync| sync.rest.get(HEAL_COUNT)?.as_u64()).unwrap_or_default();
    let rested = finished.saturating_add(HEAL_REST).unwrap_or(finished) <= situation.now;
    let count = if rested { 0 } else { u32::try_from(count).unwrap_or(u32::MAX) };
    if let Some(exponent) = count.checked_sub(1) {
        let rule = RetryRule { limit: None, first: HEAL_FIRST, factor: 3, longest: HEAL_LONGEST };
        let due = finished.saturating_add(rule.wait(exponent)).unwrap_or(finished);
        if situation.now < due {
            return Step::Wait(due);
        }
    }
    Step::Run(begin(situation, automated_operation(situation, count.saturating_add(1))))
}

/// Whether the last entry of the history is of what is wanted now.
fn was_synced(situation: Situation<'_>) -> bool {
    let (request, picture) = (situation.request, situation.picture);
    let (revision, revisions) = revision::apart(&picture.revision, request.several);
    let (source, sources) = request.sources();
    let wanted = (Some(revision).filter(|_| !request.several), revisions, source, sources);
    situation.status.history.last().is_some_and(|last| {
        (last.revision.clone(), last.revisions.clone(), last.source.clone(), last.sources.clone()) == wanted
    })
}

fn same_attempt(state: &OperationState, request: &Request, picture: &Picture) -> bool {
    let Some(result) = &state.sync_result else { return false };
    // A commit that changes nothing of the Application does not begin anew what a person ended.
    let ended = was_terminated(state) && content(&state.operation) == Some(&picture.content);
    (revision::begun(result) == picture.revision || ended)
        && (result.source.clone(), result.sources.clone()) == request.sources()
}

fn automated_operation(situation: Situation<'_>, heal: u32) -> Operation {
    let policy = situation.request.automated.unwrap_or_default();
    let (revision, revisions) = revision::apart(&situation.picture.revision, situation.request.several);
    let mut sync = SyncOperation {
        revision: Some(revision).filter(|_| !situation.request.several),
        revisions,
        prune: policy.prune,
        ..SyncOperation::default()
    };
    if heal > 0 {
        sync.rest.insert(HEAL_COUNT.into(), json!(heal));
    }
    let mut rest = Map::new();
    rest.insert("info".into(), json!([{"name": CONTENT, "value": situation.picture.content}]));
    let by = OperationInitiator { automated: true, ..OperationInitiator::default() };
    Operation { initiated_by: Some(by), sync: Some(sync), rest, ..Operation::default() }
}

/// The digest of what an automated operation was begun for.
fn content(operation: &Operation) -> Option<&str> {
    let info = operation.rest.get("info")?.as_array()?;
    info.iter().find(|entry| entry.get("name").is_some_and(|name| name == CONTENT))?.get("value")?.as_str()
}

fn begin(situation: Situation<'_>, operation: Operation) -> OperationState {
    begun(situation.request, &situation.picture.revision, operation, situation.now)
}

/// An operation as it begins.
pub fn begun(request: &Request, revision: &str, operation: Operation, now: Timestamp) -> OperationState {
    let (revision, revisions) = revision::apart(revision, request.several);
    let (source, sources) = request.sources();
    let result = mlp_crds::argocd::SyncResult { revision, source, revisions, sources, ..Default::default() };
    OperationState {
        operation,
        phase: RUNNING.into(),
        started_at: Some(seconds(now)),
        sync_result: Some(result),
        ..Default::default()
    }
}

/// The revision that an operation by hand asks for, in place of the spec's: of the one under way,
/// else of the one that waits.
pub fn pinned(status: &ApplicationStatus, asked: Option<&Operation>) -> Option<String> {
    let by_hand = |operation: &Operation| !operation.initiated_by.as_ref().is_some_and(|by| by.automated);
    let running = status.operation_state.as_ref().filter(|state| state.phase == RUNNING);
    // One that runs goes on with what it began with, wherever the branch is by now.
    if let Some(state) = running.filter(|state| by_hand(&state.operation)) {
        let begun = state.sync_result.as_ref().map(revision::begun);
        return begun.filter(|revision| !revision.is_empty());
    }
    let operation = asked.filter(|operation| by_hand(operation))?;
    asked_revision(operation.sync.as_ref()?)
}

/// Whether hooks run: not where the operation only undoes what was changed beside git, is about some objects alone or
/// only tries, nor with the strategy `apply`.
pub fn runs_hooks(state: &OperationState) -> bool {
    let Some(sync) = state.operation.sync.as_ref() else { return true };
    let applies = sync
        .rest
        .get("syncStrategy")
        .is_some_and(|strategy| strategy.get("apply").is_some_and(|it| !it.is_null()));
    !applies && !is_heal(&state.operation) && !selection::is_partial(&state.operation)
}

/// Whether the operation undoes what was changed beside git.
pub fn is_heal(operation: &Operation) -> bool {
    operation.sync.as_ref().is_some_and(|sync| sync.rest.contains_key(HEAL_COUNT))
}

/// The phase of the last operation, where there was one.
pub fn phase(application: &Application) -> Option<&str> {
    Some(application.status.as_ref()?.operation_state.as_ref()?.phase.as_str())
}

/// Whether automated sync began it, and nobody asked for it.
pub fn is_automated(state: &OperationState) -> bool {
    state.operation.initiated_by.as_ref().is_some_and(|by| by.automated)
}

/// What names one attempt of an operation: hooks carry it.
pub fn attempt(state: &OperationState) -> String {
    let revision = state.sync_result.as_ref().map(revision::begun).unwrap_or_default();
    let started = state.started_at.as_deref().unwrap_or_default();
    format!("{started}/{revision}/{}", state.retry_count.unwrap_or_default())
}

/// Whether the operation may delete what left git.
pub fn may_prune(state: &OperationState, request: &Request, picture: &Picture) -> bool {
    let asked = state.operation.sync.as_ref().is_some_and(|sync| sync.prune);
    let empty = request.automated.is_some_and(|policy| policy.allow_empty) || !is_automated(state);
    asked && picture.gaps.is_empty() && (!picture.items.is_empty() || empty)
}

/// Ends an attempt that failed: a retry is announced as Argo CD does (Running with a finish time), or
/// the operation has failed for good.
pub fn fail(state: &mut OperationState, rule: RetryRule, message: String, now: Timestamp) {
    let retries = state.retry_count.unwrap_or_default();
    state.finished_at = Some(seconds(now));
    let again = is_automated(state) && rule.limit.is_none_or(|limit| retries < i64::from(limit));
    if again {
        state.retry_count = Some(retries.saturating_add(1));
        state.message = Some(format!("{message}; retry {} follows", retries.saturating_add(1)));
    } else {
        state.phase = FAILED.into();
        state.message = Some(message);
    }
}

/// What becomes of an operation that somebody asks for where spec, source or hold cannot be read, or rules forbid it.
pub fn unreadable(asked: &Operation, why: String, now: Timestamp) -> OperationState {
    OperationState {
        operation: asked.clone(),
        phase: ERROR.into(),
        message: Some(why),
        started_at: Some(seconds(now)),
        finished_at: Some(seconds(now)),
        ..OperationState::default()
    }
}

/// Ends an operation that did all.
pub fn succeed(state: &mut OperationState, now: Timestamp) {
    state.phase = SUCCEEDED.into();
    state.message = Some("successfully synced (all tasks run)".into());
    state.finished_at = Some(seconds(now));
}

/// RFC 3339 in whole seconds, as Kubernetes writes times.
pub fn seconds(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

#[cfg(test)]
mod tests;
