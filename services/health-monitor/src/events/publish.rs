//! The facts of this service, as drafts for an outbox.

use kube::ResourceExt;
use mlp_crds::health_record::Health;
use mlp_crds::{HealthRecord, Incident, IncidentStatus};
use mlp_model::{Context, FactDraft, Flow};
use mlp_proto::Message;
use mlp_proto::health::events::v1::{HealthChanged, IncidentClosed, IncidentOpened};

use super::convert;
use crate::domain::Change;

/// `traceparent` of the span that records the fact.
pub fn cause() -> Option<String> {
    mlp_reconcile::current_traceparent()
}

/// A resource of the team became better or worse.
pub fn health_changed(record: &HealthRecord, change: &Change, team_health: Health, flow: &Flow) -> FactDraft {
    let team = record.spec.team.clone();
    let verdict = &change.now.verdict;
    let message = HealthChanged {
        team: team.clone(),
        uid: record.uid().unwrap_or_default(),
        generation: change.now.generation,
        resource: Some(convert::resource(&change.now.resource)),
        previous: change.previous.map(|previous| convert::health(previous).into()).unwrap_or_default(),
        current: convert::health(verdict.health).into(),
        reason: verdict.reason.clone(),
        message: verdict.message.clone(),
        team_health: convert::health(team_health).into(),
        simulated: verdict.is_simulated(),
    };
    draft(
        "health-changed",
        "mlp.health.events.v1.HealthChanged",
        ("HealthRecord", &record.uid().unwrap_or_default()),
        &team,
        format!("healthrecords/{team}"),
        &message,
        flow,
    )
}

/// Something is wrong. `status` is the one that the opening writes.
pub fn incident_opened(incident: &Incident, status: &IncidentStatus, flow: &Flow) -> FactDraft {
    let spec = &incident.spec;
    let message = IncidentOpened {
        team: spec.team.clone(),
        name: incident.name_any(),
        uid: incident.uid().unwrap_or_default(),
        generation: incident.metadata.generation.unwrap_or_default(),
        resource: Some(convert::resource(&spec.resource)),
        severity: convert::severity(spec.severity).into(),
        title: spec.title.clone(),
        reason: status.reason.clone().unwrap_or_default(),
        message: status.message.clone().unwrap_or_default(),
        opened_at: convert::time(status.opened_at.as_deref()),
        root_cause: status.root_cause.as_ref().map(convert::resource),
    };
    incident_draft("incident-opened", "mlp.health.events.v1.IncidentOpened", incident, &message, flow)
}

/// The resource is healthy again, or gone. `status` is the one that the closing writes.
pub fn incident_closed(incident: &Incident, status: &IncidentStatus, flow: &Flow) -> FactDraft {
    let spec = &incident.spec;
    let message = IncidentClosed {
        team: spec.team.clone(),
        name: incident.name_any(),
        uid: incident.uid().unwrap_or_default(),
        generation: incident.metadata.generation.unwrap_or_default(),
        resource: Some(convert::resource(&spec.resource)),
        severity: convert::severity(spec.severity).into(),
        reason: status.reason.clone().unwrap_or_default(),
        opened_at: convert::time(status.opened_at.as_deref()),
        closed_at: convert::time(status.closed_at.as_deref()),
    };
    incident_draft("incident-closed", "mlp.health.events.v1.IncidentClosed", incident, &message, flow)
}

fn incident_draft(
    name: &'static str,
    message_type: &'static str,
    incident: &Incident,
    message: &impl Message,
    flow: &Flow,
) -> FactDraft {
    let uid = incident.uid().unwrap_or_default();
    let subject = format!("incidents/{}", incident.name_any());
    draft(name, message_type, ("Incident", &uid), &incident.spec.team, subject, message, flow)
}

fn draft(
    name: &'static str,
    message_type: &'static str,
    (kind, uid): (&'static str, &str),
    team: &str,
    subject: String,
    message: &impl Message,
    flow: &Flow,
) -> FactDraft {
    FactDraft {
        context: Context::Health,
        name,
        message_type,
        kind,
        uid: uid.to_owned(),
        team: team.to_owned(),
        subject,
        data: message.encode_to_vec(),
        flow: flow.traceparent(),
    }
}
