//! The loop: watch, queue, reconcile, look again.
//!
//! Enters: watch streams of one primary kind and of any number of secondary ones, and wakes from
//! outside (a message, a timer). Leaves: calls of one [`Reconciler`], at most one per key at a
//! time. Promised: every change of a watched object leads to a reconcile that starts after it; a
//! change that the watch lost is met by the resync.

mod feed;
mod handle;
mod worker;

use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Resource};
use mlp_model::{Class, Classified, Flow};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::metrics::{self, Instruments};
use crate::queue::{Backoff, Queue};
use crate::writes::WriteCounter;
use feed::Synced;
pub use handle::{Handle, Seen};

/// A kind that can be watched and written: every k8s-openapi type, every `CustomResource`, and
/// `DynamicObject`.
pub trait Object:
    Resource<DynamicType: Clone + Debug + Eq + Hash + Unpin + Send + Sync>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Object for K where
    K: Resource<DynamicType: Clone + Debug + Eq + Hash + Unpin + Send + Sync>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// When a reconciled object is looked at again, apart from changes and the resync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When something changes.
    Done,
    /// After this time at the latest.
    After(Duration),
}

/// Makes the world agree with one object.
pub trait Reconciler<K: Object>: Send + Sync + 'static {
    /// Why a reconcile could not finish; its class decides when it is tried again.
    type Error: Classified + Send + Sync;

    /// Compares what `object` asks for with what is there, and changes what differs. Called again
    /// and again with the same object; must do nothing when there is nothing to do.
    fn reconcile(&self, object: Arc<K>) -> impl Future<Output = Result<Next, Self::Error>> + Send;

    /// The key was woken, but no such object is in the cache: it is gone, or not seen yet. Here a
    /// service forgets what it keeps in memory about the object.
    fn absent(&self, key: &ObjectRef<K>) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = key;
        std::future::ready(Ok(()))
    }
}

/// One reconciler may be asked by others than its controller.
impl<K: Object, R: Reconciler<K>> Reconciler<K> for Arc<R> {
    type Error = R::Error;

    fn reconcile(&self, object: Arc<K>) -> impl Future<Output = Result<Next, Self::Error>> + Send {
        (**self).reconcile(object)
    }

    fn absent(&self, key: &ObjectRef<K>) -> impl Future<Output = Result<(), Self::Error>> + Send {
        (**self).absent(key)
    }
}

/// Which changes of a primary object wake it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trigger {
    /// Every change, that of the status included.
    #[default]
    AnyChange,
    /// Changes of spec, labels, annotations, finalizers and deletion: for owners of a kind whose
    /// status only they write. Needs a kind that counts `metadata.generation`; others fall back to
    /// every change.
    SpecOrMetadata,
}

/// How a controller runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Reconciles at the same time.
    pub workers: usize,
    /// Every object is looked at again after about this time (a tenth less or more), whatever its
    /// last outcome. Repairs what watches missed and what others changed.
    pub resync: Duration,
    /// The delay after transient errors.
    pub backoff: Backoff,
    /// The longest time one reconcile may take; then it counts as a transient error.
    pub deadline: Duration,
    /// How long a stopping controller lets running reconciles finish.
    pub drain: Duration,
    /// Which changes of the primary object wake it.
    pub trigger: Trigger,
    /// Emits the root span of a flow whose ids were derived; set by the service that owns the kind.
    /// Called once per generation with the flow and the span's name.
    pub emit_root: Option<fn(&Flow, &str)>,
    /// The counter around the client that the reconciler writes with. With it, the span of a
    /// reconcile that had no [`crate::effect`], and was not caused by a message, is marked so and not
    /// exported; without it all are.
    pub writes: Option<WriteCounter>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 8,
            resync: Duration::from_secs(600),
            backoff: Backoff::default(),
            deadline: Duration::from_secs(60),
            // With the Lease's default of 15 s a leader that lost it stops 10 s after the last renewal and
            // its successor starts 5 s later: what still runs must have ended by then.
            drain: Duration::from_secs(4),
            trigger: Trigger::default(),
            emit_root: None,
            writes: None,
        }
    }
}

/// How a reconcile ended, for whoever waited for it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The reconciler is satisfied.
    Done,
    /// No such object is in the cache.
    Absent,
    /// The reconciler returned an error, panicked or ran out of time.
    Failed(Failure),
}

/// The error of a reconcile, in a form that can be handed to several waiters.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    class: Class,
    reason: &'static str,
    message: String,
}

impl Failure {
    pub(crate) fn new(class: Class, reason: &'static str, message: String) -> Self {
        Self { class, reason, message }
    }
}

impl Classified for Failure {
    fn class(&self) -> Class {
        self.class
    }

    fn reason(&self) -> &'static str {
        self.reason
    }
}

type KeyQueue<K> = Arc<Queue<ObjectRef<K>, Outcome>>;

/// The generation that an object's owner has seen.
type Observed<K> = Arc<dyn Fn(&K) -> Option<i64> + Send + Sync>;

/// Everything that a loop over kind `K` needs; [`Controller::run`] runs it.
pub struct Controller<K: Object> {
    dyntype: K::DynamicType,
    options: Options,
    observed: Observed<K>,
    queue: KeyQueue<K>,
    store: Store<K>,
    synced: Synced,
    feeds: Vec<BoxFuture<'static, ()>>,
    instruments: Arc<Instruments>,
}

impl<K: Object> Controller<K>
where
    K::DynamicType: Default,
{
    /// A controller called `name` (in metrics and logs) over the objects that `api` and `config` select.
    pub fn new(name: &'static str, api: Api<K>, config: watcher::Config, options: Options) -> Self {
        Self::with_type(name, api, config, options, K::DynamicType::default())
    }
}

impl<K: Object> Controller<K> {
    /// As [`Controller::new`], for kinds known at run time only.
    pub fn with_type(
        name: &'static str,
        api: Api<K>,
        config: watcher::Config,
        options: Options,
        dyntype: K::DynamicType,
    ) -> Self {
        let queue = Queue::new(options.backoff);
        metrics::observe_queue(name, Arc::downgrade(&queue));
        let instruments = Arc::new(Instruments::new(name));
        let writer = Writer::new(dyntype.clone());
        let store = writer.as_reader();
        let synced = Synced::default();
        let (observed, feeds): (Observed<K>, _) = (Arc::new(observed_generation), Vec::new());
        let mut controller = Self { dyntype, options, observed, queue, store, synced, feeds, instruments };
        let dyntype = controller.dyntype.clone();
        let trigger = controller.options.trigger;
        let itself = move |object: &K| vec![ObjectRef::from_obj_with(object, dyntype.clone())];
        let kind = K::kind(&controller.dyntype).into_owned();
        let feed =
            controller.feed(kind, Some(writer), move |object: &K| feed::fingerprint(object, trigger), itself);
        controller.feeds.push(Box::pin(feed.run(api, config)));
        controller
    }

    /// Has `observed` say which generation of an object its owner has recorded to have seen: where a
    /// root span is emitted ([`Options::emit_root`]), a restarted process thereby knows of which
    /// generations an earlier one did. By default `status.observedGeneration`.
    pub fn observed_by(mut self, observed: impl Fn(&K) -> Option<i64> + Send + Sync + 'static) -> Self {
        self.observed = Arc::new(observed);
        self
    }

    /// Also watches another kind: each change of one of its objects wakes the primary objects that
    /// `mapper` names, before and after the change. Nothing but keys is kept of it.
    pub fn watches<S: Object>(
        mut self,
        api: Api<S>,
        config: watcher::Config,
        mapper: impl Fn(&S) -> Vec<ObjectRef<K>> + Send + Sync + 'static,
    ) -> Self {
        let feed = self.feed(kind_of(&api), None, feed::version, mapper);
        self.feeds.push(Box::pin(feed.run(api, config)));
        self
    }

    /// As [`Controller::watches`], and keeps the objects in the store that `writer` fills (make both
    /// with [`crate::store`], or `Writer::new(resource)` for a dynamic kind). Reconciles start only
    /// once it has been filled.
    pub fn watches_into<S: Object>(
        self,
        writer: Writer<S>,
        api: Api<S>,
        config: watcher::Config,
        mapper: impl Fn(&S) -> Vec<ObjectRef<K>> + Send + Sync + 'static,
    ) -> Self {
        self.watches_news_into(writer, api, config, |_| true, mapper)
    }

    /// As [`Controller::watches_into`], for a kind that the reconciler itself writes: a change of which
    /// `news` says no wakes nobody. It is asked once the store has the object.
    pub fn watches_news_into<S: Object>(
        mut self,
        writer: Writer<S>,
        api: Api<S>,
        config: watcher::Config,
        news: impl Fn(&S) -> bool + Send + Sync + 'static,
        mapper: impl Fn(&S) -> Vec<ObjectRef<K>> + Send + Sync + 'static,
    ) -> Self {
        let feed = self.feed(kind_of(&api), Some(writer), feed::version, mapper);
        let feed = feed::Feed { news: Box::new(news), ..feed };
        self.feeds.push(Box::pin(feed.run(api, config)));
        self
    }

    /// As [`Controller::watches_into`], for a kind with a status that changes often: only a change of what is declared
    /// wakes ([`Trigger::SpecOrMetadata`]).
    pub fn watches_declared_into<S: Object>(
        mut self,
        writer: Writer<S>,
        api: Api<S>,
        config: watcher::Config,
        mapper: impl Fn(&S) -> Vec<ObjectRef<K>> + Send + Sync + 'static,
    ) -> Self {
        let declared = |object: &S| feed::fingerprint(object, Trigger::SpecOrMetadata);
        let feed = self.feed(kind_of(&api), Some(writer), declared, mapper);
        self.feeds.push(Box::pin(feed.run(api, config)));
        self
    }

    /// Wakes objects from outside and reads the cache; cheap to clone, valid before and during the run.
    pub fn handle(&self) -> Handle<K> {
        let queue = Arc::clone(&self.queue);
        Handle::new(self.dyntype.clone(), queue, self.store.clone(), self.synced.clone())
    }

    /// Runs until `shutdown` is cancelled; then lets running reconciles finish within
    /// [`Options::drain`] and returns.
    pub async fn run<R: Reconciler<K>>(self, reconciler: R, shutdown: CancellationToken) {
        let Self { dyntype, options, observed, queue, store, synced, feeds, instruments } = self;
        let _answering = AbandonOnDrop(Arc::clone(&queue));
        let drain = options.drain;
        let line = Arc::clone(&queue);
        let worker = worker::Worker::new(reconciler, dyntype, options, observed, line, store, instruments);
        let mut workers = worker.spawn(&synced, &shutdown);
        let mut feeds: FuturesUnordered<_> = feeds.into_iter().collect();
        tokio::select! {
            () = shutdown.cancelled() => {}
            // Feeds restart their watches for ever; this branch keeps them moving.
            () = async { while feeds.next().await.is_some() {} } => {}
        }
        queue.close();
        let finished = async { while workers.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, finished).await.is_err() {
            tracing::warn!(
                drain_seconds = drain.as_secs(),
                "reconciles did not finish in time, aborting them"
            );
        }
    }

    fn feed<S, F, M>(
        &self,
        kind: String,
        writer: Option<Writer<S>>,
        version: F,
        mapper: M,
    ) -> feed::Feed<S, K, F, M>
    where
        S: Object,
        F: Fn(&S) -> u64,
        M: Fn(&S) -> Vec<ObjectRef<K>>,
    {
        let synced = writer.is_some().then(|| self.synced.add(&kind));
        let (queue, instruments) = (Arc::clone(&self.queue), Arc::clone(&self.instruments));
        let news: feed::News<S> = Box::new(|_| true);
        feed::Feed { kind, writer, synced, queue, instruments, version, news, mapper }
    }
}

/// The plural that `api` speaks of: what is known of a dynamic kind without its type.
fn kind_of<S: Object>(api: &Api<S>) -> String {
    api.resource_url().rsplit('/').next().unwrap_or_default().to_owned()
}

fn observed_generation<K: Object>(object: &K) -> Option<i64> {
    let value = serde_json::to_value(object).ok()?;
    value.pointer("/status/observedGeneration")?.as_i64()
}

/// Answers those who wait, however the run ends.
struct AbandonOnDrop<K: Object>(KeyQueue<K>);

impl<K: Object> Drop for AbandonOnDrop<K> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[cfg(test)]
mod tests;
