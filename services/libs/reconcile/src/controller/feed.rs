//! From watch events to woken keys.
//!
//! A feed remembers, of each object it has seen, a fingerprint and the keys it woke: an unchanged
//! object of a repeated list wakes nobody, an object that moved from one owner to another wakes
//! both, and one that vanished while the watch was down wakes those it concerned.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;

use super::{KeyQueue, Object, Trigger};
use crate::error::chain;
use crate::metrics::Instruments;

/// A watch of kind `S` that wakes objects of kind `K`.
pub(super) struct Feed<S: Object, K: Object, F, M> {
    pub(super) kind: String,
    pub(super) writer: Option<Writer<S>>,
    pub(super) synced: Option<Flag>,
    pub(super) queue: KeyQueue<K>,
    pub(super) instruments: Arc<Instruments>,
    /// What tells two states of one object apart.
    pub(super) version: F,
    /// Whether a change is news, or what the reconciler itself has just written.
    pub(super) news: News<S>,
    /// Whom an object concerns.
    pub(super) mapper: M,
}

/// Asked of each changed object, after the cache has it; what is no news wakes nobody.
pub(super) type News<S> = Box<dyn Fn(&S) -> bool + Send + Sync>;

/// Namespace and name.
type Id = (Option<String>, String);

struct Seen<K: Object> {
    version: u64,
    concerns: Vec<ObjectRef<K>>,
}

impl<S, K, F, M> Feed<S, K, F, M>
where
    S: Object,
    K: Object,
    F: Fn(&S) -> u64,
    M: Fn(&S) -> Vec<ObjectRef<K>>,
{
    /// Watches for ever; a failed watch is started again with back-off.
    pub(super) async fn run(mut self, api: Api<S>, config: watcher::Config) {
        let slim = |object: &mut S| object.meta_mut().managed_fields = None;
        let mut events = pin!(watcher::watcher(api, config).default_backoff().modify(slim));
        let mut known = HashMap::new();
        let mut listed = HashMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    // The cache first: a woken worker must find what woke it.
                    if let Some(writer) = &mut self.writer {
                        writer.apply_watcher_event(&event);
                    }
                    self.take(event, &mut known, &mut listed);
                }
                Err(error) => {
                    self.instruments.watch_failed(&self.kind);
                    tracing::warn!(
                        kind = self.kind,
                        error = chain(&error),
                        "watch failed, starting it again"
                    );
                }
            }
        }
    }

    fn take(&self, event: Event<S>, known: &mut HashMap<Id, Seen<K>>, listed: &mut HashMap<Id, Seen<K>>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                let (id, seen) = self.see(&object);
                listed.insert(id, seen);
            }
            Event::InitDone => {
                let before = std::mem::replace(known, std::mem::take(listed));
                for (id, old) in &before {
                    if !known.contains_key(id) {
                        self.wake(&old.concerns);
                    }
                }
                for (id, seen) in known {
                    self.compare(before.get(id), seen);
                }
                if let Some(synced) = &self.synced {
                    synced.set();
                }
            }
            Event::Apply(object) => {
                let (id, seen) = self.see(&object);
                if (self.news)(&object) {
                    self.compare(known.get(&id), &seen);
                }
                known.insert(id, seen);
            }
            Event::Delete(object) => {
                let (id, seen) = self.see(&object);
                self.wake(&seen.concerns);
                if let Some(old) = known.remove(&id) {
                    self.wake(&old.concerns);
                }
            }
        }
    }

    fn see(&self, object: &S) -> (Id, Seen<K>) {
        let meta = object.meta();
        let id = (meta.namespace.clone(), meta.name.clone().unwrap_or_default());
        (id, Seen { version: (self.version)(object), concerns: (self.mapper)(object) })
    }

    fn compare(&self, before: Option<&Seen<K>>, now: &Seen<K>) {
        if before.is_some_and(|before| before.version == now.version) {
            return;
        }
        self.wake(&now.concerns);
        if let Some(before) = before {
            self.wake(&before.concerns);
        }
    }

    fn wake(&self, keys: &[ObjectRef<K>]) {
        for key in keys {
            self.queue.wake(key.clone(), None);
        }
    }
}

/// Tells any two versions of an object apart.
pub(super) fn version<S: Object>(object: &S) -> u64 {
    let meta = object.meta();
    digest(&(&meta.uid, &meta.resource_version))
}

/// Tells those versions of an object apart that `trigger` cares about.
pub(super) fn fingerprint<K: Object>(object: &K, trigger: Trigger) -> u64 {
    let meta = object.meta();
    match (trigger, meta.generation) {
        (Trigger::SpecOrMetadata, Some(generation)) => {
            let deleted = meta.deletion_timestamp.as_ref().map(|time| time.0.as_second());
            let owners = meta.owner_references.iter().flatten();
            let owners: Vec<_> = owners.map(|owner| &owner.uid).collect();
            let texts = (&meta.labels, &meta.annotations, &meta.finalizers);
            digest(&(&meta.uid, generation, deleted, owners, texts))
        }
        _ => version(object),
    }
}

fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Which caches have been filled once.
#[derive(Clone)]
pub(super) struct Synced(Arc<watch::Sender<Vec<(String, bool)>>>);

/// One cache's entry in [`Synced`].
pub(super) struct Flag {
    index: usize,
    all: Synced,
}

impl Default for Synced {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }
}

impl Synced {
    /// Adds a cache that is not filled yet.
    pub(super) fn add(&self, kind: &str) -> Flag {
        let index = self.0.borrow().len();
        self.0.send_modify(|flags| flags.push((kind.to_owned(), false)));
        Flag { index, all: self.clone() }
    }

    /// Kinds that are missing.
    pub(super) fn missing(&self) -> Vec<String> {
        let flags = self.0.borrow();
        flags.iter().filter(|(_, set)| !set).map(|(kind, _)| kind.clone()).collect()
    }

    /// Waits until none is missing.
    pub(super) async fn wait(&self) {
        // The sender lives in `self`, so the channel cannot close while this waits.
        let _ = self.0.subscribe().wait_for(|flags| flags.iter().all(|(_, set)| *set)).await;
    }
}

impl Flag {
    fn set(&self) {
        self.all.0.send_if_modified(|flags| match flags.get_mut(self.index) {
            Some((_, set)) if !*set => {
                *set = true;
                true
            }
            _ => false,
        });
    }
}
