//! One look at one team: judge every object, decide on incidents, state what changed.

pub mod apply;
mod controller;
mod world;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use mlp_crds::incident::IncidentState;
use mlp_crds::{Incident, Team};
use mlp_model::Flow;
use mlp_reconcile::{Next, ObjectRef, Reconciler};

pub use apply::Writer;
pub use controller::controller;
pub use world::World;

use crate::domain::Judged;
use crate::domain::incident::{self, Decision, Memory, Patience};
use crate::error::Error;

/// How soon held-back changes are stated: when the broker has taken what waits.
const HELD_BACK: Duration = Duration::from_secs(1);

/// What is remembered between looks, by team and uid; bounded by the objects that exist.
type Memories = HashMap<String, HashMap<String, Memory>>;

/// Watches over teams.
pub struct TeamHealth {
    world: World,
    writer: Writer,
    patience: Patience,
    retention: Duration,
    clock: fn() -> Timestamp,
    memories: Mutex<Memories>,
}

impl TeamHealth {
    /// A reconciler over the caches in `world`; `clock` gives the time of each look.
    pub fn new(
        world: World,
        writer: Writer,
        patience: Patience,
        retention: Duration,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self { world, writer, patience, retention, clock, memories: Mutex::default() }
    }

    /// Remembers every object's health and returns the memories; objects that are gone are forgotten.
    fn remember(&self, team: &str, judged: &[Judged], now: Timestamp) -> HashMap<String, Memory> {
        let mut all = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = all.remove(team).unwrap_or_default();
        let after: HashMap<_, _> = judged
            .iter()
            .map(|judged| {
                let uid = &judged.resource.uid;
                (uid.clone(), incident::remember(before.remove(uid), &judged.verdict, now))
            })
            .collect();
        all.insert(team.to_owned(), after.clone());
        after
    }

    /// Opens, updates and closes; returns when time alone can change a decision.
    async fn incidents(
        &self,
        team: &Team,
        judged: &[Judged],
        now: Timestamp,
    ) -> Result<Option<Duration>, Error> {
        let memories = self.remember(&team.name_any(), judged, now);
        let mut open = self.open_incidents(&team.name_any(), now).await?;
        let mut soonest = None;
        for judged in judged.iter().filter(|judged| judged.answers) {
            let Some(memory) = memories.get(&judged.resource.uid) else { continue };
            let fingerprint = incident::fingerprint(&judged.resource.kind, &judged.resource.uid);
            let live = open.remove(&fingerprint);
            let again = self.decide(team, judged, memory, live, now).await?;
            soonest = soonest.into_iter().chain(again).min();
        }
        // What is left speaks of objects that are gone.
        let flow = apply::flow_of(team);
        for live in open.into_values() {
            self.writer.close(live, "Deleted", "the resource is gone", now, &flow, now).await?;
        }
        Ok(soonest)
    }

    async fn decide(
        &self,
        team: &Team,
        judged: &Judged,
        memory: &Memory,
        live: Option<Arc<Incident>>,
        now: Timestamp,
    ) -> Result<Option<Duration>, Error> {
        let status = live.as_ref().and_then(|live| live.status.as_ref());
        let unstated = live.is_some() && status.is_none_or(|status| status.opened_at.is_none());
        let shown =
            live.as_ref().map(|_| status.and_then(|status| status.reason.as_deref()).unwrap_or_default());
        match (incident::decide(&judged.verdict, memory, shown, self.patience, now), live) {
            (Decision::Open(began), None) => {
                self.writer.open(team, judged, began, now).await?;
                Ok(None)
            }
            (Decision::Update, Some(live)) => {
                self.writer.state(team, live, judged, Some(memory.since), now).await?;
                Ok(None)
            }
            (Decision::Close(recovered), Some(live)) => {
                let flow = apply::flow_of(team);
                let message = &judged.verdict.message;
                self.writer.close(live, "Recovered", message, recovered, &flow, now).await?;
                Ok(None)
            }
            // A crash between the object and its first status left the opening unstated.
            (_, Some(live)) if unstated => {
                self.writer.state(team, live, judged, Some(memory.since), now).await?;
                Ok(None)
            }
            (Decision::Keep(again), _) => Ok(again),
            (Decision::Open(_) | Decision::Update | Decision::Close(_), _) => Ok(None),
        }
    }

    /// The team's open incidents by fingerprint. Outboxes are flushed and old ones forgotten on the way.
    async fn open_incidents(
        &self,
        team: &str,
        now: Timestamp,
    ) -> Result<HashMap<String, Arc<Incident>>, Error> {
        let mut open = HashMap::new();
        for live in self.world.incidents_of(team) {
            self.writer.flush_incident(&live).await?;
            let is_open = live.status.as_ref().is_none_or(|status| status.state == IncidentState::Open);
            if is_open {
                open.insert(live.spec.fingerprint.clone(), live);
            } else if apply::is_forgettable(&live, self.retention, now) {
                self.writer.forget(&live).await?;
            }
        }
        Ok(open)
    }

    /// Forgets closed incidents of removed teams that were kept long enough.
    async fn forget_orphans(&self, now: Timestamp) {
        for live in self.world.orphaned_incidents() {
            if apply::is_forgettable(&live, self.retention, now)
                && let Err(error) = self.writer.forget(&live).await
            {
                // The next look, at whichever team, tries again; this team's health is not held up.
                tracing::debug!(%error, "incident of a removed team not forgotten yet");
            }
        }
    }
}

impl Reconciler<Team> for TeamHealth {
    type Error = Error;

    async fn reconcile(&self, team: Arc<Team>) -> Result<Next, Error> {
        let now = (self.clock)();
        let judged = self.world.judge(&team);
        let again = self.incidents(&team, &judged, now).await?;
        let live = self.world.record_of(&team.name_any());
        self.forget_orphans(now).await;
        let held_back = self.writer.state_health(&team, live, &judged, now).await?;
        let again = again.into_iter().chain(held_back.then_some(HELD_BACK)).min();
        Ok(again.map_or(Next::Done, Next::After))
    }

    /// The team is gone: so is everything its incidents speak of.
    async fn absent(&self, key: &ObjectRef<Team>) -> Result<(), Error> {
        let now = (self.clock)();
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).remove(&key.name);
        for live in self.open_incidents(&key.name, now).await?.into_values() {
            let flow =
                Flow::derive(&live.uid().unwrap_or_default(), live.metadata.generation.unwrap_or_default());
            self.writer.close(live, "TeamRemoved", "the team is gone", now, &flow, now).await?;
        }
        match self.world.record_of(&key.name) {
            Some(record) => self.writer.forget_record(&record).await,
            None => Ok(()),
        }
    }
}
