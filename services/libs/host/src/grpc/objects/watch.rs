//! A watch that goes on where the API server ended it.

use std::collections::VecDeque;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _, unfold};

use super::{
    Api, Changed, DeserializeOwned, DynamicObject, Resource, Status, WatchEvent, WatchParams, parse, refused,
};

/// Pause before a watch that ended without a word is opened again.
const AGAIN: Duration = Duration::from_secs(1);

/// A stream of changes, with the resource version to resume from after each.
pub type Changes<K> = BoxStream<'static, Result<(Changed<K>, String), Status>>;

struct Watching {
    api: Api<DynamicObject>,
    params: WatchParams,
    /// Existing objects that were not sent yet.
    known: VecDeque<DynamicObject>,
    version: String,
    events: Option<BoxStream<'static, kube::Result<WatchEvent<DynamicObject>>>>,
    /// Whether the open watch has told nothing yet.
    mute: bool,
    failed: bool,
}

pub(super) fn changes<K>(
    api: Api<DynamicObject>,
    params: WatchParams,
    known: Vec<DynamicObject>,
    version: String,
) -> Changes<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Send + 'static,
{
    let known = known.into();
    let begin = Watching { api, params, known, version, events: None, mute: false, failed: false };
    unfold(begin, |mut watching| async move {
        if watching.failed {
            return None;
        }
        let next = watching.next::<K>().await;
        watching.failed = next.is_err();
        Some((next, watching))
    })
    .boxed()
}

impl Watching {
    async fn next<K>(&mut self) -> Result<(Changed<K>, String), Status>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        if let Some(object) = self.known.pop_front() {
            // Resuming in the middle of the existing ones means starting again.
            let version = if self.known.is_empty() { self.version.clone() } else { String::new() };
            return Ok((Changed::Added(parse(object)?), version));
        }
        loop {
            let events = match &mut self.events {
                Some(events) => events,
                none => {
                    if std::mem::replace(&mut self.mute, true) {
                        tokio::time::sleep(AGAIN).await;
                    }
                    let opened = self.api.watch(&self.params, &self.version).await;
                    none.insert(opened.map_err(|error| refused(&error))?.boxed())
                }
            };
            let Some(event) = events.next().await else {
                // The API server ends every watch after some minutes.
                self.events = None;
                continue;
            };
            self.mute = false;
            let changed = match event.map_err(|error| refused(&error))? {
                WatchEvent::Added(object) => self.at(object, Changed::Added)?,
                WatchEvent::Modified(object) => self.at(object, Changed::Modified)?,
                WatchEvent::Deleted(object) => self.at(object, Changed::Deleted)?,
                WatchEvent::Bookmark(bookmark) => {
                    self.version = bookmark.metadata.resource_version;
                    Changed::Bookmark(self.version.clone())
                }
                WatchEvent::Error(status) => return Err(refused(&kube::Error::Api(status))),
            };
            return Ok((changed, self.version.clone()));
        }
    }

    fn at<K>(&mut self, object: DynamicObject, change: fn(K) -> Changed<K>) -> Result<Changed<K>, Status>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.version = object.metadata.resource_version.clone().unwrap_or_default();
        parse(object).map(change)
    }
}
