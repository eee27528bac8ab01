//! One look at one team: observe, plan, apply, report, publish.
//!
//! [`observe`] reads watch caches and makes no call; the decision is `domain::plan`; [`apply`] makes
//! the calls of a plan; [`remove`] is the way out; [`report`] writes status, facts and Events in one
//! place; [`accounts`] gives isolated teams an account on the broker. A team that is as declared costs no call at all.

mod accounts;
pub(crate) mod adopt;
mod apply;
mod burst;
mod demand;
mod denials;
mod enforcer;
mod exemptions;
mod index;
mod observe;
mod offboard;
mod recent;
mod recount;
mod references;
mod remove;
mod report;
mod sent;
mod sideline;
mod signals;
mod surroundings;
mod tombstones;
mod work;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::{Api, ResourceExt};
use mlp_bus::Relay;
use mlp_crds::Team;
use mlp_crds::team::OffboardingPhase;
use mlp_model::{OutboxStore as _, labels};
use mlp_reconcile::conditions::{self, Status};
use mlp_reconcile::{Next, Reconciler, Recorder, StatusOutbox, Store, finalizer};

use crate::domain::claims::{Claimant, Existing};
use crate::domain::model::{DeclaredTeam, Site};
use crate::domain::outcome::Outcome;
use crate::domain::{SERVICE, claims, model, notes, objects, opening, plan};
use crate::error::Error;

pub use accounts::{AccountReconciler, Accounts};
pub use enforcer::Enforcer;
pub(crate) use observe::team_of;
pub use observe::{Caches, watches};
use recent::{LOOK_AGAIN, Made, Waiting};
use recount::Counted;
use references::References;
use sent::Sent;
pub use sideline::sideline;
pub use signals::Signals;
use work::Works;

/// How often a removal that is blocked counts again what blocks it. Workloads state no facts.
const BLOCKED_AGAIN: Duration = Duration::from_secs(5);

/// How often a team whose host is another's looks whether it has been freed.
const HOSTS_AGAIN: Duration = Duration::from_secs(30);

/// The API server enforces a quota some milliseconds after it was written, some seconds in a burst of
/// teams. Waiting for it is said only after this time: two writes less for every team.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same while many teams are being isolated: to say of each that it waits makes all wait longer.
const PATIENCE_IN_BURST: Duration = Duration::from_secs(30);

/// How old the use of a quota in a status may become. Every pod, Secret and ConfigMap changes it, and
/// each write of a status is read by four services.
const USED_AGE: Duration = Duration::from_secs(5);
/// The same while many teams are being isolated: their first Secrets change every quota, and to write each
/// down at once takes a third of the API server's time from those that still wait.
const USED_AGE_IN_BURST: Duration = Duration::from_secs(60);

/// Makes the cluster agree with one Team at a time.
pub struct TeamReconciler {
    client: kube::Client,
    teams: Api<Team>,
    all_teams: Store<Team>,
    caches: Caches,
    made: Made,
    waiting: Waiting,
    /// Since when nothing but the use of their quota has changed.
    used: Waiting,
    /// What is out and still in a status.
    sent: Sent,
    relay: Relay,
    accounts: Option<Accounts>,
    /// When quotas at their limit were counted.
    counted: Counted,
    works: Works,
    references: References,
    recorder: Recorder,
    site: Site,
}

impl TeamReconciler {
    /// Works through `client` on what `caches` show; `all_teams` decides between rivals.
    pub fn new(
        client: kube::Client,
        all_teams: Store<Team>,
        caches: Caches,
        relay: Relay,
        accounts: Option<Accounts>,
        site: Site,
    ) -> Self {
        let teams = Api::all(client.clone());
        let recorder = Recorder::new(client.clone(), SERVICE);
        let (made, waiting, used) = (Made::default(), Waiting::default(), Waiting::default());
        let sent = Sent::default();
        let (counted, works, references) = (Counted::default(), Works::default(), References::default());
        Self {
            client,
            teams,
            all_teams,
            caches,
            made,
            waiting,
            used,
            sent,
            relay,
            accounts,
            counted,
            works,
            references,
            recorder,
            site,
        }
    }

    /// Makes what is declared true, as far as it can be now.
    async fn isolate(&self, team: &Team) -> Result<Outcome, Error> {
        let team = &*self.attainable(team).await?;
        let declared = match model::declare(team, &self.site) {
            Ok(declared) => declared,
            Err(problems) => return Ok(Outcome::Invalid(problems)),
        };
        let obstacles = self.obstacles(team, &declared).await?;
        if !obstacles.is_empty() {
            return Ok(Outcome::Obstructed(obstacles));
        }
        let observed = self.observed(team);
        let leaving = self.leftovers(team, &declared.namespace_names()).await?;
        let around = self.surroundings(team, &declared, &observed, &leaving).await?;
        let plan = plan::plan(objects::of(&declared, &around), &observed);
        if !plan.steps.is_empty() {
            self.accounts.iter().for_each(Accounts::isolating);
            tracing::info!(steps = plan.steps.len(), waits = plan.waits.len(), "carrying out a plan");
            tracing::debug!(%plan, "plan");
        }
        self.carry_out(&declared, &plan, &observed).await?;
        self.works.note(declared.name.as_str(), &plan, &observed, report::is_established(team));
        if !plan.waits.is_empty() {
            return Ok(Outcome::WaitingForQuota(plan.waits.into_iter().collect()));
        }
        let all: Vec<_> = declared.namespace_names().into_iter().chain(leaving.iter().cloned()).collect();
        if declared.phase == OffboardingPhase::Suspended {
            return self.suspended(&all).await;
        }
        if team.status.as_ref().is_some_and(|status| status.offboarding.is_some()) {
            self.resume_work(&all).await?;
        }
        if leaving.is_empty() { Ok(Outcome::Isolated) } else { self.sweep(leaving).await }
    }

    /// Rights are cut; what still works is stopped, in namespaces that left the declaration, too.
    async fn suspended(&self, namespaces: &[String]) -> Result<Outcome, Error> {
        let pods = self.stop_work(namespaces).await?;
        Ok(if pods > 0 { Outcome::Stopping(pods) } else { Outcome::Retained(String::new()) })
    }

    /// What keeps the team from its namespaces.
    async fn obstacles(&self, team: &Team, declared: &DeclaredTeam) -> Result<Vec<claims::Obstacle>, Error> {
        let claimant = observe::claimant(team);
        let existing = self.existing(team, &claimant.namespaces).await?;
        let mut obstacles = self.claimed(&claimant, &existing);
        if obstacles.is_empty() {
            for (name, _) in existing.iter().filter(|(_, entry)| entry.team.is_none()) {
                let (_, hindrances) = adopt::look(&self.client, declared, name).await?;
                obstacles.extend(hindrances.into_iter().map(|why| claims::Obstacle::Hindered { why }));
            }
        }
        Ok(obstacles)
    }

    /// The team without those opened namespaces that it cannot have at the moment: what a member opens must not
    /// keep what is declared from being made true.
    async fn attainable<'a>(&self, team: &'a Team) -> Result<Cow<'a, Team>, Error> {
        let obstructed = self.obstructed(team).await?;
        if obstructed.is_empty() {
            return Ok(Cow::Borrowed(team));
        }
        let names: Vec<_> = obstructed.into_iter().map(|(name, _)| name).collect();
        Ok(opening::without(team, &names).map_or(Cow::Borrowed(team), Cow::Owned))
    }

    /// Opened namespaces that the team cannot have at the moment, with what is in the way.
    async fn obstructed(&self, team: &Team) -> Result<Vec<(String, claims::Obstacle)>, Error> {
        let mut obstructed = Vec::new();
        for opened in opening::opened(team) {
            let claimant = Claimant { namespaces: vec![opened.name.clone()], ..observe::claimant(team) };
            let existing = self.existing(team, &claimant.namespaces).await?;
            let obstacles = self.claimed(&claimant, &existing).into_iter();
            obstructed.extend(obstacles.map(|obstacle| (opened.name.clone(), obstacle)));
        }
        Ok(obstructed)
    }

    /// What others hold of what a team claims, or claimed before.
    fn claimed(&self, claimant: &Claimant, existing: &BTreeMap<String, Existing>) -> Vec<claims::Obstacle> {
        let free: Vec<_> = claimant.namespaces.iter().filter(|name| !existing.contains_key(*name)).collect();
        let mut rivals = Vec::new();
        if !free.is_empty() {
            let others =
                self.all_teams.state_filter(|other| free.iter().any(|name| observe::wants(other, name)));
            rivals.extend(others.iter().map(|other| observe::claimant(other)));
        }
        let mut obstacles = claims::obstacles(claimant, &rivals, existing);
        obstacles.extend(self.caches.around.reserved(claimant, &free));
        obstacles
    }

    /// After how long the team is looked at again where no watch event says so before.
    fn next_look(&self, team: &Team, outcome: &Outcome) -> Option<Duration> {
        let name = team.name_any();
        let blocked =
            matches!(outcome, Outcome::RemovalBlocked(_) | Outcome::LeftoverInUse(_) | Outcome::Stopping(_));
        let reasons = [
            blocked.then_some(BLOCKED_AGAIN),
            self.caches.around.signals.denials.due_in(&name).map(|due| due.max(LOOK_AGAIN)),
            (self.used.is_waiting(&name) || self.sent.has(&name)).then(|| self.used_age()),
            self.caches.recent.is_lagging(&name).then_some(LOOK_AGAIN),
            self.exemption_ends(team),
            // A Team that is deleted and kept goes when its retention is over.
            (team.metadata.deletion_timestamp.is_some() && matches!(outcome, Outcome::Retained(_)))
                .then_some(BLOCKED_AGAIN),
            has_refused_hosts(team).then_some(HOSTS_AGAIN),
        ];
        reasons.into_iter().flatten().min()
    }

    /// How old the use of a quota in a status may become at the moment.
    fn used_age(&self) -> Duration {
        if self.is_burst() { USED_AGE_IN_BURST } else { USED_AGE }
    }

    /// How long a team waits for its quota before that is said.
    fn patience(&self) -> Duration {
        if self.is_burst() { PATIENCE_IN_BURST } else { PATIENCE }
    }

    /// Whether many teams are being isolated at the moment.
    fn is_burst(&self) -> bool {
        self.accounts.as_ref().is_some_and(Accounts::is_burst)
    }

    /// Whether facts of the team stay in its status for a while after they are out.
    fn keeps_sent(&self, team: &Team) -> bool {
        team.metadata.deletion_timestamp.is_none() && self.is_burst()
    }

    /// Hands recorded facts to the broker; done when it has acknowledged and they are trimmed, or noted as out.
    async fn publish(&self, team: &Team) -> Result<(), Error> {
        let facts = team.status.as_ref().map(|status| status.outbox.pending.as_slice()).unwrap_or_default();
        if facts.is_empty() {
            return Ok(());
        }
        if self.keeps_sent(team) {
            self.relay.flush(&self.sent.outbox(&team.name_any(), facts)).await?;
            return Ok(());
        }
        let outbox = StatusOutbox::of(self.teams.clone(), SERVICE, team)?;
        self.relay.flush(&outbox).await?;
        Ok(())
    }

    /// The facts are out and nothing is left: the Team may go, unless a fact is still waiting.
    async fn release(&self, team: &Team) -> Result<(), Error> {
        let name = team.name_any();
        let Some(newest) =
            self.teams.get_opt(&name).await.map_err(|source| {
                Error::from(mlp_reconcile::Error::of(format!("read Team {name}"), source))
            })?
        else {
            return Ok(());
        };
        let outbox = StatusOutbox::of(self.teams.clone(), SERVICE, &newest)?;
        if !outbox.pending(1).await?.is_empty() {
            self.relay.flush(&outbox).await?;
            return Err(Error::NamespaceAppeared(name));
        }
        if let Some(accounts) = &self.accounts {
            accounts.revoke(&newest).await?;
        }
        self.bury(&newest).await?;
        self.caches.recent.forget(&name);
        Ok(finalizer::remove(&self.teams, SERVICE, &newest, &labels::finalizer(SERVICE)).await?)
    }
}

/// How long it is until a moment has passed by everybody's clock.
fn past(end: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(now)).unwrap_or_default() + Duration::from_secs(1)
}

/// As the look that has just ended found it.
fn has_refused_hosts(team: &Team) -> bool {
    let written = team.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions::find(written, notes::HOSTS).is_some_and(|found| found.status == Status::False.as_str())
}

impl Reconciler<Team> for TeamReconciler {
    type Error = Error;

    async fn reconcile(&self, team: Arc<Team>) -> Result<Next, Error> {
        let leaving = team.metadata.deletion_timestamp.is_some();
        let finalizer = labels::finalizer(SERVICE);
        if leaving && !finalizer::has(&*team, &finalizer) {
            return Ok(Next::Done);
        }
        let team = finalizer::ensure(&self.teams, SERVICE, team, &finalizer).await?;
        let looked = if leaving { self.remove(&team).await } else { self.isolate(&team).await };
        let outcome = match looked {
            Ok(outcome) => outcome,
            Err(error) => return Err(self.report_failure(team, error).await),
        };
        match outcome {
            Outcome::WaitingForQuota(_) if self.waiting.waits(&team.name_any()) < self.patience() => {
                return Ok(Next::After(PATIENCE));
            }
            Outcome::WaitingForQuota(_) => {}
            _ => self.waiting.stops(&team.name_any()),
        }
        let team = self.report(team, &outcome).await?;
        self.publish(&team).await?;
        if matches!(outcome, Outcome::Removed) {
            return self.release(&team).await.map(|()| Next::Done);
        }
        Ok(self.next_look(&team, &outcome).map_or(Next::Done, Next::After))
    }

    async fn absent(&self, key: &mlp_reconcile::ObjectRef<Team>) -> Result<(), Error> {
        self.caches.recent.forget(&key.name);
        self.made.forget(&key.name);
        self.waiting.stops(&key.name);
        self.used.stops(&key.name);
        self.sent.forget(&key.name);
        self.caches.around.signals.denials.forget(&key.name);
        self.references.forget(&key.name);
        self.works.forget(&key.name);
        Ok(())
    }
}
