//! Kubernetes Events: what `kubectl describe` shows below an object.
//!
//! A steady finding is said once: the same reason with the same words about the same object is
//! not written again within [`REPEAT_AFTER`], and one reason about one object not more often than
//! every [`PAUSE`]. Events are a courtesy: a failed write is logged and does not fail the reconcile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client, Resource};
use mlp_model::{Classified, labels};
use tokio::time::Instant;

use crate::error::chain;

/// The same words about the same object are said again after this time.
pub const REPEAT_AFTER: Duration = Duration::from_secs(3600);
/// The same reason about the same object, with other words, is said at most this often.
pub const PAUSE: Duration = Duration::from_secs(10);

/// How many (object, reason) pairs are remembered; the oldest half goes when there are more.
const LIMIT: usize = 4096;
/// The API server refuses notes of more than 1 kB; a character has at most four bytes.
const NOTE_LIMIT: usize = 256;
/// The API server refuses longer names.
const NAME_LIMIT: usize = 230;

/// Writes Events in the name of one service. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    client: Client,
    service: Arc<str>,
    said: Arc<Mutex<HashMap<Subject, Said>>>,
}

/// uid and reason.
type Subject = (String, String);

struct Said {
    words: String,
    at: Instant,
}

impl Recorder {
    /// A recorder that reports as `service`.
    pub fn new(client: Client, service: &str) -> Self {
        Self { client, service: service.into(), said: Arc::default() }
    }

    /// Says that something went as it should. `reason` is CamelCase, `action` the verb behind it.
    pub async fn normal<K: Resource>(&self, object: &K, reason: &str, action: &str, note: impl Into<String>)
    where
        K::DynamicType: Default,
    {
        self.say("Normal", object, reason, action, note.into()).await;
    }

    /// Says that something needs attention.
    pub async fn warning<K: Resource>(&self, object: &K, reason: &str, action: &str, note: impl Into<String>)
    where
        K::DynamicType: Default,
    {
        self.say("Warning", object, reason, action, note.into()).await;
    }

    /// Says that `action` failed with `error`, under the error's own reason.
    pub async fn failed<K: Resource, E: Classified>(&self, object: &K, action: &str, error: &E)
    where
        K::DynamicType: Default,
    {
        self.say("Warning", object, error.reason(), action, chain(error)).await;
    }

    async fn say<K: Resource>(&self, type_: &str, object: &K, reason: &str, action: &str, note: String)
    where
        K::DynamicType: Default,
    {
        let subject = (object.meta().uid.clone().unwrap_or_default(), reason.to_owned());
        if !self.is_news(subject, &note, Instant::now()) {
            return;
        }
        let regarding = object.object_ref(&K::DynamicType::default());
        let namespace = regarding.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let event = self.event(type_, reason, action, &note, regarding, &namespace);
        let events = Api::<Event>::namespaced(self.client.clone(), &namespace);
        if let Err(error) = events.create(&PostParams::default(), &event).await {
            tracing::warn!(reason, error = chain(&error), "cannot record a Kubernetes Event");
        }
    }

    fn event(
        &self,
        type_: &str,
        reason: &str,
        action: &str,
        note: &str,
        regarding: ObjectReference,
        namespace: &str,
    ) -> Event {
        let now = Timestamp::now();
        let about: String = regarding.name.iter().flat_map(|name| name.chars()).take(NAME_LIMIT).collect();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{about}.{:x}", now.as_nanosecond())),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            type_: Some(type_.to_owned()),
            reason: Some(reason.to_owned()),
            action: Some(action.to_owned()),
            note: Some(note.chars().take(NOTE_LIMIT).collect()),
            regarding: Some(regarding),
            reporting_controller: Some(format!("{}/{}", labels::GROUP, self.service)),
            reporting_instance: Some(format!("{}-{}", self.service, std::process::id())),
            ..Event::default()
        }
    }

    fn is_news(&self, subject: Subject, words: &str, now: Instant) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = said.get(&subject) {
            let age = now.saturating_duration_since(last.at);
            let quiet = if last.words == words { REPEAT_AFTER } else { PAUSE };
            if age < quiet {
                return false;
            }
        }
        if said.len() >= LIMIT {
            let mut times: Vec<_> = said.values().map(|said| said.at).collect();
            times.sort_unstable();
            let median = times.get(LIMIT / 2).copied().unwrap_or(now);
            said.retain(|_, said| said.at > median);
        }
        said.insert(subject, Said { words: words.to_owned(), at: now });
        true
    }
}

#[cfg(test)]
mod tests;
