//! The loop that takes, keeps, loses and hands over a Lease.

use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::PostParams;
use opentelemetry::KeyValue;
use opentelemetry::metrics::UpDownCounter;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::record::{self, Fencing};
use crate::error::BoxError;
use crate::supervise::TaskOutcome;

/// A candidate for one Lease.
#[derive(Clone)]
pub struct Elector {
    api: Api<Lease>,
    name: String,
    holder: String,
    term: Duration,
}

/// Leadership while it lasts.
#[derive(Clone, Debug)]
pub struct Leadership {
    token: CancellationToken,
    fencing: Fencing,
    until: watch::Receiver<Instant>,
}

impl Leadership {
    /// Cancelled when leadership is lost or handed over: stop writing.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// The number that tells this leadership from every other.
    pub fn fencing(&self) -> &Fencing {
        &self.fencing
    }

    /// Whether leadership holds right now, by the monotonic clock. After a pause of the whole
    /// process this tells the truth before the token does: ask before a write that matters.
    pub fn is_held(&self) -> bool {
        !self.token.is_cancelled() && Instant::now() < *self.until.borrow()
    }
}

/// A Lease we hold: the object as last written, and until when by our clock.
struct Held {
    lease: Lease,
    until: Instant,
}

/// What a candidate saw: the version, and since when by our clock.
struct Seen {
    version: Option<String>,
    since: Instant,
}

impl Elector {
    /// A candidate called `holder` for the Lease `namespace/name`, kept for `term` without renewal.
    /// No two living candidates may have the same name: a Lease that names this one is taken at
    /// once, as after a crash and restart.
    pub fn new(
        client: kube::Client,
        namespace: &str,
        name: impl Into<String>,
        holder: impl Into<String>,
        term: Duration,
    ) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.into(), holder: holder.into(), term }
    }

    /// Competes until `shutdown`; each time it wins, runs `lead`, which must stop when the
    /// leadership's token is cancelled. Hands the Lease over when `shutdown` is cancelled.
    ///
    /// # Errors
    /// When `lead` fails, or ends while it still leads and no shutdown was asked for.
    pub async fn run<F, T>(self, shutdown: CancellationToken, lead: F) -> Result<(), BoxError>
    where
        F: Fn(Leadership) -> T + Send,
        T: Future + Send,
        T::Output: TaskOutcome,
    {
        loop {
            let held = tokio::select! {
                held = self.acquire() => held,
                () = shutdown.cancelled() => return Ok(()),
            };
            if self.hold(held, &shutdown, &lead).await? == Ended::ByShutdown {
                return Ok(());
            }
        }
    }

    /// Waits until the Lease is ours. Errors of the API are retried at the same pace.
    async fn acquire(&self) -> Held {
        let mut seen = Seen { version: None, since: Instant::now() };
        loop {
            match self.attempt(&mut seen).await {
                Ok(Some(held)) => return held,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(lease = %self.name, %error, "lease cannot be read or taken, trying again");
                }
            }
            sleep(jittered(self.pace())).await;
        }
    }

    async fn attempt(&self, seen: &mut Seen) -> Result<Option<Held>, BoxError> {
        let begun = Instant::now();
        let Some(lease) = timeout(self.pace(), self.api.get_opt(&self.name)).await?? else {
            return self.write(None, begun, record::taken(None, &self.holder, self.term, now())).await;
        };
        let version = lease.metadata.resource_version.clone();
        if version != seen.version {
            *seen = Seen { version, since: begun };
        }
        let spec = lease.spec.clone().unwrap_or_default();
        // Expiry is judged by how long we saw it unchanged, never by comparing clocks.
        let expired = begun.duration_since(seen.since) >= record::term(&spec, self.term);
        // Ours, and not held by us: a former process of this replica, which is gone.
        let ours = spec.holder_identity.as_ref() == Some(&self.holder);
        if !record::is_free(&spec) && !expired && !ours {
            return Ok(None);
        }
        let taken = record::taken(Some(&spec), &self.holder, self.term, now());
        self.write(Some(&lease), begun, taken).await
    }

    /// Writes `spec` over `before`, fenced by its resourceVersion; `None` when another was faster.
    async fn write(
        &self,
        before: Option<&Lease>,
        begun: Instant,
        spec: k8s_openapi::api::coordination::v1::LeaseSpec,
    ) -> Result<Option<Held>, BoxError> {
        let params = PostParams::default();
        let metadata = match before {
            Some(lease) => lease.metadata.clone(),
            None => ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
        };
        let lease = Lease { metadata, spec: Some(spec) };
        let written = match before {
            Some(_) => timeout(self.pace(), self.api.replace(&self.name, &params, &lease)).await?,
            None => timeout(self.pace(), self.api.create(&params, &lease)).await?,
        };
        match written {
            // Counted from before the write: others count from after it.
            Ok(lease) => Ok(Some(Held { lease, until: begun + self.safe_term() })),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Leads and renews until the work ends, leadership is lost, or shutdown.
    async fn hold<F, T>(
        &self,
        mut held: Held,
        shutdown: &CancellationToken,
        lead: &F,
    ) -> Result<Ended, BoxError>
    where
        F: Fn(Leadership) -> T + Send,
        T: Future + Send,
        T::Output: TaskOutcome,
    {
        let token = CancellationToken::new();
        let (extend, until) = watch::channel(held.until);
        let fencing = record::fencing(&held.lease.spec.clone().unwrap_or_default());
        tracing::info!(lease = %self.name, %fencing, "leading");
        let _counted = Counted::new(&self.name);
        let work = lead(Leadership { token: token.clone(), fencing, until });
        tokio::pin!(work);
        let mut next_renewal = Instant::now() + jittered(self.pace());
        let (output, ended) = loop {
            let expiry = held.until;
            tokio::select! {
                biased;
                output = &mut work => break (output, if shutdown.is_cancelled() { Ended::ByShutdown } else { Ended::ByItself }),
                () = tokio::time::sleep_until(expiry) => {
                    tracing::warn!(lease = %self.name, "leadership lost: not renewed in time");
                    token.cancel();
                    break (work.await, Ended::Lost);
                }
                () = shutdown.cancelled(), if !token.is_cancelled() => token.cancel(),
                renewed = self.renew_at(next_renewal, &held) => match renewed {
                    Renewed::Kept(kept) => {
                        held = *kept;
                        extend.send_replace(held.until);
                        next_renewal = Instant::now() + jittered(self.pace());
                    }
                    Renewed::Later => next_renewal = Instant::now() + jittered(self.pace() / 4),
                    Renewed::Lost => {
                        tracing::warn!(lease = %self.name, "leadership lost: another holds the lease");
                        token.cancel();
                        break (work.await, Ended::Lost);
                    }
                },
            }
        };
        token.cancel();
        if ended != Ended::Lost {
            self.release(&held).await;
        }
        match (output.failure(), ended) {
            (Some(error), _) => Err(error.into()),
            (None, Ended::ByItself) => Err("the leader's work ended by itself".into()),
            (None, ended) => Ok(ended),
        }
    }

    async fn renew_at(&self, when: Instant, held: &Held) -> Renewed {
        tokio::time::sleep_until(when).await;
        let begun = Instant::now();
        let spec = held.lease.spec.clone().unwrap_or_default();
        match self.write(Some(&held.lease), begun, record::renewed(&spec, now())).await {
            Ok(Some(kept)) => Renewed::Kept(Box::new(kept)),
            Ok(None) => self.after_conflict(held).await,
            Err(error) => {
                tracing::warn!(lease = %self.name, %error, "lease not renewed, trying again");
                Renewed::Later
            }
        }
    }

    /// Someone wrote the Lease: another holder, or a label by a person.
    async fn after_conflict(&self, held: &Held) -> Renewed {
        let Ok(Ok(Some(lease))) = timeout(self.pace(), self.api.get_opt(&self.name)).await else {
            return Renewed::Later;
        };
        let (ours, said) =
            (held.lease.spec.clone().unwrap_or_default(), lease.spec.clone().unwrap_or_default());
        if record::same_acquisition(&ours, &said) {
            Renewed::Kept(Box::new(Held { lease, until: held.until }))
        } else {
            Renewed::Lost
        }
    }

    /// Names no holder, so that the next candidate need not wait. When it fails the Lease expires.
    async fn release(&self, held: &Held) {
        match self.try_release(held).await {
            Ok(()) => tracing::info!(lease = %self.name, "lease handed over"),
            Err(error) => tracing::warn!(lease = %self.name, %error, "lease not handed over, it expires"),
        }
    }

    async fn try_release(&self, held: &Held) -> Result<(), BoxError> {
        let ours = held.lease.spec.clone().unwrap_or_default();
        let released = record::released(&ours, now());
        if self.write(Some(&held.lease), Instant::now(), released).await?.is_some() {
            return Ok(());
        }
        // A renewal that was cut off may have been written: look once more, and only then give up.
        let said = timeout(self.pace(), self.api.get_opt(&self.name)).await??;
        let spec = said.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
        if !record::same_acquisition(&ours, &spec) {
            return Ok(());
        }
        let released = record::released(&spec, now());
        match self.write(said.as_ref(), Instant::now(), released).await? {
            Some(_) => Ok(()),
            None => Err("it was written by another meanwhile".into()),
        }
    }

    /// Between renewals, between attempts, and at most for one API call.
    fn pace(&self) -> Duration {
        self.term / 5
    }

    /// How long a holder trusts one renewal: a third less than the others wait.
    fn safe_term(&self) -> Duration {
        self.term * 2 / 3
    }
}

/// Shows in `mlp.lease.held`, while it lives, that this replica leads.
struct Counted {
    held: UpDownCounter<i64>,
    lease: KeyValue,
}

impl Counted {
    fn new(lease: &str) -> Self {
        let held = opentelemetry::global::meter("mlp-host")
            .i64_up_down_counter("mlp.lease.held")
            .with_description("Leases that this replica holds")
            .build();
        let lease = KeyValue::new("mlp.lease.name", lease.to_owned());
        held.add(1, std::slice::from_ref(&lease));
        Self { held, lease }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.held.add(-1, std::slice::from_ref(&self.lease));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    ByShutdown,
    ByItself,
    Lost,
}

enum Renewed {
    Kept(Box<Held>),
    Later,
    Lost,
}

/// 90 % to 110 % of `length`, so that replicas do not move in step.
fn jittered(length: Duration) -> Duration {
    length.mul_f64(rand::random_range(0.9..1.1))
}

fn now() -> MicroTime {
    MicroTime(jiff::Timestamp::now())
}
