//! Closing hours: each one once, in order, a while after its end; then publishing what was stated.
//!
//! Everything an hour needs is in the store, so a service that was down closes what it missed when it is
//! back, and gets what it would have got.

use std::time::Duration;

use mlp_bus::Relay;
use mlp_model::{Classified as _, Flow};
use tokio_util::sync::CancellationToken;

use crate::domain::allocate::{Allocation, Known, allocate};
use crate::domain::hour::{self, due};
use crate::domain::price::{PriceBook, Sheet};
use crate::domain::time::{Hour, Millis, Span};
use crate::events::publish;
use crate::reconcile::clock::Clock;
use crate::store::ledger::Ledger;
use crate::store::{Closing, Error, Store};

/// How often is looked whether an hour is due, and whether facts wait.
const TICK: Duration = Duration::from_secs(5);
/// Hours closed at one tick; the next tick goes on.
const AT_ONCE: usize = 24;

/// Closes hours.
pub struct Closer {
    store: Store,
    clock: Clock,
    relay: Relay,
    /// Hours kept.
    retention: i64,
    /// Emits the root span of an hour's flow.
    emit_root: fn(&Flow, &str),
}

impl Closer {
    /// Closes hours of `store`, keeping `retention` of them.
    pub const fn new(
        store: Store,
        clock: Clock,
        relay: Relay,
        retention: i64,
        emit_root: fn(&Flow, &str),
    ) -> Self {
        Self { store, clock, relay, retention, emit_root }
    }

    /// Closes and publishes until `stop` is cancelled. An hour that cannot be closed stays open, is
    /// told of, and is tried again. None is closed while `listed` says no: the ledger may lack what
    /// started and ended while nobody looked.
    pub async fn run(self, stop: CancellationToken, listed: impl Fn() -> bool + Send) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if listed()
                && let Err(error) = self.close_due().await
            {
                tracing::error!(reason = error.reason(), %error, "hour not closed");
            }
            publish::flush(&self.relay, &self.store).await;
        }
    }

    /// Closes all hours that are due, oldest first.
    ///
    /// # Errors
    /// Why the first of them could not be closed.
    pub async fn close_due(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let origin = self.store.origin(now).await?;
        let hours = due(self.store.last_closed().await?, origin, now, AT_ONCE);
        for hour in &hours {
            self.close(*hour, origin, now).await?;
        }
        Ok(hours.len())
    }

    async fn close(&self, hour: Hour, origin: Millis, now: Millis) -> Result<(), Error> {
        let span = Span { start: hour.start().max(origin), end: hour.end() };
        let ledger = self.store.ledger(span).await?;
        let allocation = allocation(&ledger, span);
        let metered = self.store.metered().await?;
        let closed = hour::close(hour, &allocation, &metered, &ledger.with_claims);
        let flow = Flow::derive("mlp-cost-hour", hour.0);
        let facts: Vec<_> =
            closed.iter().map(|closed| publish::hour_closed(closed, flow.traceparent(), now)).collect();
        let closing = Closing {
            hour,
            allocation: &allocation,
            closed: &closed,
            facts: &facts,
            now,
            oldest: Hour(hour.0.saturating_sub(self.retention)),
        };
        if self.store.close_hour(&closing).await? {
            (self.emit_root)(&flow, "close cost hour");
            let total = allocation.assets.total();
            tracing::info!(hour = hour.0, teams = closed.len(), total_nano_usd = total, "hour closed");
        }
        Ok(())
    }
}

/// Who pays for a span, by what the ledger knows. Sheets that cannot be read price nothing.
pub fn allocation(ledger: &Ledger, span: Span) -> Allocation {
    let sheets = ledger.sheets.iter().filter_map(|(name, spec)| Sheet::read(name, spec).ok());
    let prices = PriceBook::new(sheets.collect());
    let known =
        Known { nodes: &ledger.nodes, pods: &ledger.pods, namespaces: &ledger.namespaces, prices: &prices };
    allocate(known, span)
}
