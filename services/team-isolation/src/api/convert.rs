//! Teams as the messages of `mlp.team.api.v1`.

use kube::ResourceExt;
use mlp_crds::{Condition, Team};
use mlp_host::grpc::{Change, Changed};
use mlp_proto::common::v1 as common;
use mlp_proto::team::api::v1 as proto;
use mlp_reconcile::conditions::{READY, is_true};

pub(super) fn team(team: &Team) -> proto::Team {
    let status = team.status.clone().unwrap_or_default();
    let quota = status.quota.unwrap_or_default();
    let generation = team.metadata.generation;
    let namespaces = status.namespaces.into_iter();
    proto::Team {
        name: team.name_any(),
        uid: team.metadata.uid.clone().unwrap_or_default(),
        generation: generation.unwrap_or_default(),
        resource_version: team.resource_version().unwrap_or_default(),
        display_name: team.spec.display_name.clone().unwrap_or_default(),
        cost_center: team.cost_center().to_owned(),
        namespaces: namespaces
            .map(|it| proto::TeamNamespace { name: it.name, uid: it.uid, ready: it.ready })
            .collect(),
        quota_hard: quota.hard.into_iter().map(|(key, amount)| (key, amount.to_string())).collect(),
        quota_used: quota.used.into_iter().map(|(key, amount)| (key, amount.to_string())).collect(),
        ready: is_true(&status.conditions, READY, generation),
        conditions: status.conditions.iter().map(condition).collect(),
        deleting: team.metadata.deletion_timestamp.is_some(),
    }
}

fn condition(condition: &Condition) -> common::Condition {
    let since = condition.last_transition_time.0;
    common::Condition {
        r#type: condition.type_.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_transition_time: Some(prost_types::Timestamp {
            seconds: since.as_second(),
            nanos: since.subsec_nanosecond(),
        }),
        observed_generation: condition.observed_generation.unwrap_or_default(),
    }
}

pub(super) fn change((changed, resource_version): (Changed<Team>, String)) -> proto::WatchTeamsResponse {
    use common::WatchType;
    let (kind, maybe_team) = match changed {
        Changed::Added(team) => (WatchType::Added, Some(team)),
        Changed::Modified(team) => (WatchType::Modified, Some(team)),
        Changed::Deleted(team) => (WatchType::Deleted, Some(team)),
        Changed::Bookmark(_) => (WatchType::Bookmark, None),
    };
    proto::WatchTeamsResponse { r#type: kind.into(), team: maybe_team.as_ref().map(team), resource_version }
}

pub(super) const fn what_changed(change: Change) -> common::Change {
    match change {
        Change::Unchanged => common::Change::Unchanged,
        Change::Created => common::Change::Created,
        Change::Configured => common::Change::Configured,
    }
}
