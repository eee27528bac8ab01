//! Hooks of a sync: made, waited for, ended. What each has come to is decided in `domain::hook`; here it is
//! done and written down.

use std::collections::BTreeMap;

use kube::api::{DynamicObject, PostParams};
use mlp_crds::argocd::{OperationState, ResourceResult};
use mlp_model::{Class, Classified as _};
use serde_json::{Value, json};

use super::ApplicationReconciler;
use super::apply::{Reached, Work, record, result};
use super::kinds::Kind;
use super::observe::as_value;
use super::render::Desired;
use crate::domain::SERVICE;
use crate::domain::hook::{self, Hook, Phase, Progress, progress, word};
use crate::domain::identity::{self, ObjectId, TRACKING_ID};
use crate::domain::object_options::ObjectOptions;
use crate::domain::operation::attempt;
use crate::domain::picture::{Extra, LiveHook, Picture};
use crate::domain::request::Propagation;
use crate::domain::revision;
use crate::error::Error;

impl ApplicationReconciler {
    /// Runs the hooks of a phase, wave after wave; only those of one wave where it is given.
    pub(super) async fn run_hooks(
        &self,
        work: &Work<'_>,
        phase: Phase,
        only: Option<i64>,
        picture: &mut Picture,
        state: &mut OperationState,
    ) -> Result<Reached, Error> {
        let mut waves: BTreeMap<i64, Vec<Desired>> = BTreeMap::new();
        for (number, one) in work.rendered.hooks.iter().enumerate() {
            let wave = one.options.wave;
            if policy(one).runs_in(phase) && only.is_none_or(|only| only == wave) {
                waves.entry(wave).or_default().push(named(work, one, number, phase, state));
            }
        }
        for hooks in waves.into_values() {
            let (mut waits, mut failures) = (None, Vec::new());
            for wanted in &hooks {
                match self.run_hook(work, wanted, phase, picture, state).await? {
                    Reached::Done => {}
                    Reached::Failed(messages) => failures.extend(messages),
                    other => {
                        waits.get_or_insert(other);
                    }
                }
            }
            // Those beside it go on to their end; the sync does not.
            if !failures.is_empty() {
                return Ok(Reached::Failed(failures));
            }
            if let Some(waits) = waits {
                return Ok(waits);
            }
        }
        Ok(Reached::Done)
    }

    async fn run_hook(
        &self,
        work: &Work<'_>,
        wanted: &Desired,
        phase: Phase,
        picture: &mut Picture,
        state: &mut OperationState,
    ) -> Result<Reached, Error> {
        let id = &wanted.id;
        let sync = format!("{}/", attempt(state));
        // One that runs in two phases is made for each.
        let attempt = format!("{sync}{}", phase.as_str());
        let waits = |why: &str| Reached::Waits(format!("waiting for hook {id}: {why}"));
        let Some(kind) = &wanted.kind else {
            return Ok(waits("its kind is not installed"));
        };
        let results = results(state);
        let recorded = recorded(results, id, phase);
        let recorded = recorded.as_ref().map(|(word, message)| (word.as_str(), message.as_str()));
        let live = picture.hooks.iter().find(|one| one.id.same_object(id)).cloned();
        let mut come_to = progress(&attempt, recorded, live.as_ref().map(|one| &one.live));
        if come_to == Progress::Due {
            if picture.strangers.iter().any(|stranger| stranger.same_object(id)) {
                let why = format!(
                    "hook {id}: there is one that is not this Application's; rename the hook, or delete it"
                );
                record(state, hook_result(id, phase, word::FAILED, &why));
                return Ok(Reached::Failed(vec![why]));
            }
            let made = match self.make(wanted, kind, &attempt).await {
                Ok(made) => made,
                Err(error) => return failed_to_make(error, id, phase, state),
            };
            tracing::info!(hook = %id, phase = phase.as_str(), "made");
            let made = self.live_hook(id, &made, work.rendered, &work.instance);
            come_to = progress(&attempt, None, made.as_ref().map(|one| &one.live));
            picture.hooks.retain(|one| !one.id.same_object(id));
            picture.hooks.extend(made);
        }
        match come_to {
            Progress::InTheWay => {
                // What it came to in an earlier phase of this sync is written down before it goes.
                let is_of_this_sync = live.is_some_and(|one| one.live.attempt.starts_with(&sync));
                if is_of_this_sync && !is_over(&work.written, id) {
                    return Ok(Reached::ToBeWritten);
                }
                self.delete_hook(work, id).await?;
                Ok(waits("the one of an earlier sync is being deleted"))
            }
            Progress::Due => Ok(waits("it is not there yet")),
            Progress::Runs(why) => {
                // Nothing is written down of one that waits for room.
                if picture.hooks.iter().any(|one| one.id.same_object(id) && one.live.attempt == attempt) {
                    record(state, hook_result(id, phase, word::RUNNING, &why));
                }
                Ok(waits(&why))
            }
            Progress::Succeeded => {
                record(state, hook_result(id, phase, word::SUCCEEDED, "succeeded"));
                Ok(Reached::Done)
            }
            Progress::Failed(why) => {
                let message = if why.starts_with("hook ") { why } else { format!("hook {id} failed: {why}") };
                record(state, hook_result(id, phase, word::FAILED, &message));
                Ok(Reached::Failed(vec![message]))
            }
        }
    }

    /// Makes a hook for this attempt.
    async fn make(&self, wanted: &Desired, kind: &Kind, attempt: &str) -> Result<Value, Error> {
        let mut object = wanted.object.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
            annotations[hook::ATTEMPT] = json!(attempt);
        }
        let after = object.pointer_mut("/spec/ttlSecondsAfterFinished").filter(|_| wanted.id.kind == "Job");
        if let Some(after) = after.filter(|after| after.as_i64().is_some_and(|after| after < hook::KEPT)) {
            *after = json!(hook::KEPT);
        }
        let action = || format!("make {}", wanted.id);
        let object: DynamicObject = serde_json::from_value(object)
            .map_err(|error| Error::call(action(), kube::Error::SerdeError(error)))?;
        let params = PostParams { field_manager: Some(SERVICE.into()), ..PostParams::default() };
        let made = self.api(kind, &wanted.id.namespace).create(&params, &object).await;
        let made = made.map_err(|source| Error::call(action(), source))?;
        Ok(as_value(kind, made).map(|(_, value)| value).unwrap_or_default())
    }

    async fn delete_hook(&self, work: &Work<'_>, id: &ObjectId) -> Result<(), Error> {
        self.delete(&as_extra(id), work.request.pruning.propagation).await
    }

    /// Has the hooks of an attempt that still run deleted; gives what is not let be deleted.
    pub(super) async fn end_attempt(
        &self,
        picture: &Picture,
        state: &OperationState,
        propagation: Propagation,
    ) -> Result<Vec<String>, Error> {
        let sync = format!("{}/", attempt(state));
        let mut left = Vec::new();
        let of_sync = picture.hooks.iter().filter(|one| one.live.attempt.starts_with(&sync));
        for one in of_sync.filter(|one| !one.live.has_ended() && !one.live.deleting) {
            match self.delete(&as_extra(&one.id), propagation).await {
                Err(error) if error.class() == Class::Transient => return Err(error),
                Err(error) => left.push(format!("hook {}: {error}", one.id)),
                Ok(()) => {}
            }
        }
        Ok(left)
    }

    /// Hooks of earlier syncs that still run are ended before anything of this one begins; gives what is waited for.
    /// Those that came to an end go where their policy makes room and their name is not in the way anyhow.
    pub(super) async fn end_earlier(
        &self,
        work: &Work<'_>,
        picture: &Picture,
        state: &OperationState,
    ) -> Result<Option<String>, Error> {
        let sync = format!("{}/", attempt(state));
        let mut waits = None;
        for one in &picture.hooks {
            let live = &one.live;
            if live.attempt.is_empty() || live.attempt.starts_with(&sync) {
                continue;
            }
            let is_named = work.rendered.hooks.iter().any(|wanted| wanted.id.same_object(&one.id));
            let makes_room = !is_named && begun_as(work, &one.id).is_some_and(|hook| hook.before);
            if !live.deleting && (!live.has_ended() || makes_room) {
                self.delete_hook(work, &one.id).await?;
            }
            if !live.has_ended() {
                waits.get_or_insert(format!("waiting for hook {} of an earlier sync to be gone", one.id));
            }
        }
        Ok(waits)
    }

    /// Deletes hooks of this sync that are to go, once what came of them is written down; gives whether that is so.
    pub(super) async fn end_hooks(
        &self,
        work: &Work<'_>,
        succeeded: bool,
        picture: &Picture,
        state: &OperationState,
    ) -> Result<bool, Error> {
        let sync = format!("{}/", attempt(state));
        let of_sync =
            picture.hooks.iter().filter(|one| one.live.attempt.starts_with(&sync) && !one.live.deleting);
        for one in of_sync {
            let hook = self.policy_of(work, one, state);
            let goes = if succeeded { hook.on_success } else { hook.on_failure };
            if !goes || !is_over(results(state), &one.id) {
                continue;
            }
            if !is_over(&work.written, &one.id) {
                return Ok(false);
            }
            self.delete_hook(work, &one.id).await?;
        }
        Ok(true)
    }

    /// What happens to a hook at the end, by what git says of it.
    fn policy_of(&self, work: &Work<'_>, one: &LiveHook, state: &OperationState) -> Hook {
        let phases = [Phase::PreSync, Phase::Sync, Phase::PostSync, Phase::SyncFail];
        let found = work.rendered.hooks.iter().enumerate().find(|(number, wanted)| {
            phases.iter().any(|phase| named(work, wanted, *number, *phase, state).id.same_object(&one.id))
        });
        found.map(|(_, wanted)| policy(wanted)).unwrap_or_default()
    }
}

/// A hook, to be deleted.
pub(super) fn as_extra(id: &ObjectId) -> Extra {
    Extra { id: id.clone(), options: ObjectOptions::default(), deleting: false, health: None }
}

/// When a hook runs and goes.
pub(super) fn policy(wanted: &Desired) -> Hook {
    wanted.options.hook.unwrap_or_default()
}

/// The policy of the hook with the beginning of this name.
fn begun_as(work: &Work<'_>, id: &ObjectId) -> Option<Hook> {
    let of_kind = work.rendered.hooks.iter().filter(|one| one.id.kind == id.kind && one.id.group == id.group);
    let mut begun =
        of_kind.filter(|one| beginning(one).is_some_and(|beginning| id.name.starts_with(beginning)));
    begun.next().map(policy)
}

/// The beginning of a name, where a hook has only that.
fn beginning(hook: &Desired) -> Option<&str> {
    let beginning = hook.object.pointer("/metadata/generateName").and_then(Value::as_str)?;
    (beginning == hook.id.name).then_some(beginning)
}

/// The hook with the name that it has in this attempt.
fn named(work: &Work<'_>, hook: &Desired, number: usize, phase: Phase, state: &OperationState) -> Desired {
    let mut named = hook.clone();
    let Some(beginning) = beginning(hook) else { return named };
    let revision = state.sync_result.as_ref().map(revision::begun).unwrap_or_default();
    let attempt = (state.started_at.as_deref().unwrap_or_default(), state.retry_count.unwrap_or_default());
    named.id.name = hook::generated_name(beginning, &revision, phase, attempt, number);
    if let Some(metadata) = named.object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("generateName");
        metadata.insert("name".into(), json!(named.id.name));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations
                .insert(TRACKING_ID.to_owned(), json!(identity::tracking_id(&work.instance, &named.id)));
        }
    }
    named
}

fn failed_to_make(
    error: Error,
    id: &ObjectId,
    phase: Phase,
    state: &mut OperationState,
) -> Result<Reached, Error> {
    let message = format!("hook {id}: {error}");
    match error.class() {
        Class::Transient => Err(error),
        Class::Waiting(_) => Ok(Reached::Waits(format!("waiting for {message}"))),
        Class::Terminal => {
            record(state, hook_result(id, phase, word::FAILED, &message));
            Ok(Reached::Failed(vec![message]))
        }
    }
}

fn hook_result(id: &ObjectId, phase: Phase, word: &str, message: &str) -> ResourceResult {
    ResourceResult {
        status: None,
        sync_phase: Some(phase.as_str().into()),
        hook_type: Some(phase.as_str().into()),
        hook_phase: Some(word.into()),
        ..result(id, "", message)
    }
}

fn results(state: &OperationState) -> &[ResourceResult] {
    state.sync_result.as_ref().map(|result| result.resources.as_slice()).unwrap_or_default()
}

fn is_of(result: &ResourceResult, id: &ObjectId) -> bool {
    let same = (&result.group, &result.kind, &result.namespace, &result.name);
    result.hook_type.is_some() && same == (&id.group, &id.kind, &id.namespace, &id.name)
}

/// Whether a hook came to an end in every phase in which it was begun.
fn is_over(all: &[ResourceResult], id: &ObjectId) -> bool {
    let mut of_it = all.iter().filter(|result| is_of(result, id)).peekable();
    of_it.peek().is_some() && of_it.all(|result| result.hook_phase.as_deref() != Some(word::RUNNING))
}

/// What was written down of a hook in this attempt: word and message.
fn recorded(results: &[ResourceResult], id: &ObjectId, phase: Phase) -> Option<(String, String)> {
    let of_phase = |result: &&ResourceResult| result.hook_type.as_deref() == Some(phase.as_str());
    let of_it = results.iter().filter(|result| is_of(result, id)).find(of_phase)?;
    Some((of_it.hook_phase.clone()?, of_it.message.clone().unwrap_or_default()))
}
