//! Writes what was decided: incidents opened, updated, closed and forgotten; the team's record.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Api, DeleteParams, ObjectMeta, Preconditions};
use kube::{Client, ResourceExt};
use mlp_bus::Relay;
use mlp_crds::incident::IncidentState;
use mlp_crds::{HealthRecord, HealthRecordSpec, Incident, IncidentSpec, IncidentStatus, Team};
use mlp_model::outbox::OUTBOX_LIMIT;
use mlp_model::{Flow, labels};
use mlp_reconcile::conditions::{self, Finding};
use mlp_reconcile::{Applier, Recorder, StatusOutbox, status};

use crate::domain::{Health, Judged, incident, record, team as sum};
use crate::error::Error;
use crate::events::publish;

/// This service: field manager, finalizer and label value.
pub const SERVICE: &str = "health-monitor";

/// Writes for one service; cheap to clone.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    applier: Applier,
    recorder: Recorder,
    relay: Arc<Relay>,
}

impl Writer {
    /// A writer over the API server and the broker.
    pub fn new(client: Client, relay: Relay) -> Self {
        let applier = Applier::new(client.clone(), SERVICE);
        let recorder = Recorder::new(client.clone(), SERVICE);
        Self { client, applier, recorder, relay: Arc::new(relay) }
    }

    /// Opens an incident: makes the object, whose name repeats with the opening, then its first status.
    pub async fn open(
        &self,
        team: &Team,
        judged: &Judged,
        opened: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let fingerprint = incident::fingerprint(&judged.resource.kind, &judged.resource.uid);
        let name = incident::object_name(&fingerprint, opened);
        let verdict = &judged.verdict;
        let title = format!(
            "{} {} is {}: {}",
            judged.resource.kind,
            judged.resource.name,
            verdict.health.as_str(),
            verdict.reason
        );
        let desired = Incident {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some([(labels::TEAM.to_owned(), team.name_any())].into()),
                annotations: Some([(labels::TRACEPARENT.to_owned(), flow_of(team).traceparent())].into()),
                ..ObjectMeta::default()
            },
            spec: IncidentSpec {
                team: team.name_any(),
                resource: judged.resource.clone(),
                severity: incident::severity(&judged.resource.kind),
                title: title.chars().take(300).collect(),
                fingerprint,
            },
            status: None,
        };
        self.applier.apply(&desired).await?;
        let api: Api<Incident> = Api::all(self.client.clone());
        let live = api
            .get(&name)
            .await
            .map_err(|source| mlp_reconcile::Error::of(format!("read the incident {name}"), source))?;
        self.state(team, Arc::new(live), judged, Some(opened), now).await
    }

    /// Writes an open incident's status: its opening where that is not stated yet, else the news.
    pub async fn state(
        &self,
        team: &Team,
        live: Arc<Incident>,
        judged: &Judged,
        opened: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut next = live.status.clone().unwrap_or_default();
        // One that was closed and is opened again under its name is a new opening.
        let first = next.opened_at.is_none() || next.state == IncidentState::Closed;
        if first {
            next.opened_at = Some(opened.unwrap_or(now).to_string());
            next.closed_at = None;
        }
        next.state = IncidentState::Open;
        next.observed_generation = live.metadata.generation;
        next.reason = Some(judged.verdict.reason.clone());
        next.message = Some(judged.verdict.message.clone());
        next.evidence = vec![format!(
            "{} {} {}: {}",
            judged.verdict.health.as_str(),
            judged.resource.kind,
            judged.resource.name,
            judged.verdict.message
        )];
        let finding =
            Finding::new("Resolved", false, judged.verdict.reason.clone(), judged.verdict.message.clone());
        conditions::set(&mut next.conditions, finding, live.metadata.generation, now);
        if first {
            let draft = publish::incident_opened(&live, &next, &flow_of(team));
            next.outbox.record(draft, now.to_string(), publish::cause())?;
        }
        let written = self.write_incident(live, &next).await?;
        if first {
            let title = written.spec.title.clone();
            self.recorder.warning(&*written, "IncidentOpened", "Open", title).await;
        }
        self.flush_incident(&written).await
    }

    /// Closes an incident, with why.
    pub async fn close(
        &self,
        live: Arc<Incident>,
        reason: &str,
        message: &str,
        closed: Timestamp,
        flow: &Flow,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut next = live.status.clone().unwrap_or_default();
        next.state = IncidentState::Closed;
        next.observed_generation = live.metadata.generation;
        next.closed_at = Some(closed.to_string());
        next.reason = Some(reason.to_owned());
        next.message = Some(message.to_owned());
        conditions::set(
            &mut next.conditions,
            Finding::new("Resolved", true, reason, message),
            live.metadata.generation,
            now,
        );
        let draft = publish::incident_closed(&live, &next, flow);
        next.outbox.record(draft, now.to_string(), publish::cause())?;
        let written = self.write_incident(live, &next).await?;
        self.recorder.normal(&*written, "IncidentClosed", "Close", message).await;
        self.flush_incident(&written).await
    }

    /// Publishes what waits in the incident's outbox.
    pub async fn flush_incident(&self, live: &Incident) -> Result<(), Error> {
        let has_pending = live.status.as_ref().is_some_and(|status| !status.outbox.pending.is_empty());
        if has_pending {
            self.flush(StatusOutbox::of(Api::all(self.client.clone()), SERVICE, live)?).await?;
        }
        Ok(())
    }

    /// Deletes a closed incident that was kept long enough and whose facts are all published.
    pub async fn forget(&self, live: &Incident) -> Result<(), Error> {
        let api: Api<Incident> = Api::all(self.client.clone());
        let fence = Preconditions { resource_version: live.resource_version(), uid: live.uid() };
        self.delete(&api, &live.name_any(), fence).await
    }

    /// States the team's health: the record exists, lists every resource, and carries a fact for
    /// each change, as many as its outbox takes. Returns whether more are to be stated.
    pub async fn state_health(
        &self,
        team: &Team,
        live: Option<Arc<HealthRecord>>,
        judged: &[Judged],
        now: Timestamp,
    ) -> Result<bool, Error> {
        let Some(live) = live else {
            self.applier.apply(&empty_record(team)).await?;
            // The watch brings the new record, and with it the next look.
            return Ok(true);
        };
        let mut next = live.status.clone().unwrap_or_default();
        let changes = record::changes(&next, judged);
        let parts: Vec<_> = judged
            .iter()
            .filter(|judged| judged.answers)
            .map(|judged| sum::Part {
                object: format!(
                    "{}/{}/{}",
                    judged.resource.kind, judged.resource.namespace, judged.resource.name
                ),
                health: judged.verdict.health,
                reason: judged.verdict.reason.clone(),
            })
            .collect();
        let total = sum::add_up(&parts);
        let room = OUTBOX_LIMIT.saturating_sub(next.outbox.pending.len());
        let (stated, held_back) = changes.split_at(room.min(changes.len()));
        for change in stated {
            let draft = publish::health_changed(&live, change, total.health, &flow_of(team));
            next.outbox.record(draft, now.to_string(), publish::cause())?;
        }
        next.observed_generation = live.metadata.generation;
        next.health = total.health;
        next.healthy = count(total.counts.get(&Health::Healthy).copied().unwrap_or(0));
        next.not_healthy = count(parts.len()).saturating_sub(next.healthy);
        next.resources = record::entries(&next, judged, held_back);
        next.decided_by = judged
            .iter()
            .filter(|judged| {
                judged.answers && judged.verdict.health == total.health && total.health != Health::Healthy
            })
            .map(|judged| judged.resource.clone())
            .min();
        let simulated = judged.iter().any(|judged| judged.verdict.is_simulated());
        let finding =
            Finding::new("Simulated", simulated, if simulated { "SimulatedNodes" } else { "RealNodes" }, "");
        conditions::set(&mut next.conditions, finding, live.metadata.generation, now);
        let api: Api<HealthRecord> = Api::all(self.client.clone());
        let written = status::write(&api, SERVICE, live, &next).await?;
        if written.status.as_ref().is_some_and(|status| !status.outbox.pending.is_empty()) {
            self.flush(StatusOutbox::of(api, SERVICE, &written)?).await?;
        }
        Ok(!held_back.is_empty())
    }

    /// Deletes the record of a team that is gone, once its facts are published.
    pub async fn forget_record(&self, live: &HealthRecord) -> Result<(), Error> {
        let api: Api<HealthRecord> = Api::all(self.client.clone());
        self.flush(StatusOutbox::of(api.clone(), SERVICE, live)?).await?;
        let fence = Preconditions { resource_version: None, uid: live.uid() };
        self.delete(&api, &live.name_any(), fence).await
    }

    async fn delete<K: mlp_reconcile::controller::Object>(
        &self,
        api: &Api<K>,
        name: &str,
        fence: Preconditions,
    ) -> Result<(), Error> {
        let params = DeleteParams { preconditions: Some(fence), ..DeleteParams::default() };
        match api.delete(name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(source) => Err(mlp_reconcile::Error::of(format!("delete {name}"), source).into()),
        }
    }

    async fn write_incident(
        &self,
        live: Arc<Incident>,
        next: &IncidentStatus,
    ) -> Result<Arc<Incident>, Error> {
        let api: Api<Incident> = Api::all(self.client.clone());
        Ok(status::write(&api, SERVICE, live, next).await?)
    }

    async fn flush<K: mlp_reconcile::controller::Object>(&self, outbox: StatusOutbox<K>) -> Result<(), Error>
    where
        StatusOutbox<K>: mlp_model::OutboxStore<Error = mlp_reconcile::Error>,
    {
        self.relay.flush(&outbox).await?;
        Ok(())
    }
}

/// Whether a closed incident was kept for `retention` and has nothing left to say.
pub fn is_forgettable(live: &Incident, retention: Duration, now: Timestamp) -> bool {
    let Some(status) = &live.status else { return false };
    let closed: Option<Timestamp> = status.closed_at.as_deref().and_then(|time| time.parse().ok());
    let kept = closed.is_some_and(|closed| {
        Duration::try_from(now.duration_since(closed)).is_ok_and(|age| age >= retention)
    });
    status.state == IncidentState::Closed && status.outbox.pending.is_empty() && kept
}

/// The flow of the team's newest generation: health work on a team belongs to it.
pub fn flow_of(team: &Team) -> Flow {
    let annotation = team.annotations().get(labels::TRACEPARENT).map(String::as_str);
    Flow::of(&team.uid().unwrap_or_default(), team.metadata.generation.unwrap_or_default(), annotation)
}

fn empty_record(team: &Team) -> HealthRecord {
    HealthRecord {
        metadata: ObjectMeta {
            name: Some(team.name_any()),
            labels: Some([(labels::TEAM.to_owned(), team.name_any())].into()),
            ..ObjectMeta::default()
        },
        spec: HealthRecordSpec { team: team.name_any() },
        status: None,
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
