//! What teams cost over a window: closed hours from the store, and what has run since by the same rules,
//! provisional.

use std::collections::BTreeMap;

use crate::domain::allocate::{Allocation, Cost, Purpose, Share};
use crate::domain::hour::{TeamTotal, shown_as, totals};
use crate::domain::time::{Hour, Millis, Span};
use crate::reconcile::clock::Clock;
use crate::reconcile::close::allocation;
use crate::store::{Error, Store};

/// The last minute: what the current rate is taken from.
const RATE: Millis = 60_000;
/// Such spans in an hour.
const RATES_PER_HOUR: i64 = 60;

/// Shares by team, namespace, purpose and node.
type Together = BTreeMap<(String, String, Purpose, String), Share>;

/// Reads costs.
#[derive(Clone)]
pub struct Reports {
    store: Store,
    clock: Clock,
}

/// Costs of teams over a window.
#[derive(Clone, Debug, Default)]
pub struct TeamCosts {
    /// By team.
    pub teams: BTreeMap<String, TeamTotal>,
    /// Cost per hour now, by team.
    pub rates: BTreeMap<String, i64>,
    /// Cost of the nodes.
    pub assets: i64,
    /// End of the last closed hour, where there is one.
    pub closed_until: Option<Millis>,
}

impl Reports {
    /// Reads from `store`.
    pub const fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// The store.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// A window with its open ends filled in: the start of the month, now; whole hours at the start.
    pub fn window(&self, start: Option<Millis>, end: Option<Millis>) -> Span {
        let now = self.clock.now();
        let end = end.unwrap_or(now).min(now);
        let start = start.unwrap_or_else(|| month_start(end));
        Span { start: Hour::of(start).start(), end }
    }

    /// Costs of all teams over a window.
    ///
    /// # Errors
    /// [`Error`] of the store.
    pub async fn team_costs(&self, window: Span) -> Result<TeamCosts, Error> {
        let closed_until = self.store.last_closed().await?.map(Hour::end);
        let (from, to) = closed_hours(window, closed_until);
        let mut costs = TeamCosts { closed_until, ..TeamCosts::default() };
        for row in self.store.totals(from, to).await? {
            let total = costs.teams.entry(row.team).or_default();
            add(total, &row.cost_center, &row.namespace, row.cost, row.unpriced);
        }
        costs.assets = self.store.assets(from, to).await?;
        let open = self.open(window, closed_until).await?;
        costs.assets = costs.assets.saturating_add(open.assets.total());
        for (team, provisional) in totals(&open) {
            let total = costs.teams.entry(team).or_default();
            for (namespace, cost) in provisional.namespaces {
                add(total, &provisional.cost_center, &namespace, cost, provisional.unpriced);
            }
        }
        for (team, rate) in totals(&self.lately().await?) {
            costs.rates.insert(team, rate.cost.total().saturating_mul(RATES_PER_HOUR));
        }
        Ok(costs)
    }

    /// Shares over a window, those of one purpose on one node together, in a stable order.
    ///
    /// # Errors
    /// [`Error`] of the store.
    pub async fn shares(&self, window: Span, team: &str, namespace: &str) -> Result<Vec<Share>, Error> {
        let closed_until = self.store.last_closed().await?.map(Hour::end);
        let (from, to) = closed_hours(window, closed_until);
        let mut together = Together::new();
        let mut take = |share: Share| {
            let (of, _, within) = shown_as(&share);
            if (!team.is_empty() && of != team) || (!namespace.is_empty() && within != namespace) {
                return;
            }
            let key = (of.to_owned(), within.to_owned(), share.purpose.clone(), share.node.clone());
            match together.get_mut(&key) {
                Some(known) => join(known, &share),
                None => {
                    together.insert(key, share);
                }
            }
        };
        self.store.each_share((from, to), team, &mut take).await?;
        self.open(window, closed_until).await?.shares.into_iter().for_each(&mut take);
        Ok(together.into_values().collect())
    }

    /// Who pays for the part of a window that is not closed yet.
    async fn open(&self, window: Span, closed_until: Option<Millis>) -> Result<Allocation, Error> {
        let origin = self.store.origin(self.clock.now()).await?;
        let since = closed_until.unwrap_or(origin).max(origin).max(window.start);
        let span = Span { start: since, end: window.end };
        if span.start >= span.end {
            return Ok(Allocation::default());
        }
        Ok(allocation(&self.store.ledger(span).await?, span))
    }

    async fn lately(&self) -> Result<Allocation, Error> {
        let now = self.clock.now();
        let span = Span { start: now.saturating_sub(RATE), end: now };
        Ok(allocation(&self.store.ledger(span).await?, span))
    }
}

fn closed_hours(window: Span, closed_until: Option<Millis>) -> (Hour, Hour) {
    let from = Hour::of(window.start);
    let end = closed_until.map_or(from.start(), |closed| closed.min(window.end));
    (from, Hour::of(end).max(from))
}

fn add(total: &mut TeamTotal, cost_center: &str, namespace: &str, cost: Cost, unpriced: bool) {
    if total.cost_center.is_empty() {
        cost_center.clone_into(&mut total.cost_center);
    }
    total.cost = total.cost.plus(cost);
    let slot = total.namespaces.entry(namespace.to_owned()).or_default();
    *slot = slot.plus(cost);
    total.unpriced |= unpriced;
}

fn join(known: &mut Share, other: &Share) {
    known.span =
        Span { start: known.span.start.min(other.span.start), end: known.span.end.max(other.span.end) };
    for (sum, more) in known.used.iter_mut().zip(other.used) {
        *sum = sum.saturating_add(more);
    }
    known.cost = known.cost.plus(other.cost);
    known.unpriced |= other.unpriced;
}

fn month_start(instant: Millis) -> Millis {
    let zoned =
        jiff::Timestamp::from_millisecond(instant).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
    let first = zoned.first_of_month().and_then(|day| day.start_of_day());
    first.map_or(0, |start| start.timestamp().as_millisecond())
}
