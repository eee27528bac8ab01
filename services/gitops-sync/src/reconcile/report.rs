//! What is said about an Application: its status as Argo CD writes it, and the facts that follow, in
//! the outbox of the companion record.
//!
//! The record is written first: a crash between the two leaves a status that leads to the same
//! statement, which the record then knows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use mlp_crds::argocd::ApplicationStatus;
use mlp_crds::{Application, ApplicationRecord, ApplicationRecordSpec};
use mlp_model::labels;
use mlp_reconcile::conditions::{Finding, SIMULATED};
use mlp_reconcile::{StatusOutbox, conditions, status};
use serde_json::json;

use super::ApplicationReconciler;
use crate::domain::revision;
use crate::domain::statement::{self, Seen, Statement};
use crate::domain::status::{Outcome, build, differing};
use crate::domain::{REFRESH, SERVICE};
use crate::error::Error;
use crate::events::publish;

/// History kept where the spec could not be read.
const HISTORY: usize = 10;

/// Objects named in one Event.
const NAMED: usize = 5;

/// The last fact of each record that the broker has and the record no longer holds.
#[derive(Default)]
pub(super) struct Published(Mutex<HashMap<String, u64>>);

impl Published {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reached(&self, uid: &str, version: u64) -> bool {
        self.lock().get(uid).is_some_and(|last| *last >= version)
    }

    fn reach(&self, uid: &str, version: u64) {
        self.lock().insert(uid.to_owned(), version);
    }

    pub(super) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }
}

impl ApplicationReconciler {
    /// Writes what was found, where it differs from what is written; returns the Application as it is
    /// now.
    pub(super) async fn report(
        &self,
        application: Arc<Application>,
        outcome: &Outcome,
        history: Option<usize>,
    ) -> Result<Arc<Application>, Error> {
        self.report_with(application, outcome, history.unwrap_or(HISTORY), true).await
    }

    /// Writes that an operation begins. Of an Application of which nothing was stated yet, nothing is before it
    /// shows what comes of the operation: that saves each new one three of its dearest writes.
    pub(super) async fn report_begin(
        &self,
        application: Arc<Application>,
        outcome: &Outcome,
        history: usize,
    ) -> Result<Arc<Application>, Error> {
        let uid = application.uid().unwrap_or_default();
        let record = self.caches.record(&application.namespace().unwrap_or_default(), &uid);
        let states = record.is_some_and(|record| record.status.is_some());
        self.report_with(application, outcome, history, states).await
    }

    async fn report_with(
        &self,
        application: Arc<Application>,
        outcome: &Outcome,
        history: usize,
        states: bool,
    ) -> Result<Arc<Application>, Error> {
        let now = Timestamp::now();
        let previous = application.status.clone().unwrap_or_default();
        let next = build(&application.spec, &previous, outcome, history, now);
        if states {
            self.state(&application, &next, outcome, now).await?;
        }
        let api = self.namespaced(&application);
        Ok(status::write(&api, SERVICE, application, &next).await?)
    }

    /// Moves the record on, states what follows, and publishes it.
    async fn state(
        &self,
        application: &Application,
        next: &ApplicationStatus,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), Error> {
        let record = self.record(application).await?;
        let mut stated = record.status.clone().unwrap_or_default();
        let generation = application.metadata.generation.unwrap_or_default();
        // What was only tried is not what is compared.
        let picture = outcome.picture.as_ref().filter(|_| !outcome.rehearses);
        let content = picture.map(|picture| picture.content.as_str());
        let seen = Seen { status: next, content, generation, now };
        let statements = statement::advance(&mut stated, seen);
        simulated(&mut stated.conditions, outcome.simulated, generation, now);
        let cause = mlp_reconcile::current_traceparent();
        for statement in &statements {
            let team = self.team(application);
            let draft = publish::draft(statement, application, next, team);
            if let Err(full) = stated.outbox.record(draft, now.to_string(), cause.clone()) {
                self.publish(&record).await?;
                return Err(full.into());
            }
        }
        let api = self.records(application);
        let record = status::write(&api, SERVICE, Arc::new(record), &stated).await?;
        for statement in &statements {
            self.say(application, next, statement).await;
        }
        self.publish(&record).await
    }

    /// Tells whoever looks at the Application with kubectl what was stated.
    async fn say(&self, application: &Application, status: &ApplicationStatus, statement: &Statement) {
        let revision = status.sync.as_ref().and_then(revision::compared).unwrap_or_default();
        match statement {
            Statement::Synced => {
                let note = format!("live is as git says at {revision}");
                self.recorder.normal(application, "OperationCompleted", "Sync", note).await;
            }
            Statement::Failed { reason, message } => {
                self.recorder.warning(application, reason, "Sync", message.as_str()).await;
            }
            Statement::HealthChanged { previous, current } => {
                let before = previous.as_deref().unwrap_or("not known");
                let note = format!("health is {current}, was {before}");
                self.recorder.normal(application, "ResourceUpdated", "Observe", note).await;
            }
            Statement::Drifted => {
                let drifted: Vec<_> = differing(status).collect();
                let named = drifted.iter().take(NAMED).map(|one| format!("{} {}", one.kind, one.name));
                let named = named.collect::<Vec<_>>().join(", ");
                let note = format!("{} objects differ from git at {revision}: {named}", drifted.len());
                self.recorder.warning(application, "DriftDetected", "Observe", note).await;
            }
            // What follows is said, too.
            Statement::Observed { .. } | Statement::Healed { .. } => {}
        }
    }

    /// The Application's record, made where there is none.
    async fn record(&self, application: &Application) -> Result<ApplicationRecord, Error> {
        let (namespace, uid) =
            (application.namespace().unwrap_or_default(), application.uid().unwrap_or_default());
        if let Some(record) = self.caches.record(&namespace, &uid) {
            return Ok(record);
        }
        let api = self.records(application);
        let action = || format!("make ApplicationRecord {uid}");
        let spec = ApplicationRecordSpec { name: application.name_any(), uid: uid.clone() };
        let mut record = ApplicationRecord::new(&uid, spec);
        record.labels_mut().insert(labels::MANAGED_BY.into(), SERVICE.into());
        let params = PostParams { field_manager: Some(SERVICE.into()), ..PostParams::default() };
        match api.create(&params, &record).await {
            // The cache is behind.
            Err(kube::Error::Api(status)) if status.code == 409 => api.get(&uid).await,
            made => made,
        }
        .map_err(|source| Error::call(action(), source))
    }

    /// Hands waiting facts to the broker. A record that the cache shows from before its facts were
    /// trimmed is not published again.
    async fn publish(&self, record: &ApplicationRecord) -> Result<(), Error> {
        let pending = record.status.iter().flat_map(|status| &status.outbox.pending);
        let Some(last) = pending.map(|fact| fact.version).max() else { return Ok(()) };
        let uid = record.spec.uid.as_str();
        if self.published.reached(uid, last) {
            return Ok(());
        }
        let api = Api::namespaced(self.client.clone(), &record.namespace().unwrap_or_default());
        let outbox = StatusOutbox::of(api, SERVICE, record)?;
        self.relay.flush(&outbox).await?;
        self.published.reach(uid, last);
        Ok(())
    }

    /// Takes what was asked for off the Application: the operation once its state is written, and the
    /// refresh annotation once the repository was asked.
    pub(super) async fn take_off(
        &self,
        application: &Application,
        operation: bool,
        refresh: bool,
    ) -> Result<(), Error> {
        let annotations = if refresh { json!({REFRESH: null}) } else { json!({}) };
        let metadata = json!({"resourceVersion": application.resource_version(), "annotations": annotations});
        let body = if operation {
            json!({"metadata": metadata, "operation": null})
        } else {
            json!({"metadata": metadata})
        };
        let params = PatchParams { field_manager: Some(SERVICE.into()), ..PatchParams::default() };
        let name = application.name_any();
        let patched = self.namespaced(application).patch(&name, &params, &Patch::Merge(&body)).await;
        patched
            .map(|_| ())
            .map_err(|source| Error::call(format!("take what was asked for off Application {name}"), source))
    }

    fn records(&self, application: &Application) -> Api<ApplicationRecord> {
        Api::namespaced(self.client.clone(), &application.namespace().unwrap_or_default())
    }

    /// The team that an Application's facts concern: that of its destination, else of its own
    /// namespace, else the platform.
    fn team(&self, application: &Application) -> String {
        let own = application.namespace().unwrap_or_default();
        let destination = application.spec.destination.namespace.clone().unwrap_or_default();
        let team = self.caches.team_of(&destination).or_else(|| self.caches.team_of(&own));
        team.unwrap_or_else(|| mlp_model::name::PLATFORM.to_owned())
    }
}

fn simulated(
    conditions: &mut Vec<mlp_crds::Condition>,
    pods: Option<(usize, usize)>,
    generation: i64,
    now: Timestamp,
) {
    match pods {
        Some((some, all)) if some > 0 => {
            let message = format!("{some} of {all} pods are on nodes that run nothing");
            conditions::set(
                conditions,
                Finding::new(SIMULATED, true, "SimulatedNodes", message),
                Some(generation),
                now,
            );
        }
        Some(_) => {
            conditions::remove(conditions, SIMULATED);
        }
        None => {}
    }
}
