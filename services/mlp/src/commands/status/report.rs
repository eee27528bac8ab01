//! What `mlp status` shows, as data; `-o json` prints it as it is. Fields are added, never changed.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use mlp_crds::incident::IncidentState;
use mlp_crds::{Application, Cache, Database, HealthRecord, Incident, Team};
use serde::Serialize;

/// A platform as a person wants to see it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) environment: String,
    /// Whether all nodes are simulated, so that no workload runs.
    pub(crate) simulated_only: bool,
    pub(crate) platform_services: Vec<PlatformService>,
    pub(crate) teams: Vec<TeamRow>,
    pub(crate) requests: Vec<RequestRow>,
    pub(crate) applications: Vec<ApplicationRow>,
    pub(crate) incidents: Vec<IncidentRow>,
    pub(crate) endpoints: BTreeMap<String, String>,
}

/// One of the five services.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlatformService {
    pub(crate) name: String,
    pub(crate) ready: bool,
    pub(crate) grpc: String,
}

/// One team.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TeamRow {
    pub(crate) name: String,
    pub(crate) ready: State,
    pub(crate) namespaces: Vec<String>,
    /// `used/hard` by quota key.
    pub(crate) quota: BTreeMap<String, String>,
    pub(crate) health: String,
    /// USD per hour at today's allocation; absent where cost-attribution gives none.
    pub(crate) usd_per_hour: Option<String>,
    /// USD since the first of the month.
    pub(crate) usd_month_to_date: Option<String>,
}

/// A database or cache that a team asked for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestRow {
    pub(crate) kind: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) ready: State,
    pub(crate) provider: String,
    pub(crate) endpoint: String,
    pub(crate) secret: String,
}

/// An application from git.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationRow {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) sync: String,
    pub(crate) health: String,
    pub(crate) revision: String,
}

/// An open incident.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IncidentRow {
    pub(crate) team: String,
    pub(crate) title: String,
    pub(crate) reason: String,
    pub(crate) opened_at: String,
}

/// A `Ready` condition in one word and, where it is not True, its reason and message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    pub(crate) ready: bool,
    pub(crate) simulated: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl State {
    /// Reads the conditions; a status of an older generation is not Ready.
    pub(crate) fn of(conditions: &[Condition], observed: Option<i64>, generation: Option<i64>) -> Self {
        let find = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
        let simulated = find("Simulated").is_some_and(|condition| condition.status == "True");
        let not_yet = |reason: &str, message: &str| Self {
            ready: false,
            simulated,
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        if observed < generation {
            return not_yet("StaleStatus", "the newest change has not been looked at yet");
        }
        match find("Ready") {
            Some(ready) => Self {
                ready: ready.status == "True" && !simulated,
                simulated,
                reason: ready.reason.clone(),
                message: ready.message.clone(),
            },
            None => not_yet("NoStatus", "no service has looked at it yet"),
        }
    }

    /// `Ready`, or the reason why not.
    pub(crate) fn word(&self) -> &str {
        match (self.ready, self.simulated) {
            (true, _) => "Ready",
            (false, true) => "Simulated",
            (false, false) => &self.reason,
        }
    }
}

/// The quota keys that the table shows, with their headings.
pub(crate) const QUOTA_KEYS: [(&str, &str); 4] = [
    ("requests.cpu", "cpu"),
    ("requests.memory", "memory"),
    ("requests.nvidia.com/gpu", "gpu"),
    ("requests.storage", "storage"),
];

/// A team's row, without cost.
pub(crate) fn team(team: &Team, records: &[HealthRecord]) -> TeamRow {
    let name = team.metadata.name.clone().unwrap_or_default();
    let status = team.status.clone().unwrap_or_default();
    let quota = status.quota.unwrap_or_default();
    let used = |key: &str| quota.used.get(key).map_or("0", |amount| amount.as_str());
    let quota_row = quota
        .hard
        .iter()
        .map(|(key, hard)| (key.clone(), format!("{}/{}", used(key), hard.as_str())))
        .collect();
    let record = records.iter().find(|record| record.spec.team == name);
    let health =
        record.and_then(|record| record.status.as_ref()).map_or("Unknown", |status| status.health.as_str());
    TeamRow {
        ready: State::of(&status.conditions, status.observed_generation, team.metadata.generation),
        namespaces: team.namespace_names(),
        quota: quota_row,
        health: health.to_owned(),
        usd_per_hour: None,
        usd_month_to_date: None,
        name,
    }
}

/// A database's row.
pub(crate) fn database(object: &Database) -> RequestRow {
    let status = object.status.clone().unwrap_or_default();
    let state = State::of(&status.conditions, status.observed_generation, object.metadata.generation);
    let endpoint = status.endpoint.map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port));
    request("Database", &object.metadata, state, status.provider, endpoint, status.secret_name)
}

/// A cache's row.
pub(crate) fn cache(object: &Cache) -> RequestRow {
    let status = object.status.clone().unwrap_or_default();
    let state = State::of(&status.conditions, status.observed_generation, object.metadata.generation);
    let endpoint = status.endpoint.map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port));
    request("Cache", &object.metadata, state, status.provider, endpoint, status.secret_name)
}

fn request(
    kind: &'static str,
    meta: &kube::api::ObjectMeta,
    ready: State,
    provider: Option<String>,
    endpoint: Option<String>,
    secret: Option<String>,
) -> RequestRow {
    RequestRow {
        kind,
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        ready,
        provider: provider.unwrap_or_default(),
        endpoint: endpoint.unwrap_or_default(),
        secret: secret.unwrap_or_default(),
    }
}

/// An application's row.
pub(crate) fn application(object: &Application) -> ApplicationRow {
    let status = object.status.clone().unwrap_or_default();
    let sync = status.sync.unwrap_or_default();
    let health = status.health.and_then(|health| health.status).unwrap_or_else(|| "Unknown".to_owned());
    ApplicationRow {
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
        sync: if sync.status.is_empty() { "Unknown".to_owned() } else { sync.status },
        health,
        revision: sync.revision.unwrap_or_default(),
    }
}

/// An incident's row, where it is open.
pub(crate) fn incident(object: &Incident) -> Option<IncidentRow> {
    let status = object.status.clone().unwrap_or_default();
    (status.state == IncidentState::Open).then(|| IncidentRow {
        team: object.spec.team.clone(),
        title: object.spec.title.clone(),
        reason: status.reason.unwrap_or_default(),
        opened_at: status.opened_at.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(kind: &str, status: &str, reason: &str) -> Condition {
        serde_json::from_value(serde_json::json!({"type": kind, "status": status, "reason": reason,
            "message": "m", "lastTransitionTime": "2026-11-23T00:00:00Z"}))
        .unwrap()
    }

    #[test]
    fn simulated_and_stale_are_never_shown_as_ready() {
        let ready = condition("Ready", "True", "Ready");
        assert_eq!(State::of(std::slice::from_ref(&ready), Some(1), Some(1)).word(), "Ready");
        assert_eq!(State::of(std::slice::from_ref(&ready), Some(1), Some(2)).word(), "StaleStatus");
        let simulated =
            State::of(&[ready, condition("Simulated", "True", "SimulatedNode")], Some(1), Some(1));
        assert_eq!((simulated.ready, simulated.word()), (false, "Simulated"));
        assert_eq!(State::of(&[], Some(1), Some(1)).word(), "NoStatus");
    }
}
