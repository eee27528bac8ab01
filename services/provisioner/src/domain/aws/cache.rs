//! The decision about a cache: an ElastiCache replication group.
//!
//! ElastiCache takes one change at a time, so a plan has at most one step; the next observation
//! finds the next.

use mlp_model::Environment;

use super::check::{self, Refusal};
use super::names;
use super::seen::Seen;
use super::step::{CacheChange, CreateCache, Step, When};
use super::version::Version;
use super::{changing, running, size};
use crate::domain::model::Wish;
use crate::domain::plan::{Plan, State};

/// What brings ElastiCache to `wish`; `seen` is ours.
pub(super) fn decide(wish: &Wish, id: String, seen: Option<&Seen>) -> Result<Plan<Step>, Refusal> {
    let version = check::cache(wish)?;
    let class = size::cache_node_type(wish).ok_or_else(|| Refusal::TooLarge {
        cpu: wish.size.cpu.to_string(),
        memory: wish.size.memory.to_string(),
    })?;
    let Some(seen) = seen else {
        let step = Step::CreateCache(CreateCache {
            tags: names::tags(wish),
            id,
            class,
            engine: wish.engine.as_str(),
            version,
            replicas: wish.replicas,
            high_availability: wish.high_availability,
            retention_days: wish.retention_days,
        });
        return Ok(Plan { state: State::Creating(step.to_string()), steps: vec![step] });
    };
    let status = &seen.status;
    match status.as_str() {
        "available" => {
            let maybe_step = next_change(wish, id, seen, Wanted { class, version })?;
            Ok(Plan { state: state(seen, maybe_step.as_ref()), steps: maybe_step.into_iter().collect() })
        }
        "create-failed" => Ok(Plan::rest(failed(&id))),
        "deleting" => Ok(Plan::rest(State::Creating(format!(
            "ElastiCache deletes {id}, which nobody asked us for; it is made again afterwards"
        )))),
        _ => Ok(Plan::rest(changing(seen, reports(status)))),
    }
}

/// What removes it; `seen` is ours and not protected by its request.
pub(super) fn remove(wish: &Wish, id: String, seen: &Seen) -> Plan<Step> {
    let status = &seen.status;
    let keep = match status.as_str() {
        "available" => names::keeps(wish),
        "create-failed" => false,
        "deleting" => return Plan::rest(State::Deleting(reports(status))),
        _ => {
            let why = format!("{}; it can be deleted once that is over", reports(status));
            return Plan::rest(State::Deleting(why));
        }
    };
    let step = Step::DeleteCache { id, keep };
    Plan { state: State::Deleting(step.to_string()), steps: vec![step] }
}

/// The wish in AWS' words.
struct Wanted {
    class: String,
    version: String,
}

/// The first change that is left, in the order that ElastiCache needs: failover goes before the
/// replicas that it needs, and comes after them.
fn next_change(wish: &Wish, id: String, seen: &Seen, wanted: Wanted) -> Result<Option<Step>, Refusal> {
    let at_once = wish.environment == Environment::Dev && !seen.pending.any();
    let at = if at_once { When::Now } else { When::Window };
    let failover = seen.pending.high_availability.unwrap_or(seen.high_availability);
    let switch = |on| CacheChange { high_availability: Some(on), ..CacheChange::default() };

    if failover && !wish.high_availability {
        return Ok(Some(Step::ModifyCache { id, change: switch(false), at: When::Now }));
    }
    if seen.replicas > wish.replicas {
        return Ok(Some(Step::RemoveReplicas { id, to: wish.replicas }));
    }
    let change = difference(wish, seen, wanted)?;
    if change != CacheChange::default() {
        return Ok(Some(Step::ModifyCache { id, change, at }));
    }
    if seen.replicas < wish.replicas {
        return Ok(Some(Step::AddReplicas { id, to: wish.replicas }));
    }
    if !failover && wish.high_availability {
        return Ok(Some(Step::ModifyCache { id, change: switch(true), at: When::Now }));
    }
    let tags = seen.missing_tags(&names::tags(wish));
    Ok((!tags.is_empty()).then(|| Step::TagCache { arn: seen.arn.clone(), tags }))
}

/// What differs in size, version and retention, counting what AWS has accepted as done. A version
/// that AWS did not say is not compared.
fn difference(wish: &Wish, seen: &Seen, wanted: Wanted) -> Result<CacheChange, Refusal> {
    let pending = &seen.pending;
    let mut change = CacheChange::default();
    if *pending.class.as_ref().unwrap_or(&seen.class) != wanted.class {
        change.class = Some(wanted.class);
    }
    change.retention_days = (seen.retention_days != wish.retention_days).then_some(wish.retention_days);
    let runs = pending.version.as_ref().or(seen.version.as_ref());
    if let Some((text, runs)) = runs.and_then(|text| Some((text, Version::parse(text)?)))
        && let Some(target) = Version::parse(&wanted.version)
        && !runs.satisfies(Version::parse(&wish.version).unwrap_or(target))
    {
        if runs.major > target.major {
            return Err(Refusal::Downgrade { running: text.clone(), wanted: wish.version.clone() });
        }
        change.version = Some(wanted.version);
    }
    Ok(change)
}

fn state(seen: &Seen, maybe_step: Option<&Step>) -> State {
    match (running(seen), maybe_step) {
        (None, _) => State::Creating("ElastiCache has not said yet where it listens".to_owned()),
        (Some(running), Some(step)) => State::Updating(running, step.to_string()),
        (Some(running), None) if seen.pending.any() => {
            State::Updating(running, "changes wait for the maintenance window".to_owned())
        }
        (Some(running), None) => State::Ready(running),
    }
}

fn failed(id: &str) -> State {
    let message = format!(
        "ElastiCache could not make {id}; its events in AWS say why. Delete the Cache and make it again"
    );
    State::Failed { reason: "AwsReportsFailure", message }
}

fn reports(status: &str) -> String {
    format!("ElastiCache reports `{status}`")
}
