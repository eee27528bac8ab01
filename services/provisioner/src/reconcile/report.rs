//! What is said about a request: status, facts and Events, from one outcome.

use std::sync::Arc;

use jiff::Timestamp;
use kube::Api;
use mlp_crds::cache::{Binding, Endpoint, Phase};
use mlp_crds::{Condition, DatabaseStatus};
use mlp_reconcile::conditions::{self, Finding, READY, SIMULATED};
use mlp_reconcile::status;

use super::{Request, RequestReconciler};
use crate::domain::SERVICE;
use crate::domain::aws::identifier;
use crate::domain::model::{ProviderName, Wish};
use crate::domain::outcome::{Happened, Outcome, Said};
use crate::domain::plan::State;
use crate::error::Error;
use crate::events::publish::{self, Subject};

/// Whether the namespace's team is isolated.
const TEAM_ISOLATED: &str = "TeamIsolated";
/// Carries the last generation that was announced as ready.
const ANNOUNCED: &str = "Announced";
/// True while the request cannot be met; carries the failure announced last.
const FAILED: &str = "ProvisioningFailed";
/// True once the deletion was stated.
const DELETED: &str = "Deleted";

impl RequestReconciler {
    /// Writes what was found, where it differs from what is written; returns the request as it is now.
    pub(super) async fn report<K: Request>(
        &self,
        api: &Api<K>,
        request: Arc<K>,
        wish: &Wish,
        outcome: &Outcome,
    ) -> Result<Arc<K>, Error> {
        let (generation, now) = (Some(wish.generation), Timestamp::now());
        let before = request.common_status();
        let mut next = before.clone();
        fill(&mut next, wish, outcome);
        let (reason, message) = outcome.words();
        let ready = Finding::new(READY, outcome.is_ready(), reason, message.clone());
        conditions::set(&mut next.conditions, ready, generation, now);
        for finding in findings(outcome, &next.conditions) {
            conditions::set(&mut next.conditions, finding, generation, now);
        }
        if let Some(happened) = outcome.fact(wish.generation, &said(&before.conditions)) {
            let team = self.parts.caches.team(&wish.namespace);
            let provider = ProviderName::of(wish.environment);
            let subject = Subject { wish, team: team.as_deref(), provider, flow: publish::flow(&*request) };
            let draft = publish::draft(&happened, &subject);
            if let Err(full) =
                next.outbox.record(draft, now.to_string(), mlp_reconcile::current_traceparent())
            {
                self.publish(api, &*request).await?;
                return Err(full.into());
            }
            conditions::set(&mut next.conditions, stated(&happened), generation, now);
        }
        let request = status::write(api, SERVICE, request, &next).await?;
        if ready_of(&before) != ready_of(&next) {
            self.say(&*request, outcome, reason, message).await;
        }
        Ok(request)
    }

    async fn say<K: Request>(&self, request: &K, outcome: &Outcome, reason: &str, message: String) {
        let troubled = matches!(
            outcome,
            Outcome::Refused { .. }
                | Outcome::Protected
                | Outcome::Provider(State::Failed { .. } | State::Simulated(_))
        );
        let action = if request.meta().deletion_timestamp.is_some() { "Delete" } else { "Provide" };
        if troubled {
            self.recorder.warning(request, reason, action, message).await;
        } else {
            self.recorder.normal(request, reason, action, message).await;
        }
    }
}

/// The status' own fields.
fn fill(next: &mut DatabaseStatus, wish: &Wish, outcome: &Outcome) {
    let provider = ProviderName::of(wish.environment);
    next.observed_generation = Some(wish.generation);
    // A provider that is busy: what was made stays made.
    next.phase = match (outcome, next.phase) {
        (Outcome::Delayed { .. }, Some(Phase::Ready | Phase::Updating)) => Some(Phase::Updating),
        (Outcome::Delayed { .. }, Some(Phase::Deleting)) => Some(Phase::Deleting),
        _ => Some(outcome.phase()),
    };
    next.provider = Some(provider.as_str().to_owned());
    if provider == ProviderName::Aws {
        next.external_id = Some(identifier(wish));
    }
    if !matches!(outcome, Outcome::WaitingForTeam(_)) {
        next.secret_name = Some(wish.full_name());
        next.binding = Some(Binding { name: wish.full_name() });
    }
    if let Some(running) = outcome.running() {
        let address = running.address.clone();
        next.endpoint = Some(Endpoint { host: address.host, port: address.port });
        next.running_version = Some(running.version.clone()).filter(|version| !version.is_empty());
    }
}

/// Conditions beside `Ready`. One that was never of interest is left out.
fn findings(outcome: &Outcome, written: &[Condition]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known = |kind| conditions::find(written, kind).is_some();
    match outcome {
        Outcome::WaitingForTeam(message) => {
            findings.push(Finding::new(TEAM_ISOLATED, false, "WaitingForTeam", message.clone()));
        }
        Outcome::Provider(_) if known(TEAM_ISOLATED) => {
            findings.push(Finding::new(
                TEAM_ISOLATED,
                true,
                "TeamIsolated",
                "the namespace's team is isolated",
            ));
        }
        _ => {}
    }
    match outcome {
        Outcome::Provider(State::Simulated(_)) => {
            findings.push(Finding::new(
                SIMULATED,
                true,
                "SimulatedNode",
                "the pod is on a node that runs nothing",
            ));
        }
        Outcome::Provider(State::Ready(_) | State::Creating(_)) if known(SIMULATED) => {
            findings.push(Finding::new(SIMULATED, false, "RealNode", "the pod is not on a simulated node"));
        }
        _ => {}
    }
    if outcome.is_ready() && known(FAILED) {
        findings.push(Finding::new(FAILED, false, "Provided", "the request is met"));
    }
    findings
}

fn said(written: &[Condition]) -> Said {
    let failed = conditions::find(written, FAILED).filter(|condition| condition.status == "True");
    Said {
        ready: conditions::find(written, ANNOUNCED).and_then(|condition| condition.observed_generation),
        failed: failed.and_then(|condition| Some((condition.observed_generation?, condition.reason.clone()))),
        deleted: conditions::is_true(written, DELETED, None),
    }
}

fn stated(happened: &Happened) -> Finding {
    match happened {
        Happened::Ready(_) => Finding::new(ANNOUNCED, true, "Ready", "this generation was ready"),
        Happened::Failed { reason, message } => Finding::new(FAILED, true, reason.as_str(), message.as_str()),
        Happened::Deleted { .. } => {
            Finding::new(DELETED, true, "Deleted", "nothing is left but what was kept")
        }
    }
}

fn ready_of(status: &DatabaseStatus) -> Option<(String, String)> {
    let condition = conditions::find(&status.conditions, READY)?;
    Some((condition.reason.clone(), condition.message.clone()))
}
