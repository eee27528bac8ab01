//! What AWS makes of a wish: RDS for databases, ElastiCache replication groups for caches.
//!
//! Read in this order: [`names`] (identifier and tags), [`size`] and [`version`] (AWS' words for
//! ours), [`check`] (what AWS refuses, found before the call), [`seen`] (what exists), [`step`]
//! (one call), [`database`] and [`cache`] (the decisions), [`code`] (what AWS' errors mean).

pub mod cache;
pub mod check;
pub mod code;
pub mod database;
pub mod names;
pub mod quantity;
pub mod seen;
pub mod size;
pub mod step;
pub mod version;

#[cfg(test)]
mod tests;

pub use check::Refusal;
pub use names::identifier;
pub use seen::{Observed, Pending, Seen};
pub use step::Step;

use super::binding::Address;
use super::model::{Kind, Wish};
use super::plan::{Plan, Running, State};

/// Decides what brings AWS to `wish`, given what exists under its identifier.
///
/// # Errors
/// [`Refusal`] when AWS cannot meet the wish, or something of another owner stands in its place.
pub fn decide(wish: &Wish, observed: &Observed) -> Result<Plan<Step>, Refusal> {
    let id = names::identifier(wish);
    let seen = observed.seen.as_ref();
    if seen.is_some_and(|seen| !seen.is_owned_by(&wish.uid)) {
        return Err(Refusal::OwnedByAnother { identifier: id });
    }
    match wish.kind {
        Kind::Database => database::decide(wish, id, seen),
        Kind::Cache => cache::decide(wish, id, seen),
    }
}

/// Decides what removes what `wish` had made. The wish itself need not be one that AWS can meet,
/// and what is not ours is left alone: then nothing of the wish exists.
pub fn remove(wish: &Wish, observed: &Observed) -> Plan<Step> {
    let id = names::identifier(wish);
    let Some(seen) = observed.seen.as_ref().filter(|seen| seen.is_owned_by(&wish.uid)) else {
        return Plan::rest(State::Gone { kept: observed.snapshot.clone() });
    };
    if wish.protected {
        let message =
            format!("{id} is protected against deletion; set spec.deletionProtection to false to let it go");
        return Plan::rest(State::Failed { reason: "DeletionProtected", message });
    }
    match wish.kind {
        Kind::Database => database::remove(wish, id, seen),
        Kind::Cache => cache::remove(wish, id, seen),
    }
}

/// The state of something that exists and is not as asked for.
fn changing(seen: &Seen, why: String) -> State {
    match running(seen) {
        Some(running) => State::Updating(running, why),
        None => State::Creating(why),
    }
}

/// Where it listens and what it runs, once AWS says so.
fn running(seen: &Seen) -> Option<Running> {
    let address: Address = seen.address.clone()?;
    Some(Running { address, version: seen.version.clone().unwrap_or_default() })
}

/// The steps as one line for a condition.
fn summary(steps: &[Step]) -> String {
    steps.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
