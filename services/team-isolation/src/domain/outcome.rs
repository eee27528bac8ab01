//! What is said about a team: conditions, facts, the status' own fields.

use std::collections::BTreeMap;

use mlp_crds::team::{NamespaceStatus, QuotaStatus};

use super::claims::Obstacle;
use super::contents::Contents;
use super::model::Invalid;

/// How far a look at a team got. Each look ends in exactly one of these.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The declaration cannot be made true; nothing was changed.
    Invalid(Vec<Invalid>),
    /// A namespace belongs to somebody else; nothing was changed.
    Obstructed(Vec<Obstacle>),
    /// Everything is written; the API server does not enforce the quota of these namespaces yet.
    WaitingForQuota(Vec<String>),
    /// Isolated, except that namespaces which left the declaration still hold something.
    LeftoverInUse(Contents),
    /// Everything declared is in force.
    Isolated,
    /// Suspended: rights are cut; so many pods have not ended yet.
    Stopping(usize),
    /// Suspended: work has stopped and data is kept until this moment.
    Retained(String),
    /// Deletion is asked for and refused while the namespaces hold something.
    RemovalBlocked(Contents),
    /// Deletion goes on: these namespaces are on their way out, each with what holds it up.
    Removing(Vec<String>),
    /// Nothing of the team is left.
    Removed,
}

impl Outcome {
    /// Whether the team may work.
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Isolated | Self::LeftoverInUse(_))
    }

    /// The CamelCase reason of the `Ready` condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "InvalidSpec",
            Self::Obstructed(obstacles) if obstacles.iter().all(Obstacle::passes) => "NamespaceTerminating",
            Self::Obstructed(obstacles)
                if obstacles.iter().all(|one| matches!(one, Obstacle::Reserved { .. })) =>
            {
                "NameReserved"
            }
            Self::Obstructed(_) => "NamespaceOwnedByAnother",
            Self::WaitingForQuota(_) => "WaitingForQuota",
            Self::LeftoverInUse(_) => "LeftoverNamespaceInUse",
            Self::Isolated => "Isolated",
            Self::Stopping(_) => "Stopping",
            Self::Retained(_) => "Suspended",
            Self::RemovalBlocked(_) => "NamespaceInUse",
            Self::Removing(_) => "Removing",
            Self::Removed => "Removed",
        }
    }

    /// The sentence for people.
    pub fn message(&self) -> String {
        match self {
            Self::Invalid(problems) => joined(problems),
            Self::Obstructed(obstacles) => joined(obstacles),
            Self::WaitingForQuota(namespaces) => {
                format!(
                    "the API server does not enforce the quota of {} yet; rights follow then",
                    namespaces.join(", ")
                )
            }
            Self::LeftoverInUse(contents) => {
                format!("{contents}; it left spec.namespaces and is removed once it is empty")
            }
            Self::Isolated => "namespaces, quota, network policy and rights are in force".to_owned(),
            Self::Stopping(pods) => {
                format!(
                    "rights are cut and work is being stopped: {pods} pods have not ended; set spec.offboarding.phase to Active to undo"
                )
            }
            Self::Retained(until) => format!(
                "work has stopped and data is kept until {until}; set spec.offboarding.phase to Active to undo, or delete the Team"
            ),
            Self::RemovalBlocked(contents) => format!(
                "{contents}; delete them and the team goes, or set spec.offboarding.phase to Suspended and it goes with its data when \
                 the retention is over"
            ),
            Self::Removing(namespaces) => format!("waiting until {} is gone", namespaces.join(", ")),
            Self::Removed => "nothing of the team is left".to_owned(),
        }
    }

    /// Whether people should be told by a Kubernetes Event of type Warning.
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::RemovalBlocked(_) | Self::LeftoverInUse(_))
            || matches!(self, Self::Obstructed(obstacles) if !obstacles.iter().all(Obstacle::passes))
    }
}

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What a fact says happened to a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A generation of the declaration was accepted.
    Declared,
    /// A generation of the declaration is in force.
    Isolated,
    /// Nothing of the team is left.
    Removed,
    /// A generation after the first is in force.
    Changed,
    /// Most of the quota is used.
    NearLimit,
    /// Quota moved between namespaces.
    Rebalanced,
    /// What somebody had changed was put back.
    Repaired,
    /// Requests were refused.
    Denied,
    /// A step of the way out was reached.
    Offboarding,
}

/// What was already said about the team, from its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Generation for which `Declared` was recorded.
    pub declared: Option<i64>,
    /// Generation for which `Isolated` was recorded.
    pub isolated: Option<i64>,
    /// Whether `Removed` was recorded.
    pub removed: bool,
}

/// The facts that `outcome` of `generation` adds to what was already said, in order. Each is said
/// once for a generation, however often the team loses and regains readiness in it.
pub fn facts(outcome: &Outcome, generation: i64, said: Said) -> Vec<Happened> {
    let mut facts = Vec::new();
    let accepted = matches!(outcome, Outcome::WaitingForQuota(_)) || outcome.is_ready();
    if accepted && said.declared < Some(generation) {
        facts.push(Happened::Declared);
    }
    if outcome.is_ready() && said.isolated < Some(generation) {
        facts.push(Happened::Isolated);
        facts.extend(said.isolated.map(|_| Happened::Changed));
    }
    if matches!(outcome, Outcome::Removed) && !said.removed && said.declared.is_some() {
        facts.push(Happened::Removed);
    }
    facts
}

/// What the cluster enforces for a team, as its status shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InForce {
    /// The namespaces, with their uids.
    pub namespaces: Vec<NamespaceStatus>,
    /// Quota over all namespaces together; absent until one is in force.
    pub quota: Option<QuotaStatus>,
}

/// Adds up the quota of several namespaces, key by key. An amount that cannot be read counts as
/// nothing: it came from the API server, which writes none such.
pub fn total_quota<'a>(
    parts: impl Iterator<Item = (&'a str, &'a str)>,
) -> BTreeMap<String, mlp_crds::Amount> {
    let mut sums: BTreeMap<String, super::quantity::Quantity> = BTreeMap::new();
    for (key, amount) in parts {
        let Ok(amount) = super::quantity::Quantity::parse(amount) else { continue };
        let sum = sums.get(key).map_or(amount, |sum| sum.plus(amount));
        sums.insert(key.to_owned(), sum);
    }
    sums.into_iter().map(|(key, sum)| (key, mlp_crds::Amount::new(sum.to_string()))).collect()
}

#[cfg(test)]
mod tests;
