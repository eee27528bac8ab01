//! What is said about a team: status, facts and Events, from one outcome.
//!
//! A fact enters the outbox in the same write as the transition that it speaks of.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use mlp_crds::team::{
    NamespaceStatus, OffboardingSpec, OffboardingStatus, OffboardingStep, QuotaStatus, TeamStatus,
};
use mlp_crds::{Condition, Team};
use mlp_model::{Class, Classified as _};
use mlp_reconcile::conditions::{self, Finding, READY};
use mlp_reconcile::status;
use serde_json::Value;

use super::TeamReconciler;
use super::work::Work;
use crate::domain::notes::{self, Note};
use crate::domain::objects::quota::{NAME, RECOUNT};
use crate::domain::objects::{Key, Kind};
use crate::domain::outcome::{self, Happened, InForce, Outcome, Said};
use crate::domain::plan::Observed;
use crate::domain::{SERVICE, model, offboarding, opening};
use crate::error::Error;
use crate::events::publish;

/// Carries the last generation that was declared to the platform.
const DECLARED: &str = "Declared";
/// Carries the last generation that was in force.
pub(super) const ISOLATED: &str = "Isolated";
/// True once the removal was stated.
const REMOVED: &str = "Removed";
/// False while an incident of the team is open.
const HEALTHY: &str = "Healthy";

impl TeamReconciler {
    /// Writes what was found, where it differs from what is written; returns the team as it is now.
    pub(super) async fn report(&self, team: Arc<Team>, outcome: &Outcome) -> Result<Arc<Team>, Error> {
        let generation = team.metadata.generation.unwrap_or_default();
        let now = Timestamp::now();
        let mut next = team.status.clone().unwrap_or_default();
        let in_force = self.in_force(&team, outcome);
        next.observed_generation = Some(generation);
        next.quota = in_force.quota.clone();
        next.namespaces = in_force.namespaces.clone();
        self.set_health(&team, &mut next, now);
        let mut news = self.news(&team, outcome, &mut next);
        let outcome = &self.step_out(&team, outcome, &mut next, &mut news, now);
        let ready = Finding::new(READY, outcome.is_ready(), outcome.reason(), outcome.message());
        conditions::set(&mut next.conditions, ready, Some(generation), now);
        for note in self.notes(&team, &in_force).await? {
            let known = conditions::find(&next.conditions, note.kind).is_some();
            let was_near = conditions::is_true(&next.conditions, notes::NEAR_LIMIT, None);
            if note.kind == notes::NEAR_LIMIT && note.holds && !was_near {
                news.facts.push(Happened::NearLimit);
            }
            if note.matters || known {
                let finding = Finding::new(note.kind, note.holds, note.reason, note.message);
                conditions::set(&mut next.conditions, finding, Some(generation), now);
            }
        }
        let facts = outcome::facts(outcome, generation, said(&next.conditions));
        news.before = said(&next.conditions).isolated;
        for fact in facts.iter().chain(&news.facts) {
            let draft = publish::draft(*fact, &team, &in_force, &news.told(&next), self.site.environment);
            let cause = mlp_reconcile::current_traceparent();
            if let Err(full) = next.outbox.record(draft, now.to_string(), cause) {
                // Make room with what is recorded already; the transition waits for the next look.
                self.publish(&team).await?;
                return Err(full.into());
            }
            if let Some(finding) = stated(*fact) {
                conditions::set(&mut next.conditions, finding, Some(generation), now);
            }
        }
        let name = team.name_any();
        let keeps_sent = self.keeps_sent(&team);
        if !keeps_sent {
            self.sent.take_from(&name, &mut next.outbox.pending);
        }
        if only_use_differs(team.status.as_ref(), &next) && self.used.waits(&name) < self.used_age() {
            return Ok(team);
        }
        self.used.stops(&name);
        let before = ready_of(team.status.as_ref());
        let team = status::write(&self.teams, SERVICE, team, &next).await?;
        if !keeps_sent {
            self.sent.forget(&name);
        }
        if outcome.is_ready() {
            self.works.forget(&name);
        }
        if news.facts.contains(&Happened::Denied) {
            self.caches.around.signals.denials.stated(&name, &next.denials);
        }
        if before != ready_of(Some(&next)) {
            self.say(&team, outcome).await;
        }
        Ok(team)
    }

    /// Says why a look failed, where that will not pass by itself; returns the error to act on.
    pub(super) async fn report_failure(&self, team: Arc<Team>, error: Error) -> Error {
        if error.class() != Class::Terminal {
            return error;
        }
        self.recorder.failed(&*team, "Isolate", &error).await;
        let generation = team.metadata.generation;
        let mut next = team.status.clone().unwrap_or_default();
        next.observed_generation = generation;
        conditions::set(&mut next.conditions, Finding::failed(READY, &error), generation, Timestamp::now());
        match status::write(&self.teams, SERVICE, team, &next).await {
            Ok(_) => error,
            Err(failed) => failed.into(),
        }
    }

    async fn say(&self, team: &Team, outcome: &Outcome) {
        let (reason, message) = (outcome.reason(), outcome.message());
        let action = if team.metadata.deletion_timestamp.is_some() { "Remove" } else { "Isolate" };
        if outcome.is_warning() {
            self.recorder.warning(team, reason, action, message).await;
        } else if !matches!(outcome, Outcome::WaitingForQuota(_)) {
            self.recorder.normal(team, reason, action, message).await;
        }
    }

    /// Shows the team's open incidents; the condition appears with the first one.
    fn set_health(&self, team: &Team, next: &mut TeamStatus, now: Timestamp) {
        let open = self.open_incidents(&team.name_any());
        let finding = match open.as_slice() {
            [] if conditions::find(&next.conditions, HEALTHY).is_none() => return,
            [] => Finding::new(HEALTHY, true, "NoOpenIncident", "no incident of the team is open"),
            titles => Finding::new(HEALTHY, false, "IncidentOpen", titles.join("; ")),
        };
        conditions::set(&mut next.conditions, finding, team.metadata.generation, now);
    }

    /// Notes the step of the way out that is reached, or that the team is back; gives the outcome with the
    /// end of the retention in it.
    fn step_out(
        &self,
        team: &Team,
        outcome: &Outcome,
        next: &mut TeamStatus,
        news: &mut News,
        now: Timestamp,
    ) -> Outcome {
        let known = next.offboarding.clone().unwrap_or_default();
        let pods = match outcome {
            Outcome::Stopping(pods) => *pods,
            Outcome::Retained(_) => 0,
            Outcome::Removing(_) if known.step == OffboardingStep::Retained => {
                let step = OffboardingStep::Purging;
                next.offboarding = Some(OffboardingStatus { step, since: Some(now.to_string()), ..known });
                news.facts.push(Happened::Offboarding);
                return outcome.clone();
            }
            outcome if outcome.is_ready() => {
                if next.offboarding.take().is_some() {
                    news.facts.push(Happened::Offboarding);
                }
                return outcome.clone();
            }
            outcome => return outcome.clone(),
        };
        let hours = team.spec.offboarding.as_ref().map(|spec| spec.retention_hours);
        let hours = hours.unwrap_or(OffboardingSpec::DEFAULT_RETENTION_HOURS);
        let reached = offboarding::advance(&known, offboarding::Seen { cut: true, pods }, hours, now);
        if reached.step != known.step {
            news.facts.push(Happened::Offboarding);
        }
        let until = reached.retained_until.clone();
        next.offboarding = Some(reached);
        match (outcome, until) {
            (Outcome::Retained(_), Some(until)) => Outcome::Retained(until),
            (outcome, _) => outcome.clone(),
        }
    }

    /// What happened beside the way in and out, and is news.
    fn news(&self, team: &Team, outcome: &Outcome, next: &mut TeamStatus) -> News {
        let name = team.name_any();
        let mut news = News {
            work: if outcome.is_ready() { self.works.of(&name) } else { Work::default() },
            ..News::default()
        };
        if !news.work.repairs.is_empty() {
            news.facts.push(Happened::Repaired);
        }
        if news.work.moved_quota {
            news.facts.push(Happened::Rebalanced);
        }
        if let Some(denials) = self.caches.around.signals.denials.news(&name, &next.denials) {
            next.denials = denials;
            news.facts.push(Happened::Denied);
        }
        news
    }

    /// What the team should know beside whether it is isolated.
    async fn notes(&self, team: &Team, in_force: &InForce) -> Result<Vec<Note>, Error> {
        let Ok(declared) = model::declare(team, &self.site) else { return Ok(Vec::new()) };
        let quota = in_force.quota.clone().unwrap_or_default();
        let around = self.originals(team);
        let missing = self.missing_references(&declared).await?;
        let obstructed = self.obstructed(team).await?;
        Ok(vec![
            notes::opened(opening::opened(team).count(), &obstructed),
            notes::references(&missing),
            notes::hosts(&declared.ingress.hosts, &self.refused_hosts(team)),
            notes::copies(declared.copies.len(), &around.missing(&declared.copies)),
            notes::covers(&declared.quota, &quota),
            notes::near_limit(&quota),
            notes::network(declared.network.is_some(), &self.caches.around.signals.enforcer.network()),
        ])
    }

    /// The team's namespaces and quota as they are.
    fn in_force(&self, team: &Team, outcome: &Outcome) -> InForce {
        let counts = |kind| matches!(kind, Kind::Namespace | Kind::ResourceQuota);
        let observed = self.observed_of(team, counts);
        let recorded = team.status.iter().flat_map(|status| status.namespaces.clone());
        if matches!(outcome, Outcome::Removing(_) | Outcome::Removed) {
            // What the team had, for the fact of its removal.
            let had = recorded.map(|namespace| NamespaceStatus { ready: false, ..namespace });
            return InForce { namespaces: had.collect(), quota: None };
        }
        if matches!(outcome, Outcome::Obstructed(_) | Outcome::Invalid(_)) {
            // Whose the namespaces are was not found out: what is recorded stays, and a label proves nothing.
            let quota = team.status.as_ref().and_then(|status| status.quota.clone());
            let had = recorded.map(|namespace| NamespaceStatus { ready: false, ..namespace });
            return InForce { namespaces: had.collect(), quota };
        }
        let live = observed.live.iter().filter(|(key, _)| key.kind == Kind::Namespace);
        let namespaces = live.map(|(key, value)| NamespaceStatus {
            name: key.name.clone(),
            uid: text(value, "/metadata/uid").unwrap_or_default(),
            ready: outcome.is_ready() && observed.quota_in_force.contains(&key.name),
            environment: text(value, "/metadata/labels/environment").unwrap_or_default(),
            quota: total(&observed, |quota| quota.namespace == key.name),
        });
        InForce { namespaces: namespaces.collect(), quota: total(&observed, |_| true) }
    }
}

/// News for the facts of one report.
#[derive(Default)]
struct News {
    facts: Vec<Happened>,
    work: Work,
    /// The generation that was in force before.
    before: Option<i64>,
}

impl News {
    /// As the facts tell it.
    fn told(&self, next: &TeamStatus) -> publish::Told {
        publish::Told {
            changes: self.work.changes.clone(),
            repairs: self.work.repairs.clone(),
            before: self.before.unwrap_or_default(),
            denials: next.denials.clone(),
            offboarding: next.offboarding.clone().unwrap_or_default(),
        }
    }
}

/// Whether the status differs from what is written in nothing but how much of the quota is used.
fn only_use_differs(maybe_written: Option<&TeamStatus>, next: &TeamStatus) -> bool {
    let without_use = |status: &TeamStatus| {
        let mut status = status.clone();
        let parts = status.namespaces.iter_mut().filter_map(|namespace| namespace.quota.as_mut());
        parts.chain(status.quota.as_mut()).for_each(|quota| quota.used.clear());
        status
    };
    maybe_written.is_some_and(|written| written != next && without_use(written) == without_use(next))
}

/// The sum of those parts of the quota that `wanted` picks.
fn total(observed: &Observed, wanted: impl Fn(&Key) -> bool) -> Option<QuotaStatus> {
    let parts = observed.live.iter().filter(|(key, _)| key.kind == Kind::ResourceQuota && key.name == NAME);
    let quotas: Vec<_> = parts.filter(|(key, _)| wanted(key)).collect();
    let sum = |path: &str| {
        let maps = quotas.iter().filter_map(|(_, value)| value.pointer(path)?.as_object());
        let pairs = maps.flatten().filter(|(key, _)| !["resourcequotas", RECOUNT].contains(&key.as_str()));
        outcome::total_quota(pairs.filter_map(|(key, amount)| Some((key.as_str(), amount.as_str()?))))
    };
    let quota = QuotaStatus { hard: sum("/status/hard"), used: sum("/status/used") };
    (!quota.hard.is_empty()).then_some(quota)
}

fn said(written: &[Condition]) -> Said {
    let generation =
        |kind| conditions::find(written, kind).and_then(|condition| condition.observed_generation);
    Said {
        declared: generation(DECLARED),
        isolated: generation(ISOLATED),
        removed: conditions::is_true(written, REMOVED, None),
    }
}

/// Whether the team ever had what it declared.
pub(super) fn was_isolated(team: &Team) -> bool {
    team.status.as_ref().is_some_and(|status| said(&status.conditions).isolated.is_some())
}

/// The condition by which a fact that is stated once for a generation is remembered.
fn stated(fact: Happened) -> Option<Finding> {
    Some(match fact {
        Happened::Declared => Finding::new(DECLARED, true, "TeamDeclared", "this generation was accepted"),
        Happened::Isolated => Finding::new(ISOLATED, true, "TeamIsolated", "this generation was in force"),
        Happened::Removed => Finding::new(REMOVED, true, "TeamRemoved", "nothing of the team is left"),
        _ => return None,
    })
}

/// Whether the team was isolated as it is declared now.
pub(super) fn is_established(team: &Team) -> bool {
    let conditions = team.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions::is_true(conditions, READY, team.metadata.generation)
}

/// What an Event would repeat: status, reason and message of `Ready`.
fn ready_of(maybe_status: Option<&TeamStatus>) -> Option<(String, String, String)> {
    let condition = conditions::find(&maybe_status?.conditions, READY)?;
    Some((condition.status.clone(), condition.reason.clone(), condition.message.clone()))
}

fn text(value: &Value, path: &str) -> Option<String> {
    value.pointer(path)?.as_str().map(str::to_owned)
}
