//! Requests as the messages of `mlp.provision.events.v1`. No password is in any of them.

use mlp_proto::provision::events::v1 as proto;

use super::publish::Subject;
use crate::domain::plan::Running;

pub(super) fn database_ready(subject: &Subject<'_>, running: &Running) -> proto::DatabaseReady {
    let wish = subject.wish;
    proto::DatabaseReady {
        team: team(subject),
        namespace: wish.namespace.clone(),
        name: wish.name.clone(),
        uid: wish.uid.clone(),
        generation: wish.generation,
        engine: wish.engine.as_str().to_owned(),
        version: running.version.clone(),
        host: running.address.host.clone(),
        port: i32::from(running.address.port),
        database_name: wish.database.clone().unwrap_or_default(),
        secret_name: wish.full_name(),
        provider: subject.provider.to_string(),
        simulated: false,
    }
}

pub(super) fn cache_ready(subject: &Subject<'_>, running: &Running) -> proto::CacheReady {
    let wish = subject.wish;
    proto::CacheReady {
        team: team(subject),
        namespace: wish.namespace.clone(),
        name: wish.name.clone(),
        uid: wish.uid.clone(),
        generation: wish.generation,
        engine: wish.engine.as_str().to_owned(),
        version: running.version.clone(),
        host: running.address.host.clone(),
        port: i32::from(running.address.port),
        secret_name: wish.full_name(),
        provider: subject.provider.to_string(),
        simulated: false,
    }
}

pub(super) fn failed(subject: &Subject<'_>, reason: &str, message: &str) -> proto::ProvisioningFailed {
    let wish = subject.wish;
    proto::ProvisioningFailed {
        team: team(subject),
        namespace: wish.namespace.clone(),
        name: wish.name.clone(),
        uid: wish.uid.clone(),
        generation: wish.generation,
        kind: wish.kind.as_str().to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        provider: subject.provider.to_string(),
    }
}

pub(super) fn database_deleted(subject: &Subject<'_>, kept: Option<&str>) -> proto::DatabaseDeleted {
    let wish = subject.wish;
    proto::DatabaseDeleted {
        team: team(subject),
        namespace: wish.namespace.clone(),
        name: wish.name.clone(),
        uid: wish.uid.clone(),
        generation: wish.generation,
        provider: subject.provider.to_string(),
        final_snapshot: kept.unwrap_or_default().to_owned(),
    }
}

pub(super) fn cache_deleted(subject: &Subject<'_>) -> proto::CacheDeleted {
    let wish = subject.wish;
    proto::CacheDeleted {
        team: team(subject),
        namespace: wish.namespace.clone(),
        name: wish.name.clone(),
        uid: wish.uid.clone(),
        generation: wish.generation,
        provider: subject.provider.to_string(),
    }
}

fn team(subject: &Subject<'_>) -> String {
    subject.team.unwrap_or(mlp_model::name::PLATFORM).to_owned()
}
