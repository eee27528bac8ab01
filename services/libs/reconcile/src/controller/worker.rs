//! One reconcile: span, deadline, panic, outcome, when to look again.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use kube::runtime::reflector::{ObjectRef, Store};
use mlp_model::{Class, Classified};
use opentelemetry::trace::Status;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::feed::Synced;
use super::{Failure, KeyQueue, Next, Object, Observed, Options, Outcome, Reconciler};
use crate::effect::Effects;
use crate::error::{CONFLICT, chain};
use crate::fresh;
use crate::metrics::Instruments;
use crate::queue::{Again, Work};
use crate::trace;

/// Share of the resync interval by which one object's may be longer or shorter.
const RESYNC_JITTER: f64 = 0.1;

/// How long a key waits for the cache to show what this process wrote, in steps.
const CACHE_STEP: Duration = Duration::from_millis(50);
/// After this time the cache is taken as it is, once; fenced writes find out.
const CACHE_PATIENCE: Duration = Duration::from_secs(5);
/// When a reconcile that was refused by its own fence is tried again. It is no failure that adds up:
/// the newer object is on its way, and a wake may never come with it where only a status changed.
const CONFLICT_DELAY: Duration = Duration::from_millis(500);

/// Runs reconciles of one controller.
pub(super) struct Worker<K: Object, R> {
    reconciler: R,
    dyntype: K::DynamicType,
    options: Options,
    observed: Observed<K>,
    queue: KeyQueue<K>,
    store: Store<K>,
    instruments: Arc<Instruments>,
    /// Last (uid, generation) of each object whose flow's root span was emitted here.
    roots: Mutex<HashMap<ObjectRef<K>, (String, i64)>>,
    /// Versions that reconciles wrote and the cache has not been seen to have, with the time of writing.
    written: Mutex<HashMap<ObjectRef<K>, (u64, Instant)>>,
}

impl<K: Object, R: Reconciler<K>> Worker<K, R> {
    pub(super) fn new(
        reconciler: R,
        dyntype: K::DynamicType,
        options: Options,
        observed: Observed<K>,
        queue: KeyQueue<K>,
        store: Store<K>,
        instruments: Arc<Instruments>,
    ) -> Arc<Self> {
        let (roots, written) = (Mutex::default(), Mutex::default());
        Arc::new(Self { reconciler, dyntype, options, observed, queue, store, instruments, roots, written })
    }

    /// Starts the workers; each waits for the caches, then works until the queue closes.
    pub(super) fn spawn(self: &Arc<Self>, synced: &Synced, shutdown: &CancellationToken) -> JoinSet<()> {
        let mut workers = JoinSet::new();
        for _ in 0..self.options.workers.max(1) {
            let (worker, synced, shutdown) = (Arc::clone(self), synced.clone(), shutdown.clone());
            workers.spawn(async move {
                tokio::select! {
                    () = synced.wait() => {}
                    () = shutdown.cancelled() => return,
                }
                while let Some(work) = worker.queue.next().await {
                    worker.survive(work).await;
                }
            });
        }
        workers
    }

    /// Works, and gives the key back even where that panics: a worker never dies, a key never hangs.
    async fn survive(&self, work: Work<ObjectRef<K>>) {
        let key = work.key.clone();
        if AssertUnwindSafe(self.work(work)).catch_unwind().await.is_err() {
            let failure = panicked();
            log(&failure);
            self.queue.finish(&key, Again::AfterBackoff, &Outcome::Failed(failure));
        }
    }

    async fn work(&self, work: Work<ObjectRef<K>>) {
        let started = Instant::now();
        let object = self.store.get(&work.key);
        if object.as_deref().is_some_and(|object| self.is_outdated(&work.key, object)) {
            self.queue.postpone(work, CACHE_STEP);
            return;
        }
        let effects = Effects::watch(self.options.writes.as_ref());
        let span = self.span(&work, object.as_deref(), &effects);
        let uid = object.as_deref().and_then(|object| object.meta().uid.clone()).unwrap_or_default();
        let reconcile = self.reconcile(&work.key, object).instrument(span.clone());
        let ((again, outcome), written) = fresh::noting(&uid, reconcile).await;
        if let Some(version) = written {
            lock(&self.written).insert(work.key.clone(), (version, Instant::now()));
        }
        if let Outcome::Failed(failure) = &outcome {
            span.set_status(Status::error(failure.message.clone()));
            self.instruments.failed(failure.reason, class_name(failure.class));
        } else if effects.none() && work.causes.is_empty() {
            // With a cause its link joins two flows, and there are only as many as there are messages.
            trace::had_no_effect(&span);
        }
        self.instruments.reconciled(work.waited, started.elapsed(), outcome_name(&outcome));
        self.queue.finish(&work.key, again, &outcome);
    }

    /// Runs the reconciler within the deadline; a panic is an error like others.
    async fn reconcile(&self, key: &ObjectRef<K>, object: Option<Arc<K>>) -> (Again, Outcome) {
        let present = object.is_some();
        let run = async {
            match object {
                Some(object) => self.reconciler.reconcile(object).await,
                None => self.reconciler.absent(key).await.map(|()| Next::Done),
            }
        };
        let resync = present.then(|| self.resync());
        let failure =
            match tokio::time::timeout(self.options.deadline, AssertUnwindSafe(run).catch_unwind()).await {
                Ok(Ok(Ok(next))) => {
                    return (look_again(next, resync), if present { Outcome::Done } else { Outcome::Absent });
                }
                Ok(Ok(Err(error))) => Failure::new(error.class(), error.reason(), chain(&error)),
                Ok(Err(_panic)) => panicked(),
                Err(_elapsed) => Failure::new(
                    Class::Transient,
                    "DeadlineExceeded",
                    format!("the reconcile took longer than {} s", self.options.deadline.as_secs_f64()),
                ),
            };
        let again = match failure.class {
            Class::Waiting(delay) => look_again(Next::After(delay), resync),
            Class::Transient if failure.reason == CONFLICT => Again::AfterConflict(CONFLICT_DELAY),
            Class::Transient => Again::AfterBackoff,
            Class::Terminal => look_again(Next::Done, resync),
        };
        log(&failure);
        (again, Outcome::Failed(failure))
    }

    fn span(&self, work: &Work<ObjectRef<K>>, object: Option<&K>, effects: &Effects) -> Span {
        let kind = K::kind(&self.dyntype);
        let span = tracing::info_span!(
            "reconcile",
            otel.name = format!("reconcile {kind}"),
            k8s.kind = %kind,
            k8s.namespace.name = work.key.namespace.as_deref(),
            k8s.object.name = work.key.name,
            k8s.object.uid = field::Empty,
            mlp.generation = field::Empty,
            mlp.attempt = work.failures + 1,
        );
        let Some(object) = object else {
            lock(&self.roots).remove(&work.key);
            lock(&self.written).remove(&work.key);
            trace::connect(&span, None, effects);
            trace::link(&span, &work.causes);
            return span;
        };
        let flow = trace::flow_of(object);
        trace::connect(&span, Some(&flow), effects);
        trace::link(&span, &work.causes);
        let meta = object.meta();
        span.record("k8s.object.uid", meta.uid.as_deref());
        span.record("mlp.generation", meta.generation);
        if let Some(emit) = self.options.emit_root
            && flow.derived
            && self.owes_root(&work.key, object)
        {
            emit(&flow, &format!("change {kind}"));
        }
        span
    }

    /// Whether this generation's root span has not been emitted: not by this process, and not by an
    /// earlier one, which would have reported the generation as observed.
    fn owes_root(&self, key: &ObjectRef<K>, object: &K) -> bool {
        let meta = object.meta();
        let generation = meta.generation.unwrap_or(0);
        let current = (meta.uid.clone().unwrap_or_default(), generation);
        let mut roots = lock(&self.roots);
        if roots.get(key) == Some(&current) {
            return false;
        }
        roots.insert(key.clone(), current);
        drop(roots);
        (self.observed)(object).is_none_or(|observed| observed < generation)
    }

    /// Whether the cached `object` is older than what a reconcile here wrote.
    fn is_outdated(&self, key: &ObjectRef<K>, object: &K) -> bool {
        let mut written = lock(&self.written);
        let Some((version, at)) = written.get_mut(key) else { return false };
        if fresh::version_of(object).is_none_or(|cached| cached >= *version) {
            written.remove(key);
            return false;
        }
        if at.elapsed() > CACHE_PATIENCE {
            // One look, then patience begins anew: a cache that is still behind is not looked at in a loop.
            *at = Instant::now();
            return false;
        }
        true
    }

    fn resync(&self) -> Duration {
        let factor = 1.0 + RESYNC_JITTER * (2.0 * rand::random::<f64>() - 1.0);
        self.options.resync.mul_f64(factor)
    }
}

fn panicked() -> Failure {
    Failure::new(Class::Transient, "Panic", "the reconciler panicked; this is a bug".to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is a single insert or remove.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The earlier of what the reconciler asked for and the resync; an absent object has no resync.
fn look_again(next: Next, resync: Option<Duration>) -> Again {
    let asked = match next {
        Next::Done => None,
        Next::After(delay) => Some(delay),
    };
    [asked, resync].into_iter().flatten().min().map_or(Again::OnWake, Again::After)
}

fn log(failure: &Failure) {
    let (reason, error) = (failure.reason, failure.message.as_str());
    match failure.class {
        Class::Waiting(delay) => {
            tracing::info!(reason, error, again_seconds = delay.as_secs_f64(), "reconcile is waiting");
        }
        Class::Transient => tracing::warn!(reason, error, "reconcile failed, trying again with back-off"),
        Class::Terminal => {
            tracing::warn!(reason, error, "reconcile failed, waiting for the object to change");
        }
    }
}

const fn class_name(class: Class) -> &'static str {
    match class {
        Class::Waiting(_) => "waiting",
        Class::Transient => "transient",
        Class::Terminal => "terminal",
    }
}

const fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Absent => "absent",
        Outcome::Failed(failure) => class_name(failure.class),
    }
}
