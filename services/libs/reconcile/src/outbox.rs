//! The outbox of one object, kept in `status.outbox` (design section 2.5).
//!
//! A fact enters it in the status write of its transition; the relay of `mlp-bus` publishes what
//! [`StatusOutbox::pending`] returns and trims it after the broker's acknowledgement. A crash
//! between leaves the fact to the next scan.

use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::{Api, ResourceExt};
use mlp_model::{Fact, FactId, OutboxStore};
use serde_json::{Value, json};

use crate::controller::Object;
use crate::error::Error;
use crate::status::{self, Place};

/// How often a trim is tried against other writers of the status before it is left to the next scan.
const TRIM_ATTEMPTS: usize = 5;

/// `status.outbox` of one object, read and trimmed over the API.
pub struct StatusOutbox<K> {
    api: Api<K>,
    manager: String,
    name: String,
    place: Place,
    /// What was read last; saves the read before the first trim. A stale value costs one 409.
    known: Mutex<Option<Known>>,
}

#[derive(Clone)]
struct Known {
    version: String,
    pending: Vec<Fact>,
    /// As the caller or the last trim knew it, and not looked at yet: serves one `pending` without a read.
    fresh: bool,
}

impl<K: Object> StatusOutbox<K> {
    /// The outbox of the object called `name`; every first look reads it from the API server.
    pub fn new(api: Api<K>, manager: impl Into<String>, name: impl Into<String>) -> Self {
        let place = Place::Subresource;
        Self { api, manager: manager.into(), name: name.into(), place, known: Mutex::new(None) }
    }

    /// The outbox of `object` as the caller knows it, typically as its status write returned it:
    /// saves the first read.
    ///
    /// # Errors
    /// [`Error::Encode`] when `status.outbox` is not an outbox.
    pub fn of(api: Api<K>, manager: impl Into<String>, object: &K) -> Result<Self, Error> {
        let outbox = Self::new(api, manager, object.name_any());
        outbox.remember(object, true)?;
        Ok(outbox)
    }

    /// The same outbox, for a kind that keeps its status at `place`.
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the caller handed in, once.
    fn take_fresh(&self) -> Option<Known> {
        let mut known = self.lock();
        let found = known.as_mut().filter(|known| known.fresh)?;
        found.fresh = false;
        Some(found.clone())
    }

    fn remember(&self, object: &K, fresh: bool) -> Result<Known, Error> {
        let encode =
            |source| Error::Encode { action: format!("read status.outbox of {}", self.name), source };
        let mut value = serde_json::to_value(object).map_err(encode)?;
        let pending = match value.pointer_mut("/status/outbox/pending").map(Value::take) {
            None | Some(Value::Null) => Vec::new(),
            Some(list) => serde_json::from_value(list).map_err(encode)?,
        };
        let known = Known { version: object.resource_version().unwrap_or_default(), pending, fresh };
        *self.lock() = Some(known.clone());
        Ok(known)
    }

    async fn read(&self) -> Result<Option<Known>, Error> {
        let found = self.api.get_opt(&self.name).await;
        match found.map_err(|source| Error::of(format!("read {}", self.name), source))? {
            Some(object) => self.remember(&object, false).map(Some),
            None => Ok(None),
        }
    }

    /// One fenced attempt; `None` when nothing is left to remove or the object is gone.
    async fn trim_once(&self, published: &[FactId]) -> Result<Option<K>, Error> {
        let known = self.lock().clone();
        let known = match known {
            Some(known) => Some(known),
            None => self.read().await?,
        };
        let Some(Known { version, pending, .. }) = known else { return Ok(None) };
        let rest: Vec<_> = pending.iter().filter(|fact| !published.contains(&fact.id)).collect();
        if rest.len() == pending.len() {
            return Ok(None);
        }
        // An empty list is not written: that is how `Outbox` serializes, and equal must stay equal.
        let rest = if rest.is_empty() { Value::Null } else { json!(rest) };
        let body = json!({
            "metadata": {"resourceVersion": version},
            "status": {"outbox": {"pending": rest}},
        });
        let patched = status::patch(self.place, &self.api, &self.manager, &self.name, &body).await;
        patched.map(Some).map_err(|source| Error::of(format!("trim status.outbox of {}", self.name), source))
    }
}

impl<K: Object> OutboxStore for StatusOutbox<K> {
    type Error = Error;

    async fn pending(&self, limit: usize) -> Result<Vec<Fact>, Error> {
        let known = match self.take_fresh() {
            Some(known) => Some(known),
            None => self.read().await?,
        };
        let mut pending = known.map(|known| known.pending).unwrap_or_default();
        pending.truncate(limit);
        Ok(pending)
    }

    async fn trim(&self, published: &[FactId]) -> Result<(), Error> {
        let mut attempt = 1;
        loop {
            match self.trim_once(published).await {
                // What the API server answered is the newest state: the next look needs no read.
                Ok(Some(object)) => return self.remember(&object, true).map(|_| ()),
                Ok(None) => return Ok(()),
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) if error.is_conflict() && attempt < TRIM_ATTEMPTS => *self.lock() = None,
                Err(error) => return Err(error),
            }
            attempt += 1;
        }
    }
}

#[cfg(test)]
mod tests;
