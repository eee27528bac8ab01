//! Carrying out an operation: stages in order, then deletions. Interrupted at any point, the next look
//! finds what is done and goes on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use mlp_crds::argocd::{OperationState, ResourceResult};
use mlp_health::Level;
use mlp_model::{Class, Classified as _};

use super::ApplicationReconciler;
use super::hooks::policy;
use super::observe::{as_value, verdict_key};
use super::render::Rendered;
use crate::domain::compare::comparable;
use crate::domain::consent::{self, Consent};
use crate::domain::hook::{Phase, word};
use crate::domain::identity::{ObjectId, Owner, owner};
use crate::domain::operation::{self, fail, may_prune, succeed};
use crate::domain::picture::{Extra, Gate, Item, Picture, Presence, gate};
use crate::domain::request::{Propagation, Request};
use crate::error::Error;

/// The word for an object that could not be applied or deleted.
const FAILED_RESULT: &str = "SyncFailed";
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
        if succeeded {
            succeed(state, Timestamp::now());
        } else {
            fail(state, work.request.retry, summary(&failures), Timestamp::now());
        }
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

    /// Whether the API server takes what is to be applied: asked once, before a hook does what cannot be undone.
    async fn refused(
        &self,
        work: &Work<'_>,
        picture: &Picture,
        state: &mut OperationState,
    ) -> Result<Vec<String>, Error> {
        let mut refused = Vec::new();
        for (wanted, item) in work.rendered.desired.iter().zip(&picture.items) {
            // What is made anew where it is refused is refused now, and not then.
            let decided = item.presence == Presence::Synced || wanted.options.force;
            let (Some(kind), false) = (&wanted.kind, decided) else { continue };
            match self.patch(wanted, kind, true).await {
                Err(error) if error.class() == Class::Terminal => {
                    let message = format!("{}: {error}", wanted.id);
                    record(state, result(&wanted.id, FAILED_RESULT, &message));
                    refused.push(message);
                }
                Err(error) if error.class() == Class::Transient => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(refused)
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
        let mut waves: BTreeMap<i64, Vec<usize>> = picture.stages.iter().cloned().collect();
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
        if may_prune(state, work.request, picture)
            && let Some(extra) = picture.extras.iter().find(|extra| asks(extra, work.approved))
        {
            let since = state.started_at.clone().unwrap_or_default();
            return Ok(Reached::Waits(consent::request(&extra.id.to_string(), &since)));
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
            (Presence::Foreign(other), _) => Went::Failed(format!(
                "{} belongs to application {other}; remove it from one of the two",
                wanted.id
            )),
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
        let mut failures = Vec::new();
        // What is needed by others was applied first, so it goes last.
        picture.extras.sort_by(|a, b| b.id.cmp(&a.id));
        let revision_extras = std::mem::take(&mut picture.extras);
        for mut extra in revision_extras {
            if allowed && asks(&extra, work.approved) {
                // The sync waits for it.
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

    /// Deletes one object, and only the very one that was seen with our tracking id.
    pub(super) async fn delete(&self, extra: &Extra, propagation: Propagation) -> Result<(), Error> {
        let Some(kind) = self.kinds.find(&extra.id).await? else { return Ok(()) };
        let api = self.api(&kind, &extra.id.namespace);
        let action = || format!("delete {}", extra.id);
        let Some(live) = api.get_opt(&extra.id.name).await.map_err(|source| Error::call(action(), source))?
        else {
            return Ok(());
        };
        let (uid, version) = (live.uid(), live.resource_version());
        let tracked = as_value(&kind, live).map(|(_, value)| owner(&value));
        if !matches!(tracked, Some(Owner::Instance(_))) {
            return Ok(());
        }
        let propagation = match propagation {
            Propagation::Foreground => PropagationPolicy::Foreground,
            Propagation::Background => PropagationPolicy::Background,
            Propagation::Orphan => PropagationPolicy::Orphan,
        };
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid, resource_version: version }),
            propagation_policy: Some(propagation),
            ..DeleteParams::default()
        };
        match api.delete(&extra.id.name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(source) => Err(Error::call(action(), source)),
        }
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

fn summary(failures: &[String]) -> String {
    let named = failures.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    let more = failures.len().saturating_sub(NAMED);
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("one or more objects failed to apply: {named}{rest}")
}
