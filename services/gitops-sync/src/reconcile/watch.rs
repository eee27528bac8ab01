//! Watches of the kinds that Applications have applied: each change of a tracked object wakes its
//! Application. Only metadata is sent, and a digest is kept of it: where only a status changes, and again and again, the
//! Application is looked at once in a while ([`calm`]).

mod calm;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt as _};
use futures::{TryStreamExt as _, pin_mut};
use kube::api::{DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::{Api, Client};
use mlp_crds::Application;
use mlp_reconcile::{Handle, ObjectRef};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::identity::{Owner, owner};
use crate::domain::operation::{RUNNING, phase};
use calm::{Calm, WINDOW, fingerprint};

/// Kinds watched at the same time; beyond it drift is found by the periodic look alone.
const KINDS: usize = 200;
/// Objects of one kind of which a digest is kept; more are forgotten when the watch is opened again, which it is every few
/// minutes. One that is not known counts as changed.
const KNOWN: usize = 100_000;
/// Kinds waiting to be watched.
const WAITING: usize = 64;
/// Pause before a watch that broke is opened again, doubled up to [`LONGEST`] where it is asked for in
/// vain: the kind may not be watched, or is not served any more.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(300);

/// Asks for watches.
#[derive(Clone)]
pub struct Watches(mpsc::Sender<ApiResource>);

/// Runs the watches asked for.
pub struct Watcher {
    client: Client,
    control_namespace: String,
    applications: Handle<Application>,
    asked: mpsc::Receiver<ApiResource>,
    calm: Arc<Calm>,
}

/// A pair of asking and running.
pub fn pair(
    client: Client,
    control_namespace: &str,
    applications: Handle<Application>,
) -> (Watches, Watcher) {
    let (sender, asked) = mpsc::channel(WAITING);
    let control_namespace = control_namespace.to_owned();
    let calm = Arc::default();
    (Watches(sender), Watcher { client, control_namespace, applications, asked, calm })
}

impl Watches {
    /// Has nothing watched.
    pub(super) fn none() -> Self {
        Self(mpsc::channel(1).0)
    }

    /// Has a kind watched. A full queue drops the wish; the next look repeats it.
    pub(super) fn ensure(&self, resource: &ApiResource) {
        let _ = self.0.try_send(resource.clone());
    }
}

impl Watcher {
    /// Watches until `shutdown` is cancelled.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut watched = BTreeSet::new();
        let mut running = FuturesUnordered::new();
        let mut late = tokio::time::interval(WINDOW / 4);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                asked = self.asked.recv() => {
                    let Some(resource) = asked else { return };
                    let key = (resource.api_version.clone(), resource.kind.clone());
                    if watched.len() < KINDS && watched.insert(key) {
                        running.push(self.watch(resource));
                    }
                }
                Some(()) = running.next() => {}
                _ = late.tick() => self.calm.due(Instant::now()).into_iter().for_each(|key| self.applications.wake(key)),
            }
        }
    }

    /// Watches one kind for ever, opening the watch again whenever it ends.
    fn watch(&self, resource: ApiResource) -> impl Future<Output = ()> + use<> {
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &resource);
        let (applications, control_namespace) = (self.applications.clone(), self.control_namespace.clone());
        let calm = Arc::clone(&self.calm);
        async move {
            let (mut again, mut pause) = (false, AGAIN);
            // Digests of tracked objects, by namespace and name.
            let mut known = HashMap::new();
            loop {
                if known.len() > KNOWN {
                    known.clear();
                }
                let mut opened = false;
                let begun = || {
                    // Whatever changed while nobody watched is found by looking.
                    if again {
                        applications.wake_all_where(|application| holds(application, &resource));
                    }
                    opened = true;
                };
                let ended = follow(&api, begun, |object, is_gone| {
                    let Some(key) = tracked(&control_namespace, &resource, object) else { return };
                    let name = (object.metadata.namespace.clone(), object.metadata.name.clone());
                    let now = fingerprint(&object.metadata);
                    let before = match is_gone {
                        true => known.remove(&name),
                        false => known.insert(name, now),
                    };
                    let says_nothing_new = !is_gone && before == Some(now) && !runs(&applications, &key);
                    if !says_nothing_new || calm.wakes_now(&key, Instant::now()) {
                        applications.wake(key);
                    }
                });
                let ended = ended.await;
                if let Err(error) = &ended {
                    tracing::debug!(kind = resource.kind, %error, "watch ended");
                }
                again = true;
                let in_vain = matches!(&ended, Err(kube::Error::Api(said)) if matches!(said.code, 403 | 404));
                pause = if in_vain && !opened { (pause * 2).min(LONGEST) } else { AGAIN };
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn follow(
    api: &Api<DynamicObject>,
    begun: impl FnOnce(),
    mut changed: impl FnMut(&PartialObjectMeta<DynamicObject>, bool),
) -> Result<(), kube::Error> {
    let list = api.list_metadata(&ListParams::default().limit(1)).await?;
    let mut version = list.metadata.resource_version.unwrap_or_default();
    begun();
    loop {
        let stream = api.watch_metadata(&WatchParams::default(), &version).await?;
        pin_mut!(stream);
        while let Some(event) = stream.try_next().await? {
            let is_gone = matches!(event, WatchEvent::Deleted(_));
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
                    if let Some(newer) = object.metadata.resource_version.clone() {
                        version = newer;
                    }
                    changed(&object, is_gone);
                }
                WatchEvent::Bookmark(bookmark) => version = bookmark.metadata.resource_version,
                WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
            }
        }
    }
}

/// The Application that an object is tracked by.
fn tracked(
    control_namespace: &str,
    resource: &ApiResource,
    object: &PartialObjectMeta<DynamicObject>,
) -> Option<ObjectRef<Application>> {
    let value =
        json!({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": object.metadata});
    let Owner::Instance(instance) = owner(&value) else { return None };
    let (namespace, name) = instance.split_once('_').unwrap_or((control_namespace, &instance));
    Some(ObjectRef::new(name).within(namespace))
}

/// Whether an operation runs, which may wait for nothing but a status.
fn runs(applications: &Handle<Application>, key: &ObjectRef<Application>) -> bool {
    applications.store().get(key).is_some_and(|application| phase(&application) == Some(RUNNING))
}

fn holds(application: &Application, resource: &ApiResource) -> bool {
    let resources = application.status.iter().flat_map(|status| &status.resources);
    resources.into_iter().any(|held| held.group == resource.group && held.kind == resource.kind)
}
