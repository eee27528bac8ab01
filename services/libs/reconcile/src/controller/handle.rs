//! What the rest of a service may do with a running controller.

use std::sync::Arc;

use kube::runtime::reflector::{ObjectRef, Store};
use mlp_model::Class;

use super::feed::Synced;
use super::{Failure, KeyQueue, Object, Outcome};
use crate::effect;
use crate::trace::current_traceparent;

/// Wakes objects of a controller and reads its cache.
pub struct Handle<K: Object> {
    dyntype: K::DynamicType,
    queue: KeyQueue<K>,
    store: Store<K>,
    synced: Synced,
}

impl<K: Object> Clone for Handle<K> {
    fn clone(&self) -> Self {
        let (dyntype, queue) = (self.dyntype.clone(), Arc::clone(&self.queue));
        Self { dyntype, queue, store: self.store.clone(), synced: self.synced.clone() }
    }
}

/// What a waiter learns when the reconcile did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The object was reconciled.
    Reconciled,
    /// There is no such object in the cache.
    Absent,
}

impl<K: Object> Handle<K> {
    pub(super) fn new(dyntype: K::DynamicType, queue: KeyQueue<K>, store: Store<K>, synced: Synced) -> Self {
        Self { dyntype, queue, store, synced }
    }

    /// Has `key` looked at soon. The reconcile's span will link to the span active here.
    pub fn wake(&self, key: ObjectRef<K>) {
        self.queue.wake(key, cause());
    }

    /// As [`Handle::wake`], linking to `traceparent`.
    pub fn wake_for(&self, key: ObjectRef<K>, traceparent: impl Into<String>) {
        self.queue.wake(key, Some(traceparent.into()));
    }

    /// Has `key` looked at soon and waits for a reconcile that started after this call. Bound it by
    /// the caller's own deadline; giving up waiting does not stop the reconcile.
    ///
    /// # Errors
    /// The [`Failure`] of that reconcile, or a transient one when the controller stops before.
    pub async fn wake_and_wait(&self, key: ObjectRef<K>) -> Result<Seen, Failure> {
        let outcome = self.queue.wake_and_wait(key, cause()).await;
        match outcome {
            Ok(Outcome::Done) => Ok(Seen::Reconciled),
            Ok(Outcome::Absent) => Ok(Seen::Absent),
            Ok(Outcome::Failed(failure)) => Err(failure),
            Err(closed) => Err(Failure::new(Class::Transient, "Stopping", closed.to_string())),
        }
    }

    /// Has every cached object looked at for which `predicate` holds; returns how many.
    pub fn wake_all_where(&self, predicate: impl Fn(&K) -> bool) -> usize {
        let chosen = self.store.state_filter(|object| predicate(object));
        let cause = if chosen.is_empty() { None } else { cause() };
        for object in &chosen {
            self.queue.wake(ObjectRef::from_obj_with(&**object, self.dyntype.clone()), cause.clone());
        }
        chosen.len()
    }

    /// The cache of primary objects.
    pub fn store(&self) -> &Store<K> {
        &self.store
    }

    /// Whether all caches have been filled once; reconciles start then.
    pub fn is_synced(&self) -> bool {
        self.synced.missing().is_empty()
    }

    /// Kinds whose cache has not been filled yet, for a readiness message.
    pub fn unsynced(&self) -> Vec<String> {
        self.synced.missing()
    }

    /// Waits until all caches have been filled once.
    pub async fn wait_synced(&self) {
        self.synced.wait().await;
    }
}

/// The span active here, which the woken reconcile will link to; if it is a reconcile's, the wake is an
/// effect of it.
fn cause() -> Option<String> {
    effect::note();
    current_traceparent()
}
