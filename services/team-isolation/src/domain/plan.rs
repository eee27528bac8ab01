//! What is left to do for a team: pure, total, and printable.
//!
//! Steps run in stages; a stage starts when the one before it is done. Rights come last on the way
//! in and go first on the way out, so that nobody acts in a namespace whose quota and policy are not
//! in force. A plan for a team whose cluster is as it should be has no steps and no waits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::drift::covers;
use super::objects::{Key, Kind, Object};

/// When a step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Rights that nobody should hold any more.
    CutRights,
    /// The namespaces themselves.
    Namespaces,
    /// Account, quota, limits, policy, roles.
    Base,
    /// Who may act; after the quota is in force.
    Rights,
    /// What is no longer wanted.
    Sweep,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make an object that must not exist yet.
    Create(Object),
    /// Make an object agree with the declaration.
    Apply(Object),
    /// Delete an object of ours that nobody wants.
    Delete(Key),
}

/// One call to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// When.
    pub stage: Stage,
    /// What.
    pub action: Action,
}

impl Step {
    /// The object that the step is about.
    pub fn key(&self) -> Key {
        match &self.action {
            Action::Create(object) | Action::Apply(object) => object.key(),
            Action::Delete(key) => key.clone(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.action {
            Action::Create(_) => "create",
            Action::Apply(_) => "apply",
            Action::Delete(_) => "delete",
        };
        write!(formatter, "{verb} {}", self.key())
    }
}

/// What the cluster holds of a team.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Live objects that this service wrote for the team, as JSON.
    pub live: BTreeMap<Key, Value>,
    /// Namespaces whose quota the API server enforces.
    pub quota_in_force: BTreeSet<String>,
}

/// What is left to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Calls to make, in order.
    pub steps: Vec<Step>,
    /// Namespaces whose quota is not in force yet; their rights wait for it.
    pub waits: BTreeSet<String>,
}

impl Plan {
    /// Whether the cluster is as declared.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.waits.is_empty()
    }

    /// The steps of one stage.
    pub fn stage(&self, stage: Stage) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.stage == stage)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(formatter, "{step}")?;
        }
        for namespace in &self.waits {
            writeln!(formatter, "wait for the quota of {namespace}")?;
        }
        Ok(())
    }
}

/// Compares what is wanted with what is there.
///
/// `desired` are all objects of the team; whatever else of ours `observed` holds is unwanted.
/// Namespaces are never in a Sweep: data goes by [`super::contents`], not by comparison.
pub fn plan(desired: Vec<Object>, observed: &Observed) -> Plan {
    let wanted: BTreeSet<Key> = desired.iter().map(Object::key).collect();
    let mut steps: Vec<Step> = Vec::new();
    let mut waits = BTreeSet::new();
    for object in desired {
        let key = object.key();
        let maybe_live = observed.live.get(&key);
        let agrees = maybe_live.is_some_and(|live| covers(live, &object.json()));
        if key.kind == Kind::ResourceQuota && !(agrees && observed.quota_in_force.contains(&key.namespace)) {
            waits.insert(key.namespace.clone());
        }
        if agrees {
            continue;
        }
        let fresh_namespace = key.kind == Kind::Namespace && maybe_live.is_none();
        let action = if fresh_namespace { Action::Create(object) } else { Action::Apply(object) };
        let surplus =
            key.kind == Kind::RoleBinding && maybe_live.is_some_and(|live| has_more_subjects(live, &action));
        steps.push(Step { stage: if surplus { Stage::CutRights } else { stage_of(key.kind) }, action });
    }
    for key in observed.live.keys().filter(|key| key.kind != Kind::Namespace && !wanted.contains(key)) {
        let stage = if key.kind == Kind::RoleBinding { Stage::CutRights } else { Stage::Sweep };
        steps.push(Step { stage, action: Action::Delete(key.clone()) });
    }
    steps.sort_by_key(|step| (step.stage, step.key()));
    Plan { steps, waits }
}

/// Whether somebody holds a right who should not any more: that is taken away before anything else.
fn has_more_subjects(live: &Value, action: &Action) -> bool {
    let (Action::Create(object) | Action::Apply(object)) = action else { return false };
    let subjects =
        |value: &Value| value.get("subjects").and_then(Value::as_array).cloned().unwrap_or_default();
    let wanted = subjects(&object.json());
    subjects(live).iter().any(|held| !wanted.iter().any(|subject| covers(held, subject)))
}

const fn stage_of(kind: Kind) -> Stage {
    match kind {
        Kind::Namespace => Stage::Namespaces,
        Kind::RoleBinding => Stage::Rights,
        Kind::ServiceAccount
        | Kind::ResourceQuota
        | Kind::LimitRange
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::NetworkPolicy
        | Kind::Role => Stage::Base,
    }
}

#[cfg(test)]
mod tests;
