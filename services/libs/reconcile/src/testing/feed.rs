//! A collection that can be listed and watched.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Answer;
use super::call::{Seen, json_answer};

/// Events that a watch may be behind; a test that makes more without reading loses the watch, as
/// a slow watcher of the real server does.
const WATCH_BUFFER: usize = 1024;

/// Objects of one collection; changes reach whoever watches. Cheap to clone.
#[derive(Clone)]
pub struct Feed {
    path: String,
    kind: String,
    state: Arc<Mutex<Collection>>,
}

#[derive(Default)]
struct Collection {
    version: u64,
    objects: BTreeMap<(String, String), Value>,
    watches: Vec<mpsc::Sender<Bytes>>,
}

impl Feed {
    pub(super) fn new(path: &str, kind: &str) -> Self {
        let collection = Collection { version: 1, ..Collection::default() };
        Self { path: path.to_owned(), kind: kind.to_owned(), state: Arc::new(Mutex::new(collection)) }
    }

    /// Adds or changes an object; it gets a new resourceVersion, which is returned.
    pub fn put(&self, mut object: Value) -> String {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version.to_string();
        if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.insert("resourceVersion".to_owned(), json!(version));
        }
        let known = state.objects.insert(key(&object), object.clone()).is_some();
        state.send(if known { "MODIFIED" } else { "ADDED" }, &object);
        version
    }

    /// Removes an object, if it is there.
    pub fn remove(&self, namespace: Option<&str>, name: &str) {
        let mut state = self.lock();
        let key = (namespace.unwrap_or_default().to_owned(), name.to_owned());
        if let Some(object) = state.objects.remove(&key) {
            state.version += 1;
            state.send("DELETED", &object);
        }
    }

    /// Removes an object without telling those who watch, then cuts their connections.
    pub fn remove_unseen(&self, namespace: Option<&str>, name: &str) {
        let mut state = self.lock();
        let key = (namespace.unwrap_or_default().to_owned(), name.to_owned());
        state.objects.remove(&key);
        state.version += 1;
        // 410 makes a watcher list again; a mere end of the stream would resume.
        let gone = json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"});
        state.send("ERROR", &gone);
        state.watches.clear();
    }

    /// Ends every watch, as the API server does after some minutes.
    pub fn end_watches(&self) {
        self.lock().watches.clear();
    }

    /// How many watches are open.
    pub fn watches(&self) -> usize {
        let mut state = self.lock();
        state.watches.retain(|watch| !watch.is_closed());
        state.watches.len()
    }

    /// Answers lists and watches of this collection.
    pub(super) fn answer(&self, seen: &Seen) -> Option<Answer> {
        if seen.method != Method::GET || seen.path != self.path {
            return None;
        }
        let mut state = self.lock();
        if !matches!(seen.parameter("watch"), Some("true" | "1")) {
            let items: Vec<_> = state.objects.values().collect();
            let list = json!({
                "kind": format!("{}List", self.kind), "apiVersion": "v1",
                "metadata": {"resourceVersion": state.version.to_string()}, "items": items,
            });
            return Some(json_answer(200, &list));
        }
        let since = seen.parameter("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0);
        let (sender, receiver) = mpsc::channel(WATCH_BUFFER);
        let missed = state.objects.values().filter(|object| version_of(object) > since);
        for object in missed {
            let _ = sender.try_send(line("MODIFIED", object));
        }
        state.watches.push(sender);
        let frames = futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|bytes| (bytes, receiver))
        });
        let body = StreamBody::new(frames.map(|bytes| Ok(Frame::data(bytes))));
        Some(Response::new(body.boxed_unsync()))
    }

    fn lock(&self) -> MutexGuard<'_, Collection> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collection {
    fn send(&mut self, event: &str, object: &Value) {
        let line = line(event, object);
        self.watches.retain(|watch| watch.try_send(line.clone()).is_ok());
    }
}

fn line(event: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({"type": event, "object": object})))
}

fn key(object: &Value) -> (String, String) {
    let text = |field| object.pointer(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("/metadata/namespace"), text("/metadata/name"))
}

fn version_of(object: &Value) -> u64 {
    let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    version.and_then(|text| text.parse().ok()).unwrap_or(0)
}
