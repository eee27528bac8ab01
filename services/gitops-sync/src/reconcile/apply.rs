//! Carrying out an operation: stages in order, then deletions. Interrupted at any point, the next look
//! finds what is done and goes on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mlp_crds::argocd::{OperationState, ResourceResult};
use mlp_health::Level;
use mlp_model::{Class, Classified as _};

use super::ApplicationReconciler;
use super::hooks::policy;
use super::observe::verdict_key;
use super::render::Rendered;
use crate::domain::compare::comparable;
use crate::domain::consent::{self, Consent, is_asked};
use crate::domain::hook::{Phase, word};
use crate::domain::identity::ObjectId;
use crate::domain::operation::{self, fail, may_prune, succeed};
use crate::domain::picture::{Extra, Gate, Item, Picture, Presence, gate};
use crate::domain::request::Request;
use crate::domain::selection;
use crate::error::Error;

/// The word for an object that could not be applied or deleted.
pub(super) const FAILED_RESULT: &str = "SyncFailed";
/// Most failures named in one message.
const NAMED: usize = 5;

/// How one object went.
enum Went {
    Done(String),
    Waits(String),
    Failed(String),
}

/// What a sync works from.
pub(super) struct Work<'a> {
    pub(super) request: &'a Request,
    pub(super) rendered: &'a Rendered,
    /// The name by which the Application tracks its objects.
    pub(super) instance: String,
    /// Results that are in the status already: what is only in memory is lost with the process.
    pub(super) written: Vec<ResourceResult>,
    /// Whether somebody agreed to deletions that ask for it, since the operation began.
    pub(super) approved: bool,
}

/// How far a step came.
pub(super) enum Reached {
    /// All of it is done.
    Done,
    /// Something is waited for.
    Waits(String),
    /// What was done so far is to be written down before the next step.
    ToBeWritten,
    /// Something failed, and waiting does not help.
    Failed(Vec<String>),
}

impl ApplicationReconciler {
    /// Does what is left of the operation and moves its state on; the picture shows the result. Whether the next
    /// look is to follow as soon as the state is written.
    pub(super) async fn carry_out(
        &self,
        work: &Work<'_>,
        picture: &mut Picture,
        state: &mut OperationState,
    ) -> Result<bool, Error> {
        if let Some(obstacle) = self.caches.obstacle(&work.request.namespace) {
            state.message = Some(obstacle);
            return Ok(false);
        }
        if state.operation.is_dry_run() {
            let failures = self.rehearse(work, picture, state).await?;
            end(failures, work, state);
            return Ok(false);
        }
        let with_hooks = !work.rendered.hooks.is_empty() && operation::runs_hooks(state);
        if with_hooks && let Some(message) = self.before_hooks(work, picture, state).await? {
            state.message = Some(message);
            return Ok(false);
        }
        let mut failures = if with_hooks { failures_in(&work.written) } else { Vec::new() };
        if failures.is_empty() {
            match self.steps(work, with_hooks, picture, state).await? {
                Reached::Done => {}
                Reached::Failed(messages) => failures = messages,
                other => return Ok(hold(other, state)),
            }
        }
        let succeeded = failures.is_empty();
        if with_hooks && !succeeded {
            match self.run_hooks(work, Phase::SyncFail, None, picture, state).await? {
                Reached::Done => {}
                Reached::Failed(more) => failures.extend(more),
                Reached::Waits(message) => {
                    state.message = Some(format!("{}; {message}", summary(&failures)));
                    return Ok(false);
                }
                Reached::ToBeWritten => return Ok(hold(Reached::ToBeWritten, state)),
            }
        }
        if with_hooks && !self.end_hooks(work, succeeded, picture, state).await? {
            return Ok(hold(Reached::ToBeWritten, state));
        }
        end(failures, work, state);
        Ok(false)
    }

    /// What must be so before hooks run, beside what any sync needs; gives what is waited for.
    async fn before_hooks(
        &self,
        work: &Work<'_>,
        picture: &Picture,
        state: &OperationState,
    ) -> Result<Option<String>, Error> {
        // A hook that only was not listed would be taken for one that somebody deleted.
        if let Some(gap) = picture.gaps.first() {
            return Ok(Some(format!("waiting: what is live is not known: {gap}")));
        }
        self.end_earlier(work, picture, state).await
    }

    /// What a sync does where nothing fails: hooks before, wave after wave, what left git, hooks after.
    async fn steps(
        &self,
        work: &Work<'_>,
        with_hooks: bool,
        picture: &mut Picture,
        state: &mut OperationState,
    ) -> Result<Reached, Error> {
        if with_hooks && work.written.is_empty() {
            let refused = self.refused(work, picture, state).await?;
            if !refused.is_empty() {
                return Ok(Reached::Failed(refused));
            }
        }
        if with_hooks {
            match self.run_hooks(work, Phase::PreSync, None, picture, state).await? {
                Reached::Done => {}
                other => return Ok(other),
            }
        }
        // Where only a person is waited for, nothing is done again.
        if let Some(question) = question(work, picture, state).filter(|_| is_asked(state.message.as_deref()))
        {
            return Ok(Reached::Waits(question));
        }
        let is_named = |item: &Item| selection::takes(selection::named(state), &item.id);
        let named_of = |members: &[usize]| -> Vec<usize> {
            let members = members.iter().copied();
            members.filter(|index| picture.items.get(*index).is_some_and(is_named)).collect()
        };
        let waves = picture.stages.iter().map(|(wave, members)| (*wave, named_of(members)));
        let mut waves: BTreeMap<i64, Vec<usize>> = waves.filter(|(_, members)| !members.is_empty()).collect();
        if with_hooks {
            for hook in work.rendered.hooks.iter().filter(|one| policy(one).runs_in(Phase::Sync)) {
                waves.entry(hook.options.wave).or_default();
            }
        }
        // One wave and no hook ends as soon as it is applied; only a missing kind holds it.
        let waits_for_health = waves.len() > 1 || with_hooks;
        for (wave, members) in waves {
            let mut failures = Vec::new();
            for index in &members {
                match self.apply_one(work, picture, *index, state).await? {
                    Some(Went::Waits(message)) => return Ok(Reached::Waits(message)),
                    Some(Went::Failed(message)) => failures.push(message),
                    Some(Went::Done(_)) | None => {}
                }
            }
            if !failures.is_empty() {
                return Ok(Reached::Failed(failures));
            }
            if with_hooks {
                match self.run_hooks(work, Phase::Sync, Some(wave), picture, state).await? {
                    Reached::Done => {}
                    other => return Ok(other),
                }
            }
            let stage = members.iter().filter_map(|index| picture.items.get(*index));
            let waits_for = stage.filter(|item| waits_for_health || item.presence == Presence::KindMissing);
            match gate(waits_for) {
                Gate::Open => {}
                Gate::Wait(message) => return Ok(Reached::Waits(message)),
                Gate::Failed(message) => {
                    let degraded = members.iter().filter_map(|index| picture.items.get(*index));
                    let mut degraded = degraded.filter(|item| is_degraded(item));
                    if let Some(item) = degraded.next().filter(|_| with_hooks) {
                        // It may recover while hooks of failure run: this sync has failed all the same.
                        record(state, result(&item.id, FAILED_RESULT, &message));
                    }
                    return Ok(Reached::Failed(vec![message]));
                }
            }
        }
        let failures = self.prune(work, picture, state).await?;
        if !failures.is_empty() {
            return Ok(Reached::Failed(failures));
        }
        if let Some(question) = question(work, picture, state) {
            return Ok(Reached::Waits(question));
        }
        if !with_hooks {
            return Ok(Reached::Done);
        }
        match picture.extras.iter().find(|extra| extra.deleting) {
            Some(extra) => Ok(Reached::Waits(format!("waiting for {} to be gone", extra.id))),
            None => self.run_hooks(work, Phase::PostSync, None, picture, state).await,
        }
    }

    async fn apply_one(
        &self,
        work: &Work<'_>,
        picture: &mut Picture,
        index: usize,
        state: &mut OperationState,
    ) -> Result<Option<Went>, Error> {
        let desired = &work.rendered.desired;
        let (Some(wanted), Some(item)) = (desired.get(index), picture.items.get_mut(index)) else {
            return Ok(None);
        };
        let went = match (&item.presence, &wanted.kind) {
            (Presence::Foreign(other), _) => Went::Failed(is_anothers(&wanted.id, other)),
            (Presence::Synced, _) | (_, None) => return Ok(None),
            (presence, Some(kind)) => match self
                .write(work, wanted, kind, *presence == Presence::Missing)
                .await
            {
                Ok((live, managed)) => {
                    let ignored = &work.request.ignored;
                    let live_now = comparable(&wanted.id, &live, &managed, ignored);
                    self.verdicts.remember(verdict_key(&wanted.object, &live_now, ignored), true);
                    item.presence = Presence::Synced;
                    item.health = self.health_of(&wanted.id, &live);
                    Went::Done("serverside-applied".into())
                }
                Err(error) => match error.class() {
                    Class::Transient => return Err(error),
                    Class::Waiting(_) => Went::Waits(format!("waiting: {error}")),
                    Class::Terminal if wanted.options.force && self.clears(work, wanted, kind).await? => {
                        Went::Waits(format!("waiting for {} to be gone, to be made anew: {error}", wanted.id))
                    }
                    Class::Terminal => Went::Failed(format!("{}: {error}", wanted.id)),
                },
            },
        };
        match &went {
            Went::Done(message) => record(state, result(&wanted.id, "Synced", message)),
            Went::Failed(message) => record(state, result(&wanted.id, FAILED_RESULT, message)),
            Went::Waits(_) => {}
        }
        Ok(Some(went))
    }

    /// Deletes what left git, where the operation may; gives what failed.
    async fn prune(
        &self,
        work: &Work<'_>,
        picture: &mut Picture,
        state: &mut OperationState,
    ) -> Result<Vec<String>, Error> {
        let allowed = may_prune(state, work.request, picture);
        let named = selection::named(state).to_vec();
        let mut failures = Vec::new();
        // What is needed by others was applied first, so it goes last.
        picture.extras.sort_by(|a, b| b.id.cmp(&a.id));
        let revision_extras = std::mem::take(&mut picture.extras);
        for mut extra in revision_extras {
            if !selection::takes(&named, &extra.id) || (allowed && asks(&extra, work.approved)) {
                // It is not asked for, or the sync waits for a person to agree.
            } else if !allowed || !extra.options.prune.holds(work.approved) {
                record(state, result(&extra.id, "PruneSkipped", "ignored (requires pruning)"));
            } else if !extra.deleting {
                match self.delete(&extra, work.request.pruning.propagation).await {
                    Ok(()) => {
                        record(state, result(&extra.id, "Pruned", "pruned"));
                        extra.deleting = true;
                    }
                    Err(error) if error.class() == Class::Transient => return Err(error),
                    Err(error) => {
                        let message = format!("{}: {error}", extra.id);
                        record(state, result(&extra.id, FAILED_RESULT, &message));
                        failures.push(message);
                    }
                }
            }
            picture.extras.push(extra);
        }
        Ok(failures)
    }
}

/// Notes what a sync stands at; whether the next look is to follow at once.
fn hold(reached: Reached, state: &mut OperationState) -> bool {
    match reached {
        Reached::Waits(message) => {
            state.message = Some(message);
            false
        }
        _ => {
            state.message = Some("what hooks came to is being written down".to_owned());
            true
        }
    }
}

/// Ends an attempt.
fn end(failures: Vec<String>, work: &Work<'_>, state: &mut OperationState) {
    match failures.as_slice() {
        [] => succeed(state, Timestamp::now()),
        failures => fail(state, work.request.retry, summary(failures), Timestamp::now()),
    }
}

pub(super) fn is_anothers(id: &ObjectId, other: &str) -> String {
    format!("{id} belongs to application {other}; remove it from one of the two")
}

/// What a person has yet to agree to.
fn question(work: &Work<'_>, picture: &Picture, state: &OperationState) -> Option<String> {
    let named = selection::named(state);
    let asking = picture.extras.iter().filter(|extra| asks(extra, work.approved));
    let asking = asking.filter(|extra| selection::takes(named, &extra.id)).map(|extra| extra.id.to_string());
    let asking: Vec<_> = asking.filter(|_| may_prune(state, work.request, picture)).collect();
    consent::request(&asking, state.started_at.as_deref().unwrap_or_default())
}

/// Whether a person has yet to agree that it goes.
fn asks(extra: &Extra, approved: bool) -> bool {
    extra.options.prune == Consent::Asked && !approved && !extra.deleting
}

fn is_degraded(item: &Item) -> bool {
    item.health.as_ref().is_some_and(|health| health.level == Level::Degraded)
}

/// What came of one object.
pub(super) fn result(id: &ObjectId, status: &str, message: &str) -> ResourceResult {
    ResourceResult {
        group: id.group.clone(),
        version: id.version.clone(),
        kind: id.kind.clone(),
        namespace: id.namespace.clone(),
        name: id.name.clone(),
        status: Some(status.into()),
        message: Some(message.into()),
        sync_phase: Some(Phase::Sync.as_str().into()),
        hook_type: None,
        hook_phase: (status == "Synced").then(|| operation::RUNNING.into()),
    }
}

/// Puts a result in the place of the one before of the same object and phase.
pub(super) fn record(state: &mut OperationState, result: ResourceResult) {
    let results = &mut state.sync_result.get_or_insert_default().resources;
    match results.iter_mut().find(|known| is_of_same(known, &result)) {
        Some(known) => *known = result,
        None => results.push(result),
    }
}

fn is_of_same(one: &ResourceResult, other: &ResourceResult) -> bool {
    (&one.group, &one.kind, &one.namespace, &one.name, &one.hook_type)
        == (&other.group, &other.kind, &other.namespace, &other.name, &other.hook_type)
}

/// What failed in this attempt already, and was written down.
fn failures_in(written: &[ResourceResult]) -> Vec<String> {
    let failed = |result: &&ResourceResult| {
        let hook = result.hook_type.as_deref();
        let hook_failed = hook.is_some_and(|hook| hook != Phase::SyncFail.as_str())
            && result.hook_phase.as_deref() == Some(word::FAILED);
        hook_failed || result.status.as_deref() == Some(FAILED_RESULT)
    };
    written.iter().filter(failed).map(|result| result.message.clone().unwrap_or_default()).collect()
}

pub(super) fn summary(failures: &[String]) -> String {
    let named = failures.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    let more = failures.len().saturating_sub(NAMED);
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("one or more objects failed to apply: {named}{rest}")
}
