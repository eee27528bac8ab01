//! The Application's status, as Argo CD writes it, from what was found and done.
//!
//! Times move only with what they tell of, so that finding the same again gives an equal status and
//! nothing is written.

use jiff::Timestamp;
use mlp_crds::argocd::{
    ApplicationCondition, ApplicationSpec, ApplicationStatus, HealthStatus, HistoryEntry, OperationState,
    ResourceStatus, Summary, SyncStatus,
};
use serde_json::{Value, json};

use super::identity::ObjectId;
use super::operation::{SUCCEEDED, is_heal, seconds};
use super::picture::{Extra, Item, Picture, Presence, SyncWord};
use super::revision;
use super::selection::is_partial;
use super::tool::Tool;
use mlp_health::{Health, Level};

/// Condition type for a spec that cannot be acted on.
pub const INVALID_SPEC: &str = "InvalidSpecError";
/// Condition type for a source or live state that could not be read.
pub const COMPARISON: &str = "ComparisonError";
/// Condition type for objects in the destination that no Application manages.
pub const ORPHANED: &str = "OrphanedResourceWarning";
/// Condition type for a sync that waits for a window of the project; Argo CD has no word for it.
pub const WINDOW: &str = "SyncWindowWarning";
/// Condition type for an Application that stays at a revision; Argo CD has no word for it.
pub const HELD: &str = "HeldWarning";
/// Condition type for a sync that rules keep from beginning; Argo CD has no word for it.
pub const POLICY_ERROR: &str = "PolicyError";
/// Condition type for rules that are broken and keep nothing from being done.
pub const POLICY_WARNING: &str = "PolicyWarning";
/// Condition type for a sync that failed and is not tried again.
pub const SYNC: &str = "SyncError";

/// A fault or warning without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// One of Argo CD's condition types.
    pub kind: &'static str,
    /// In words.
    pub message: String,
}

impl Fault {
    /// A fault from its parts.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// What one look at an Application came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// What was found; none where spec or source could not be read.
    pub picture: Option<Picture>,
    /// Faults, all of them.
    pub faults: Vec<Fault>,
    /// The operation as it is now, where there was one.
    pub operation: Option<OperationState>,
    /// What made the manifests of each source.
    pub tools: Vec<Tool>,
    /// Images of the wanted objects.
    pub images: Vec<String>,
    /// Whether the operation only tried, of whatever revision: what is live is as it was.
    pub rehearses: bool,
    /// How many pods of the application run on nodes that execute nothing, of how many.
    pub simulated: Option<(usize, usize)>,
}

/// The next status. Where nothing was found (a fault), objects and health stay as they were last
/// known, and only the sync status becomes Unknown.
pub fn build(
    spec: &ApplicationSpec,
    previous: &ApplicationStatus,
    outcome: &Outcome,
    history_limit: usize,
    now: Timestamp,
) -> ApplicationStatus {
    let mut next = previous.clone();
    next.conditions = conditions(&previous.conditions, &outcome.faults, now);
    next.operation_state.clone_from(&outcome.operation);
    if outcome.rehearses {
        // Its results say what would come of it.
    } else if let Some(picture) = &outcome.picture {
        next.sync = Some(sync_status(spec, picture));
        next.resources = resources(picture);
        next.health = Some(health(previous.health.as_ref(), picture, outcome.simulated, now));
        let types = outcome.tools.iter().map(|tool| tool.source_type().to_owned());
        (next.source_type, next.source_types) = match spec.sources.is_empty() {
            true => (types.into_iter().next(), Vec::new()),
            false => (None, types.collect()),
        };
        next.summary = (!outcome.images.is_empty())
            .then(|| Summary { images: outcome.images.clone(), ..Summary::default() });
    } else {
        let mut sync = previous.sync.clone().unwrap_or_default();
        sync.status = SyncWord::Unknown.as_str().into();
        next.sync = Some(sync);
        next.health.get_or_insert_with(|| health_status(Level::Unknown, "", now));
    }
    record_history(&mut next, history_limit);
    if next != *previous {
        next.reconciled_at = Some(seconds(now));
    }
    next
}

fn sync_status(spec: &ApplicationSpec, picture: &Picture) -> SyncStatus {
    let several = !spec.sources.is_empty();
    let compared = if several {
        json!({"sources": spec.sources, "destination": spec.destination})
    } else {
        json!({"source": spec.source, "destination": spec.destination})
    };
    let (revision, revisions) = revision::apart(&picture.revision, several);
    SyncStatus {
        status: picture.sync().as_str().into(),
        compared_to: Some(compared),
        revision: Some(revision).filter(|_| !several),
        revisions,
    }
}

fn resources(picture: &Picture) -> Vec<ResourceStatus> {
    let wanted = picture.items.iter().map(|item| wanted_resource(item, picture.gaps.is_empty()));
    let hooks = picture.hooks.iter();
    let hooks = hooks.map(|one| (&one.id, one.live.health.as_ref()));
    let is_live =
        |id: &ObjectId| picture.hooks.iter().any(|one| one.id.same_object(id) || begins(id, &one.id));
    let coming = picture.coming.iter().filter(|id| !is_live(id)).map(|id| (id, None));
    let hooks = hooks.chain(coming);
    let hooks = hooks.map(|(id, health)| hook(id, health));
    let mut all: Vec<ResourceStatus> =
        wanted.chain(picture.extras.iter().map(extra_resource)).chain(hooks).collect();
    all.sort_by(|a, b| {
        (&a.group, &a.kind, &a.namespace, &a.name).cmp(&(&b.group, &b.kind, &b.namespace, &b.name))
    });
    all
}

/// Whether the name of one is the beginning of the other's, as `generateName` has it.
fn begins(beginning: &ObjectId, one: &ObjectId) -> bool {
    let same = ObjectId { name: beginning.name.clone(), ..one.clone() };
    beginning.name.ends_with('-') && same.same_object(beginning) && one.name.starts_with(&beginning.name)
}

/// A hook.
pub fn hook(id: &ObjectId, health: Option<&Health>) -> ResourceStatus {
    ResourceStatus { hook: true, ..resource(id, health) }
}

fn resource(id: &ObjectId, health: Option<&Health>) -> ResourceStatus {
    ResourceStatus {
        group: id.group.clone(),
        version: id.version.clone(),
        kind: id.kind.clone(),
        namespace: id.namespace.clone(),
        name: id.name.clone(),
        health: health.map(|health| HealthStatus {
            status: Some(health.level.as_str().into()),
            message: Some(health.message.clone()).filter(|text| !text.is_empty()),
            last_transition_time: None,
        }),
        ..ResourceStatus::default()
    }
}

fn wanted_resource(item: &Item, complete: bool) -> ResourceStatus {
    let word = match item.presence {
        Presence::Synced => SyncWord::Synced,
        _ if complete => SyncWord::OutOfSync,
        _ => SyncWord::Unknown,
    };
    let missing = Health::new(Level::Missing, "");
    let health = match item.presence {
        Presence::Missing | Presence::KindMissing => Some(&missing),
        _ => item.health.as_ref(),
    };
    ResourceStatus {
        status: Some(word.as_str().into()),
        sync_wave: Some(item.options.wave).filter(|wave| *wave != 0),
        requires_deletion_confirmation: item.options.asks_before_it_goes(),
        ..resource(&item.id, health)
    }
}

fn extra_resource(extra: &Extra) -> ResourceStatus {
    let status = Some(SyncWord::OutOfSync.as_str().into());
    ResourceStatus {
        status,
        requires_pruning: true,
        requires_deletion_confirmation: extra.options.asks_before_it_goes(),
        ..resource(&extra.id, extra.health.as_ref())
    }
}

fn health(
    previous: Option<&HealthStatus>,
    picture: &Picture,
    simulated: Option<(usize, usize)>,
    now: Timestamp,
) -> HealthStatus {
    let level = picture.health();
    let healths = picture.items.iter().map(|item| (&item.id, item.health.as_ref()));
    let decisive =
        healths.filter_map(|(id, health)| Some((id, health?))).find(|(_, health)| health.level == level);
    let mut words = match decisive {
        Some((id, health)) if level != Level::Healthy => format!("{id}: {}", health.message),
        _ => String::new(),
    };
    if let Some((some, all)) = simulated.filter(|(some, _)| *some > 0) {
        words = format!("simulated: {some} of {all} pods are on nodes that run nothing {words}")
            .trim_end()
            .to_owned();
    }
    let next = health_status(level, &words, now);
    match previous {
        Some(last) if last.status == next.status => {
            HealthStatus { last_transition_time: last.last_transition_time.clone(), ..next }
        }
        _ => next,
    }
}

fn health_status(level: Level, message: &str, now: Timestamp) -> HealthStatus {
    HealthStatus {
        status: Some(level.as_str().into()),
        message: Some(message.to_owned()).filter(|text| !text.is_empty()),
        last_transition_time: Some(seconds(now)),
    }
}

fn conditions(
    previous: &[ApplicationCondition],
    faults: &[Fault],
    now: Timestamp,
) -> Vec<ApplicationCondition> {
    let since = |fault: &Fault| {
        let same = previous.iter().find(|last| last.type_ == fault.kind && last.message == fault.message);
        same.and_then(|last| last.last_transition_time.clone()).unwrap_or_else(|| seconds(now))
    };
    faults
        .iter()
        .map(|fault| ApplicationCondition {
            type_: fault.kind.into(),
            message: fault.message.clone(),
            last_transition_time: Some(since(fault)),
        })
        .collect()
}

/// The objects of a status that are missing, changed or left over.
pub fn differing(status: &ApplicationStatus) -> impl Iterator<Item = &ResourceStatus> {
    status.resources.iter().filter(|one| one.status.as_deref() == Some(SyncWord::OutOfSync.as_str()))
}

/// A successful operation enters the history once, known by its start and what it synced.
fn record_history(next: &mut ApplicationStatus, limit: usize) {
    let succeeded = |state: &&OperationState| state.phase == SUCCEEDED && !is_partial(&state.operation);
    let Some(state) = next.operation_state.as_ref().filter(succeeded) else { return };
    let result = state.sync_result.clone().unwrap_or_default();
    let same = |last: &HistoryEntry| {
        revision::entered(last) == revision::begun(&result)
            && (last.source == result.source && last.sources == result.sources)
    };
    // Times are of whole seconds, in which two commits may be synced.
    let is_entered = |last: &HistoryEntry| last.deploy_started_at == state.started_at && same(last);
    if next.history.last().is_some_and(is_entered) {
        return;
    }
    // What undoes a change made beside git is no new revision: it must not push out what one could go back to.
    if is_heal(&state.operation) && next.history.last().is_some_and(same) {
        return;
    }
    let id = next.history.last().map_or(0, |last| last.id.saturating_add(1));
    let mut entry = HistoryEntry {
        id,
        revision: Some(result.revision).filter(|_| result.revisions.is_empty()),
        source: result.source,
        revisions: result.revisions,
        sources: result.sources,
        deploy_started_at: state.started_at.clone(),
        deployed_at: state.finished_at.clone(),
        ..HistoryEntry::default()
    };
    if let Some(by) = &state.operation.initiated_by {
        entry.rest.insert("initiatedBy".into(), json!(by));
    }
    next.history.push(entry);
    let surplus = next.history.len().saturating_sub(limit.max(1));
    next.history.drain(..surplus);
}

/// Images of pod templates, sorted, each once.
pub fn images<'a>(objects: impl Iterator<Item = &'a Value>) -> Vec<String> {
    const POD_SPECS: [&str; 3] = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec", "/spec"];
    let mut found = std::collections::BTreeSet::new();
    for object in objects {
        let specs = POD_SPECS.iter().filter_map(|pointer| object.pointer(pointer));
        let lists = specs.flat_map(|spec| [spec.get("initContainers"), spec.get("containers")]).flatten();
        for container in lists.filter_map(Value::as_array).flatten() {
            found.extend(container.get("image").and_then(Value::as_str).map(str::to_owned));
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests;
