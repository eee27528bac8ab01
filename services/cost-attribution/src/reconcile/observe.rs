//! Watches of pods, nodes, namespaces and claims, written into the ledger as they come.
//!
//! Nothing is kept in memory: the ledger is the cache. After each full list, what the ledger holds as
//! running and the list lacks has ended while nobody looked.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolumeClaim, Pod};
use kube::{Api, Client, Resource, ResourceExt};
use mlp_reconcile::watcher;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::domain::sighting;
use crate::domain::time::Millis;
use crate::reconcile::clock::Clock;
use crate::store::ledger::Kind;
use crate::store::{Error, Store};

/// Pause before a watch that broke is opened again; four watches make no storm.
const AGAIN: Duration = Duration::from_secs(2);

/// Where a watch writes.
#[derive(Clone)]
pub struct Observer {
    client: Client,
    store: Store,
    clock: Clock,
    /// The platform's own namespaces.
    platform: Arc<Vec<String>>,
    lists: Arc<Lists>,
}

/// Which kinds have been listed once.
#[derive(Debug, Default)]
struct Lists {
    pods: AtomicBool,
    nodes: AtomicBool,
    namespaces: AtomicBool,
    claims: AtomicBool,
}

/// A kind as the ledger knows it.
trait Metered: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static {
    /// Records what was seen.
    fn see(&self, observer: &Observer, seen: Millis) -> impl Future<Output = Result<(), Error>> + Send;
    /// Records the end of a uid.
    fn end(observer: &Observer, uid: &str, at: Millis) -> impl Future<Output = Result<(), Error>> + Send;
    /// The table whose rows end when a list lacks them.
    const ENDS: Option<Kind>;
    /// The flag of the kind's first list.
    fn listed(lists: &Lists) -> &AtomicBool;
}

impl Metered for Pod {
    const ENDS: Option<Kind> = Some(Kind::Pod);

    async fn see(&self, observer: &Observer, seen: Millis) -> Result<(), Error> {
        match sighting::pod(self, seen) {
            Some(record) => observer.store.see_pod(&record).await,
            None => Ok(()),
        }
    }

    async fn end(observer: &Observer, uid: &str, at: Millis) -> Result<(), Error> {
        observer.store.end_pod(uid, at).await
    }

    fn listed(lists: &Lists) -> &AtomicBool {
        &lists.pods
    }
}

impl Metered for Node {
    const ENDS: Option<Kind> = Some(Kind::Node);

    async fn see(&self, observer: &Observer, seen: Millis) -> Result<(), Error> {
        match sighting::node(self, seen) {
            Some(record) => observer.store.see_node(&record).await,
            None => Ok(()),
        }
    }

    async fn end(observer: &Observer, uid: &str, at: Millis) -> Result<(), Error> {
        observer.store.end_node(uid, at).await
    }

    fn listed(lists: &Lists) -> &AtomicBool {
        &lists.nodes
    }
}

impl Metered for Namespace {
    // A namespace that is gone holds no pods; whose it was is still asked for.
    const ENDS: Option<Kind> = None;

    async fn see(&self, observer: &Observer, seen: Millis) -> Result<(), Error> {
        let platform: Vec<&str> = observer.platform.iter().map(String::as_str).collect();
        match sighting::namespace(self, seen, &platform) {
            Some(record) => observer.store.see_namespace(&record).await,
            None => Ok(()),
        }
    }

    async fn end(_observer: &Observer, _uid: &str, _at: Millis) -> Result<(), Error> {
        Ok(())
    }

    fn listed(lists: &Lists) -> &AtomicBool {
        &lists.namespaces
    }
}

impl Metered for PersistentVolumeClaim {
    const ENDS: Option<Kind> = Some(Kind::Claim);

    async fn see(&self, observer: &Observer, _seen: Millis) -> Result<(), Error> {
        match sighting::claim(self) {
            Some((namespace, uid)) => observer.store.see_claim(&uid, &namespace, None).await,
            None => Ok(()),
        }
    }

    async fn end(observer: &Observer, uid: &str, at: Millis) -> Result<(), Error> {
        observer.store.see_claim(uid, "", Some(at)).await
    }

    fn listed(lists: &Lists) -> &AtomicBool {
        &lists.claims
    }
}

impl Observer {
    /// Watches through `client` into `store`; `platform` are the platform's own namespaces.
    pub fn new(client: Client, store: Store, clock: Clock, platform: Vec<String>) -> Self {
        Self { client, store, clock, platform: Arc::new(platform), lists: Arc::default() }
    }

    /// Kinds that have not been listed yet.
    pub fn missing(&self) -> Vec<&'static str> {
        let lists = &self.lists;
        let all = [
            ("pods", &lists.pods),
            ("nodes", &lists.nodes),
            ("namespaces", &lists.namespaces),
            ("claims", &lists.claims),
        ];
        all.into_iter().filter(|(_, listed)| !listed.load(Ordering::Relaxed)).map(|(kind, _)| kind).collect()
    }

    /// Watches until `stop` is cancelled.
    ///
    /// # Errors
    /// The store's; what the watch meets is tried again by itself.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let all = async {
            tokio::try_join!(
                self.follow::<Namespace>(),
                self.follow::<Node>(),
                self.follow::<Pod>(),
                self.follow::<PersistentVolumeClaim>(),
            )
        };
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            ended = all => ended.map(|_| ()),
        }
    }

    async fn follow<K: Metered>(&self) -> Result<(), Error> {
        let api = Api::<K>::all(self.client.clone());
        let mut events = pin!(watcher::watcher(api, watcher::Config::default()));
        let mut listed = BTreeSet::new();
        while let Some(event) = events.next().await {
            let now = self.clock.now();
            match event {
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(object)) => {
                    object.see(self, now).await?;
                    listed.extend(object.uid());
                }
                Ok(watcher::Event::InitDone) => {
                    self.end_missing::<K>(&listed, now).await?;
                    listed.clear();
                    K::listed(&self.lists).store(true, Ordering::Relaxed);
                }
                Ok(watcher::Event::Apply(object)) => object.see(self, now).await?,
                Ok(watcher::Event::Delete(object)) => {
                    object.see(self, now).await?;
                    K::end(self, &object.uid().unwrap_or_default(), now).await?;
                }
                Err(error) => {
                    tracing::debug!(kind = %K::kind(&()), %error, "watch interrupted");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        Ok(())
    }

    async fn end_missing<K: Metered>(&self, listed: &BTreeSet<String>, now: Millis) -> Result<(), Error> {
        let Some(kind) = K::ENDS else { return Ok(()) };
        for uid in self.store.open_uids(kind).await?.difference(listed) {
            K::end(self, uid, now).await?;
        }
        Ok(())
    }
}
