//! An hour, closed: totals by team, and what is stated about them.
//!
//! Two kinds of totals come from the same shares. For people, what belongs to nobody is a team of its
//! own name. In facts, whatever no metered team pays is the platform's, so that all facts of an hour
//! add up to the nodes.

use std::collections::{BTreeMap, BTreeSet};

use mlp_model::name::PLATFORM;

use super::allocate::{Allocation, Cost, Purpose, Share};
use super::ledger::Tenancy;
use super::time::{Hour, Millis, Span};

/// The team under which the cost of namespaces without a team is shown.
pub const UNALLOCATED: &str = "_unallocated";
/// The cost centre of the platform.
pub const PLATFORM_COST_CENTER: &str = "platform";
/// The namespace under which idle capacity is shown.
pub const IDLE: &str = "__idle__";
/// The namespace under which what the system keeps is shown.
pub const OVERHEAD: &str = "__overhead__";

/// How long after its end an hour is closed, so that what was seen late still counts.
pub const LATENESS: Millis = 60_000;

/// A team whose namespaces are metered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metered {
    /// Name.
    pub team: String,
    /// uid of the Team.
    pub uid: String,
    /// The cost centre that pays.
    pub cost_center: String,
    /// Namespaces of the Team.
    pub namespaces: Vec<String>,
    /// From when.
    pub from: Millis,
    /// Until when, where the team is gone.
    pub until: Option<Millis>,
    /// Version of the fact that it was last changed by; older ones are not heard.
    pub version: u64,
}

impl Metered {
    /// Whether it was metered at any time in a span.
    pub fn overlaps(&self, span: Span) -> bool {
        let own = Span { start: self.from, end: self.until.unwrap_or(Millis::MAX) };
        own.overlap(span).is_some()
    }
}

/// What one team paid in a span.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TeamTotal {
    /// The cost centre that pays.
    pub cost_center: String,
    /// The sum.
    pub cost: Cost,
    /// The sum by namespace.
    pub namespaces: BTreeMap<String, Cost>,
    /// Whether something has no price, so that the sum is too low.
    pub unpriced: bool,
}

impl TeamTotal {
    fn add(&mut self, namespace: &str, cost: Cost, unpriced: bool) {
        self.cost = self.cost.plus(cost);
        let slot = self.namespaces.entry(namespace.to_owned()).or_default();
        *slot = slot.plus(cost);
        self.unpriced |= unpriced;
    }
}

/// Team, cost centre and namespace under which a share is shown.
pub fn shown_as(share: &Share) -> (&str, &str, &str) {
    match &share.purpose {
        Purpose::Pod { tenancy: Tenancy::Team { team, cost_center }, .. } => {
            (team, cost_center, &share.namespace)
        }
        Purpose::Pod { tenancy: Tenancy::Platform, .. } => (PLATFORM, PLATFORM_COST_CENTER, &share.namespace),
        Purpose::Pod { tenancy: Tenancy::Unallocated, .. } => (UNALLOCATED, "", &share.namespace),
        Purpose::Idle => (PLATFORM, PLATFORM_COST_CENTER, IDLE),
        Purpose::Overhead => (PLATFORM, PLATFORM_COST_CENTER, OVERHEAD),
    }
}

/// Totals by team, for people.
pub fn totals(allocation: &Allocation) -> BTreeMap<String, TeamTotal> {
    let mut totals: BTreeMap<String, TeamTotal> = BTreeMap::new();
    for share in &allocation.shares {
        let (team, cost_center, namespace) = shown_as(share);
        let total = totals.entry(team.to_owned()).or_default();
        if total.cost_center.is_empty() {
            cost_center.clone_into(&mut total.cost_center);
        }
        total.add(namespace, share.cost, share.unpriced);
    }
    totals
}

/// What is stated about one team and hour.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Closed {
    /// The hour.
    pub hour: Hour,
    /// The team, or the platform.
    pub team: String,
    /// uid of the Team; for the platform the word itself.
    pub uid: String,
    /// What it paid.
    pub total: TeamTotal,
}

/// What is stated about an hour: one statement for each team that was metered in it, also where it
/// cost nothing, and one for the platform. `with_claims` are namespaces that hold storage, which has no
/// price.
pub fn close(
    hour: Hour,
    allocation: &Allocation,
    metered: &[Metered],
    with_claims: &BTreeSet<String>,
) -> Vec<Closed> {
    let mut by_team = totals(allocation);
    let mut closed = Vec::new();
    for team in metered.iter().filter(|team| team.overlaps(hour.span())) {
        let mut total = by_team.remove(&team.team).unwrap_or_default();
        total.cost_center.clone_from(&team.cost_center);
        total.unpriced |= team.namespaces.iter().any(|namespace| with_claims.contains(namespace));
        closed.push(Closed { hour, team: team.team.clone(), uid: team.uid.clone(), total });
    }
    let mut platform = TeamTotal { cost_center: PLATFORM_COST_CENTER.to_owned(), ..TeamTotal::default() };
    for total in by_team.into_values() {
        for (namespace, cost) in total.namespaces {
            platform.add(&namespace, cost, false);
        }
        platform.unpriced |= total.unpriced;
    }
    closed.push(Closed { hour, team: PLATFORM.to_owned(), uid: PLATFORM.to_owned(), total: platform });
    closed
}

/// The hours that are due, oldest first, at most `limit`: all that ended long enough ago.
pub fn due(last_closed: Option<Hour>, origin: Millis, now: Millis, limit: usize) -> Vec<Hour> {
    let first = last_closed.map_or(Hour::of(origin), Hour::next);
    let mut hours = Vec::new();
    let mut hour = first;
    while hours.len() < limit && hour.end().saturating_add(LATENESS) <= now {
        hours.push(hour);
        hour = hour.next();
    }
    hours
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::HOUR;

    fn share(tenancy: Option<Tenancy>, namespace: &str, cpu: i64) -> Share {
        let purpose = tenancy.map_or(Purpose::Idle, |tenancy| Purpose::Pod { uid: "u".into(), tenancy });
        Share {
            purpose,
            namespace: namespace.into(),
            pod: String::new(),
            controller: None,
            node: "n".into(),
            pool: "p".into(),
            span: Hour(1).span(),
            used: [0; 3],
            cost: Cost { cpu, ..Cost::default() },
            unpriced: false,
        }
    }

    fn allocation() -> Allocation {
        let ml = || Some(Tenancy::Team { team: "ml".into(), cost_center: "ml".into() });
        let ghost = Some(Tenancy::Team { team: "ghost".into(), cost_center: "ghost".into() });
        Allocation {
            shares: vec![
                share(ml(), "ml-team", 10),
                share(ml(), "ml-extra", 5),
                share(ghost, "ghost-team", 7),
                share(Some(Tenancy::Unallocated), "stray", 3),
                share(Some(Tenancy::Platform), "mlp-system", 2),
                share(None, "", 73),
            ],
            assets: Cost { cpu: 100, ..Cost::default() },
        }
    }

    fn metered(team: &str, from: Millis) -> Metered {
        let (team, uid) = (team.to_owned(), format!("uid-{team}"));
        Metered {
            cost_center: team.clone(),
            team,
            uid,
            namespaces: vec!["ml-team".into()],
            from,
            until: None,
            version: 1,
        }
    }

    #[test]
    fn people_see_every_owner_and_facts_add_up_to_the_nodes() {
        let shown: Vec<_> =
            totals(&allocation()).into_iter().map(|(team, total)| (team, total.cost.cpu)).collect();
        let expected = [("_platform", 75), ("_unallocated", 3), ("ghost", 7), ("ml", 15)];
        assert_eq!(shown, expected.map(|(team, cost)| (team.to_owned(), cost)));
        let closed =
            close(Hour(1), &allocation(), &[metered("ml", 0), metered("late", 9 * HOUR)], &BTreeSet::new());
        let stated: Vec<_> = closed.iter().map(|it| (it.team.as_str(), it.total.cost.cpu)).collect();
        assert_eq!(stated, [("ml", 15), ("_platform", 85)]);
        assert_eq!(closed.iter().map(|it| it.total.cost.total()).sum::<i64>(), allocation().assets.total());
        assert_eq!(closed[1].total.namespaces[IDLE].cpu, 73);
    }

    #[test]
    fn a_team_that_cost_nothing_is_stated_and_storage_makes_its_cost_too_low() {
        let closed =
            close(Hour(1), &Allocation::default(), &[metered("ml", 0)], &["ml-team".to_owned()].into());
        assert_eq!(
            (closed.len(), closed[0].total.cost, closed[0].total.unpriced),
            (2, Cost::default(), true)
        );
    }

    #[test]
    fn hours_are_due_in_order_and_a_while_after_their_end() {
        assert!(due(None, HOUR / 2, HOUR, 10).is_empty());
        assert_eq!(due(None, HOUR / 2, HOUR + LATENESS, 10), [Hour(0)]);
        assert_eq!(due(Some(Hour(0)), 0, 4 * HOUR, 10), [Hour(1), Hour(2)]);
        assert_eq!(due(Some(Hour(0)), 0, 400 * HOUR, 2), [Hour(1), Hour(2)]);
    }
}
