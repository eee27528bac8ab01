//! Statements as the messages of `mlp.gitops.events.v1`.

use jiff::Timestamp;
use kube::ResourceExt;
use mlp_crds::Application;
use mlp_crds::argocd::{ApplicationStatus, OperationState, ResourceStatus};
use mlp_proto::common::v1 as common;
use mlp_proto::gitops::events::v1 as proto;

use crate::domain::identity::ObjectId;
use crate::domain::status::differing;
use crate::domain::{operation, revision};

/// Objects named in one message.
const OBJECTS: usize = 200;

/// A fact with what each says of the Application that it is about.
macro_rules! about {
    ($fact:ident, $application:expr, $team:expr, { $($fields:tt)* }) => {
        proto::$fact {
            team: $team,
            namespace: $application.namespace().unwrap_or_default(),
            name: $application.name_any(),
            uid: $application.uid().unwrap_or_default(),
            generation: $application.metadata.generation.unwrap_or_default(),
            $($fields)*
        }
    };
}

pub(crate) fn synced(
    application: &Application,
    status: &ApplicationStatus,
    team: String,
) -> proto::ApplicationSynced {
    let state = status.operation_state.as_ref();
    about!(ApplicationSynced, application, team, {
        project: application.spec.project.clone(),
        repo_url: repo_url(application),
        revision: revision(status),
        destination_namespace: application.spec.destination.namespace.clone().unwrap_or_default(),
        resources: status.resources.iter().take(OBJECTS).map(resource).collect(),
        resource_count: count(status.resources.len()),
        automated: state.is_some_and(operation::is_automated),
        started_at: state.and_then(|state| timestamp(state.started_at.as_deref())),
        finished_at: state.and_then(|state| timestamp(state.finished_at.as_deref())),
    })
}

pub(crate) fn failed(
    application: &Application,
    status: &ApplicationStatus,
    team: String,
    reason: &str,
    message: &str,
) -> proto::SyncFailed {
    about!(SyncFailed, application, team, {
        project: application.spec.project.clone(),
        repo_url: repo_url(application),
        revision: revision(status),
        reason: reason.to_owned(),
        message: message.to_owned(),
    })
}

pub(crate) fn health_changed(
    application: &Application,
    status: &ApplicationStatus,
    team: String,
    previous: Option<&str>,
    current: &str,
) -> proto::ApplicationHealthChanged {
    let message = status.health.as_ref().and_then(|health| health.message.clone());
    about!(ApplicationHealthChanged, application, team, {
        previous: previous.map_or(common::Health::Unspecified, health).into(),
        current: health(current).into(),
        message: message.unwrap_or_default(),
        revision: revision(status),
    })
}

pub(crate) fn observed(
    application: &Application,
    status: &ApplicationStatus,
    team: String,
    previous: Option<&str>,
) -> proto::RevisionObserved {
    about!(RevisionObserved, application, team, {
        project: application.spec.project.clone(),
        repo_url: repo_url(application),
        revision: revision(status),
        previous_revision: previous.unwrap_or_default().to_owned(),
        automated: application.spec.automated().is_some(),
    })
}

pub(crate) fn drifted(
    application: &Application,
    status: &ApplicationStatus,
    team: String,
) -> proto::DriftDetected {
    let drifted: Vec<_> = differing(status).collect();
    let automated = application.spec.automated();
    about!(DriftDetected, application, team, {
        revision: revision(status),
        resources: drifted.iter().take(OBJECTS).map(|one| resource(one)).collect(),
        resource_count: count(drifted.len()),
        self_heal: automated.is_some_and(|policy| policy.self_heal == Some(true)),
    })
}

pub(crate) fn healed(
    application: &Application,
    status: &ApplicationStatus,
    team: String,
    since: &str,
) -> proto::DriftHealed {
    let last = status.operation_state.as_ref();
    let since = timestamp(Some(since));
    let is_later = |state: &OperationState| {
        timestamp(state.started_at.as_deref()).map(|at| at.seconds) >= since.as_ref().map(|at| at.seconds)
    };
    about!(DriftHealed, application, team, {
        revision: revision(status),
        self_healed: last.is_some_and(|state| operation::is_heal(&state.operation) && is_later(state)),
        detected_at: since,
    })
}

fn count(objects: usize) -> i32 {
    i32::try_from(objects).unwrap_or(i32::MAX)
}

/// Argo CD's word as the contract's value.
pub(crate) fn health(word: &str) -> common::Health {
    common::Health::from_str_name(&format!("HEALTH_{}", word.to_uppercase()))
        .unwrap_or(common::Health::Unknown)
}

/// An object as a reference.
pub(crate) fn reference(id: &ObjectId) -> common::ResourceRef {
    let ObjectId { group, version, kind, namespace, name } = id.clone();
    common::ResourceRef { group, version, kind, namespace, name, ..Default::default() }
}

/// An object of the status as a reference.
pub(crate) fn resource(resource: &ResourceStatus) -> common::ResourceRef {
    reference(&ObjectId {
        group: resource.group.clone(),
        version: resource.version.clone(),
        kind: resource.kind.clone(),
        namespace: resource.namespace.clone(),
        name: resource.name.clone(),
    })
}

/// RFC 3339 text as the contract's time.
pub(crate) fn timestamp(text: Option<&str>) -> Option<prost_types::Timestamp> {
    let time: Timestamp = text?.parse().ok()?;
    Some(prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() })
}

/// Credentials never enter a message, whatever the spec holds.
pub(crate) fn repo_url(application: &Application) -> String {
    // Of several sources the first stands for all.
    let sources = application.spec.effective_sources();
    let url = sources.first().map(|source| source.repo_url.clone()).unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{host}/{path}")
}

fn revision(status: &ApplicationStatus) -> String {
    status.sync.as_ref().and_then(revision::compared).unwrap_or_default()
}
