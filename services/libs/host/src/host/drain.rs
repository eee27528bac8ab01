//! How the process ends: in order, within a limit, with a code that tells what happened.

use std::future::Future;
use std::process::ExitCode;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::Host;

/// The part of `--drain-timeout` kept for flushing telemetry: a quarter, at most this.
const FLUSH_AT_MOST: Duration = Duration::from_secs(5);
/// How long a host that failed to start may take to stop its tasks.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was asked to, and drained in time.
    Drained,
    /// A supervised task ended by itself, failed or panicked.
    TaskDied(String),
    /// The drain did not finish within `--drain-timeout`; the phase that was under way.
    DrainTimedOut(&'static str),
}

impl Outcome {
    /// The process's exit code: 0, 1 or 3.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Drained => 0,
            Self::TaskDied(_) => 1,
            Self::DrainTimedOut(_) => 3,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        outcome.code().into()
    }
}

impl Host {
    /// As [`Host::run`], with the reason instead of the exit code.
    pub async fn finish<F>(self, drain_hook: impl FnOnce() -> F + Send) -> Outcome
    where
        F: Future<Output = ()> + Send,
    {
        self.inner.readiness.set_started();
        let taken = self.inner.deaths.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A second call finds no receiver: it drains at once, and harmlessly.
        let mut deaths = taken.unwrap_or_else(|| mpsc::channel(1).1);
        let died = tokio::select! {
            name = deaths.recv() => name,
            () = self.inner.draining.cancelled() => None,
        };
        tracing::info!("drain begins");
        let outcome = self.drain(drain_hook).await;
        let died = died.or_else(|| deaths.try_recv().ok());
        let outcome = died.map_or(outcome, Outcome::TaskDied);
        tracing::info!(outcome = ?outcome, code = outcome.code(), "process ends");
        let limit = self.flush_limit();
        self.inner.telemetry.shutdown(limit).await;
        outcome
    }

    async fn drain<F>(&self, drain_hook: impl FnOnce() -> F + Send) -> Outcome
    where
        F: Future<Output = ()> + Send,
    {
        let inner = &self.inner;
        let deadline = Instant::now() + inner.args.drain_timeout.saturating_sub(self.flush_limit());
        inner.readiness.set_draining();
        let mut phase = "stop accepting";
        let phases = async {
            inner.draining.cancel();
            inner.acceptors.joined().await;
            phase = "drain hook";
            drain_hook().await;
            phase = "stop tasks";
            inner.stop.cancel();
            inner.tasks.joined().await;
            phase = "close admin port";
            inner.done.cancel();
            inner.admin.joined().await;
        };
        let in_time = tokio::select! {
            result = timeout_at(deadline, phases) => result.is_ok(),
            () = inner.hurry.cancelled() => false,
        };
        if in_time {
            return Outcome::Drained;
        }
        tracing::error!(phase, running = inner.tasks.running(), "drain cut short");
        inner.stop.cancel();
        inner.done.cancel();
        Outcome::DrainTimedOut(phase)
    }

    /// Stops what a start that failed had begun.
    pub(super) async fn abandon(&self) {
        let inner = &self.inner;
        for token in [&inner.draining, &inner.stop, &inner.done] {
            token.cancel();
        }
        // Leaving late is no better than leaving tasks behind: the process ends either way.
        let _ = timeout_at(Instant::now() + ABANDON_TIMEOUT, inner.tasks.joined()).await;
        inner.telemetry.shutdown(self.flush_limit()).await;
    }

    fn flush_limit(&self) -> Duration {
        (self.inner.args.drain_timeout / 4).min(FLUSH_AT_MOST)
    }
}
