//! Resources as protobuf.

use std::collections::BTreeMap;

use kube::ResourceExt;
use mlp_crds::health_record::ResourceHealth;
use mlp_crds::incident::{IncidentState, Severity};
use mlp_crds::{HealthRecord, Incident};
use mlp_proto::health::api::v1 as api;

use crate::domain::verdict::SIMULATED;
use crate::events::convert;

/// One resource of a team's record.
pub(super) fn resource(team: &str, entry: &ResourceHealth) -> api::ResourceHealth {
    api::ResourceHealth {
        resource: Some(convert::resource(&entry.resource)),
        team: team.to_owned(),
        health: convert::health(entry.health).into(),
        reason: entry.reason.clone(),
        message: entry.message.clone(),
        since: convert::time(entry.since.as_deref()),
        simulated: entry.simulated || entry.reason == SIMULATED,
    }
}

/// A team's health, with the number of its open incidents.
pub(super) fn team(record: &HealthRecord, open_incidents: usize) -> api::TeamHealth {
    let team = record.spec.team.clone();
    let status = record.status.clone().unwrap_or_default();
    let mut counts = BTreeMap::new();
    for entry in &status.resources {
        *counts.entry(entry.health).or_insert(0_i32) += 1;
    }
    let decided_by = status.decided_by.as_ref().and_then(|decider| {
        status.resources.iter().find(|entry| entry.resource == *decider).map(|entry| resource(&team, entry))
    });
    api::TeamHealth {
        health: convert::health(status.health).into(),
        decided_by,
        counts: counts
            .into_iter()
            .map(|(health, count)| api::HealthCount { health: convert::health(health).into(), count })
            .collect(),
        open_incidents: i32::try_from(open_incidents).unwrap_or(i32::MAX),
        simulated: status.resources.iter().any(|entry| entry.simulated),
        team,
    }
}

/// An incident.
pub(super) fn incident(incident: &Incident) -> api::Incident {
    let status = incident.status.clone().unwrap_or_default();
    let severity = match incident.spec.severity {
        Severity::Warning => "Warning",
        Severity::Critical => "Critical",
    };
    let state = match status.state {
        IncidentState::Open => "Open",
        IncidentState::Closed => "Closed",
    };
    api::Incident {
        name: incident.name_any(),
        uid: incident.uid().unwrap_or_default(),
        team: incident.spec.team.clone(),
        resource: Some(convert::resource(&incident.spec.resource)),
        severity: severity.to_owned(),
        state: state.to_owned(),
        title: incident.spec.title.clone(),
        reason: status.reason.unwrap_or_default(),
        message: status.message.unwrap_or_default(),
        opened_at: convert::time(status.opened_at.as_deref()),
        closed_at: convert::time(status.closed_at.as_deref()),
        root_cause: status.root_cause.as_ref().map(convert::resource),
        evidence: status.evidence,
        resource_version: incident.resource_version().unwrap_or_default(),
    }
}
