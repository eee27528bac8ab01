//! Carrying out an operation: stages in order, then deletions. Interrupted at any point, the next look
//! finds what is done and goes on.

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, PropagationPolicy};
use mlp_crds::argocd::{OperationState, ResourceResult};
use mlp_model::{Class, Classified as _};
use serde_json::Value;

use super::ApplicationReconciler;
use super::kinds::Kind;
use super::observe::as_value;
use super::render::Desired;
use crate::domain::SERVICE;
use crate::domain::compare::{comparable, digest};
use crate::domain::health;
use crate::domain::identity::{ObjectId, Owner, owner};
use crate::domain::operation::{self, fail, may_prune, succeed};
use crate::domain::picture::{Extra, Gate, Picture, Presence, gate};
use crate::domain::request::{Propagation, Request};
use crate::error::Error;

/// Most failures named in one message.
const NAMED: usize = 5;

/// How one object went.
enum Went {
    Done(String),
    Waits(String),
    Failed(String),
}

impl ApplicationReconciler {
    /// Does what is left of the operation and moves its state on; the picture shows the result.
    pub(super) async fn carry_out(
        &self,
        request: &Request,
        desired: &[Desired],
        picture: &mut Picture,
        state: &mut OperationState,
    ) -> Result<(), Error> {
        if let Some(obstacle) = self.caches.obstacle(&request.namespace) {
            state.message = Some(obstacle);
            return Ok(());
        }
        let stages = picture.stages.clone();
        for (number, (_, members)) in stages.iter().enumerate() {
            let mut failures = Vec::new();
            for index in members {
                match self.apply_one(request, desired, picture, *index, state).await? {
                    Some(Went::Waits(message)) => {
                        state.message = Some(message);
                        return Ok(());
                    }
                    Some(Went::Failed(message)) => failures.push(message),
                    Some(Went::Done(_)) | None => {}
                }
            }
            if !failures.is_empty() {
                fail(state, request.retry, summary(&failures), Timestamp::now());
                return Ok(());
            }
            let is_last = number + 1 == stages.len();
            let stage = members.iter().filter_map(|index| picture.items.get(*index));
            // The last stage ends the sync as soon as it is applied; only a missing kind holds it.
            let waits_for = stage.filter(|item| !is_last || item.presence == Presence::KindMissing);
            match gate(waits_for) {
                Gate::Open => {}
                Gate::Wait(message) => {
                    state.message = Some(message);
                    return Ok(());
                }
                Gate::Failed(message) => {
                    fail(state, request.retry, message, Timestamp::now());
                    return Ok(());
                }
            }
        }
        self.prune(request, picture, state).await
    }

    async fn apply_one(
        &self,
        request: &Request,
        desired: &[Desired],
        picture: &mut Picture,
        index: usize,
        state: &mut OperationState,
    ) -> Result<Option<Went>, Error> {
        let (Some(wanted), Some(item)) = (desired.get(index), picture.items.get_mut(index)) else {
            return Ok(None);
        };
        let went = match (&item.presence, &wanted.kind) {
            (Presence::Foreign(other), _) => Went::Failed(format!(
                "{} belongs to application {other}; remove it from one of the two",
                wanted.id
            )),
            (Presence::Synced, _) | (_, None) => return Ok(None),
            (_, Some(kind)) => match self.patch(wanted, kind, false).await {
                Ok(live) => {
                    let key =
                        (digest(&wanted.object), digest(&comparable(&wanted.id, &live, &request.ignored)));
                    self.verdicts.remember(key, true);
                    item.presence = Presence::Synced;
                    item.health = health::of(&wanted.id, &live);
                    Went::Done("serverside-applied".into())
                }
                Err(error) => match error.class() {
                    Class::Transient => return Err(error),
                    Class::Waiting(_) => Went::Waits(format!("waiting: {error}")),
                    Class::Terminal => Went::Failed(format!("{}: {error}", wanted.id)),
                },
            },
        };
        match &went {
            Went::Done(message) => record(state, &wanted.id, "Synced", message),
            Went::Failed(message) => record(state, &wanted.id, "SyncFailed", message),
            Went::Waits(_) => {}
        }
        Ok(Some(went))
    }

    /// Server-side apply under our field manager. What somebody else changed is taken back.
    pub(super) async fn patch(&self, desired: &Desired, kind: &Kind, dry_run: bool) -> Result<Value, Error> {
        let params = PatchParams {
            dry_run,
            force: true,
            field_manager: Some(SERVICE.into()),
            ..PatchParams::default()
        };
        let api = self.api(kind, &desired.id.namespace);
        let verb = if dry_run { "compare" } else { "apply" };
        let action = || format!("{verb} {}", desired.id);
        let object = api.patch(&desired.id.name, &params, &Patch::Apply(&desired.object)).await;
        let object: DynamicObject = object.map_err(|source| Error::call(action(), source))?;
        Ok(as_value(kind, object).map(|(_, value)| value).unwrap_or_default())
    }

    /// Deletes what left git, where the operation may, and ends the operation.
    async fn prune(
        &self,
        request: &Request,
        picture: &mut Picture,
        state: &mut OperationState,
    ) -> Result<(), Error> {
        let allowed = may_prune(state, request, picture);
        let mut failures = Vec::new();
        // What is needed by others was applied first, so it goes last.
        picture.extras.sort_by(|a, b| b.id.cmp(&a.id));
        let revision_extras = std::mem::take(&mut picture.extras);
        for mut extra in revision_extras {
            if !allowed || !extra.options.prune {
                record(state, &extra.id, "PruneSkipped", "ignored (requires pruning)");
            } else if !extra.deleting {
                match self.delete(&extra, request.pruning.propagation).await {
                    Ok(()) => {
                        record(state, &extra.id, "Pruned", "pruned");
                        extra.deleting = true;
                    }
                    Err(error) if error.class() == Class::Transient => return Err(error),
                    Err(error) => {
                        let message = format!("{}: {error}", extra.id);
                        record(state, &extra.id, "SyncFailed", &message);
                        failures.push(message);
                    }
                }
            }
            picture.extras.push(extra);
        }
        if failures.is_empty() {
            succeed(state, Timestamp::now());
        } else {
            fail(state, request.retry, summary(&failures), Timestamp::now());
        }
        Ok(())
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

fn record(state: &mut OperationState, id: &ObjectId, status: &str, message: &str) {
    let result = ResourceResult {
        group: id.group.clone(),
        version: id.version.clone(),
        kind: id.kind.clone(),
        namespace: id.namespace.clone(),
        name: id.name.clone(),
        status: Some(status.into()),
        message: Some(message.into()),
        sync_phase: Some("Sync".into()),
        hook_phase: (status == "Synced").then(|| operation::RUNNING.into()),
    };
    let results = &mut state.sync_result.get_or_insert_default().resources;
    let same = |known: &&mut ResourceResult| {
        (&known.group, &known.kind, &known.namespace, &known.name)
            == (&id.group, &id.kind, &id.namespace, &id.name)
    };
    match results.iter_mut().find(same) {
        Some(known) => *known = result,
        None => results.push(result),
    }
}

fn summary(failures: &[String]) -> String {
    let named = failures.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    let more = failures.len().saturating_sub(NAMED);
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("one or more objects failed to apply: {named}{rest}")
}
