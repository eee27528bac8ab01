//! Applications as the messages of `mlp.gitops.api.v1`.

use kube::ResourceExt;
use mlp_crds::Application;
use mlp_crds::argocd::{HealthStatus, HistoryEntry, ResourceResult, ResourceStatus};
use mlp_host::grpc::Changed;
use mlp_proto::common::v1 as common;
use mlp_proto::gitops::api::v1 as proto;

use crate::domain::identity::ObjectId;
use crate::domain::{hold, revision};
use crate::events::wire;

/// Results of an operation that a message names.
const RESULTS: usize = 200;

/// `team` is whose the destination is.
pub(super) fn application(application: &Application, team: String) -> proto::Application {
    let status = application.status.clone().unwrap_or_default();
    let source = application.spec.effective_sources().first().copied().cloned().unwrap_or_default();
    let sync = status.sync.unwrap_or_default();
    let revision = revision::compared(&sync).unwrap_or_default();
    let health = status.health.unwrap_or_default();
    let operation = status.operation_state.unwrap_or_default();
    proto::Application {
        namespace: application.namespace().unwrap_or_default(),
        name: application.name_any(),
        uid: application.uid().unwrap_or_default(),
        generation: application.metadata.generation.unwrap_or_default(),
        resource_version: application.resource_version().unwrap_or_default(),
        team,
        project: application.spec.project.clone(),
        repo_url: wire::repo_url(application),
        path: source.path.unwrap_or_default(),
        target_revision: source.target_revision.unwrap_or_default(),
        destination_namespace: application.spec.destination.namespace.clone().unwrap_or_default(),
        sync_status: sync.status,
        revision,
        health: level(&health).into(),
        health_message: health.message.unwrap_or_default(),
        operation_phase: operation.phase,
        operation_message: operation.message.unwrap_or_default(),
        reconciled_at: wire::timestamp(status.reconciled_at.as_deref()),
        resources: status.resources.iter().map(resource).collect(),
        operation_started_at: wire::timestamp(operation.started_at.as_deref()),
        operation_results: operation
            .sync_result
            .iter()
            .flat_map(|result| &result.resources)
            .take(RESULTS)
            .map(result)
            .collect(),
        operation_waits: application.operation.is_some(),
        held_revision: hold::held(application.annotations()).unwrap_or_default(),
        conditions: status.conditions.iter().map(|it| format!("{}: {}", it.type_, it.message)).collect(),
    }
}

fn result(result: &ResourceResult) -> proto::OperationResult {
    let id = ObjectId {
        group: result.group.clone(),
        version: result.version.clone(),
        kind: result.kind.clone(),
        namespace: result.namespace.clone(),
        name: result.name.clone(),
    };
    proto::OperationResult {
        resource: Some(wire::reference(&id)),
        status: result.status.clone().or_else(|| result.hook_phase.clone()).unwrap_or_default(),
        message: result.message.clone().unwrap_or_default(),
    }
}

/// A sync that came to its end.
pub(super) fn entry(entry: &HistoryEntry) -> proto::HistoryEntry {
    let by = entry.rest.get("initiatedBy").and_then(|by| by.get("username")?.as_str());
    proto::HistoryEntry {
        id: entry.id,
        revision: revision::entered(entry),
        started_at: wire::timestamp(entry.deploy_started_at.as_deref()),
        deployed_at: wire::timestamp(entry.deployed_at.as_deref()),
        initiated_by: by.unwrap_or_default().to_owned(),
    }
}

fn level(health: &HealthStatus) -> common::Health {
    health.status.as_deref().map_or(common::Health::Unspecified, wire::health)
}

fn resource(resource: &ResourceStatus) -> proto::ApplicationResource {
    let health = resource.health.clone().unwrap_or_default();
    proto::ApplicationResource {
        resource: Some(wire::resource(resource)),
        sync_status: resource.status.clone().unwrap_or_default(),
        health: level(&health).into(),
        health_message: health.message.unwrap_or_default(),
    }
}

/// What happened, the Application (none in a bookmark), and the version to resume from.
pub(super) fn change(changed: Changed<Application>) -> (common::WatchType, Option<Application>) {
    use common::WatchType;
    match changed {
        Changed::Added(application) => (WatchType::Added, Some(application)),
        Changed::Modified(application) => (WatchType::Modified, Some(application)),
        Changed::Deleted(application) => (WatchType::Deleted, Some(application)),
        Changed::Bookmark(_) => (WatchType::Bookmark, None),
    }
}
