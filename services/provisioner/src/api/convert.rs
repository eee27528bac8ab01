//! Databases and Caches as the messages of `mlp.provision.api.v1`.

use kube::ResourceExt;
use mlp_crds::{Cache, Condition, Database, DatabaseStatus};
use mlp_host::grpc::{Change, Changed};
use mlp_model::Environment;
use mlp_proto::common::v1 as common;
use mlp_proto::provision::api::v1 as proto;
use mlp_reconcile::conditions::{READY, SIMULATED, is_true};

use crate::domain::model::Wish;
use crate::reconcile::Request;

pub(super) fn database(database: &Database) -> proto::Database {
    let (wish, status) = (Wish::of_database(database, Environment::default()), database.common_status());
    let generation = database.metadata.generation;
    let (host, port) = endpoint(&status);
    proto::Database {
        team: String::new(),
        resource_version: database.resource_version().unwrap_or_default(),
        engine: wish.engine.as_str().to_owned(),
        phase: phase(&status),
        provider: status.provider.clone().unwrap_or_default(),
        host,
        port,
        secret_name: status.secret_name.clone().unwrap_or_default(),
        ready: is_true(&status.conditions, READY, generation),
        simulated: is_true(&status.conditions, SIMULATED, None),
        conditions: status.conditions.iter().map(condition).collect(),
        database_name: wish.database.unwrap_or_default(),
        storage: wish.storage.unwrap_or_default(),
        namespace: wish.namespace,
        name: wish.name,
        uid: wish.uid,
        generation: wish.generation,
        version: wish.version,
    }
}

pub(super) fn cache(cache: &Cache) -> proto::Cache {
    let (wish, status) = (Wish::of_cache(cache, Environment::default()), cache.common_status());
    let generation = cache.metadata.generation;
    let (host, port) = endpoint(&status);
    proto::Cache {
        team: String::new(),
        resource_version: cache.resource_version().unwrap_or_default(),
        engine: wish.engine.as_str().to_owned(),
        phase: phase(&status),
        provider: status.provider.clone().unwrap_or_default(),
        host,
        port,
        secret_name: status.secret_name.clone().unwrap_or_default(),
        ready: is_true(&status.conditions, READY, generation),
        simulated: is_true(&status.conditions, SIMULATED, None),
        conditions: status.conditions.iter().map(condition).collect(),
        replicas: i32::try_from(wish.replicas).unwrap_or_default(),
        namespace: wish.namespace,
        name: wish.name,
        uid: wish.uid,
        generation: wish.generation,
        version: wish.version,
    }
}

fn endpoint(status: &DatabaseStatus) -> (String, i32) {
    let endpoint = status.endpoint.clone().unwrap_or_default();
    (endpoint.host, i32::from(endpoint.port))
}

fn phase(status: &DatabaseStatus) -> String {
    status.phase.map(|phase| format!("{phase:?}")).unwrap_or_default()
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

pub(super) fn change<K, M>(changed: Changed<K>, message: fn(&K) -> M) -> (common::WatchType, Option<M>) {
    match changed {
        Changed::Added(object) => (common::WatchType::Added, Some(message(&object))),
        Changed::Modified(object) => (common::WatchType::Modified, Some(message(&object))),
        Changed::Deleted(object) => (common::WatchType::Deleted, Some(message(&object))),
        Changed::Bookmark(_) => (common::WatchType::Bookmark, None),
    }
}

pub(super) const fn what_changed(change: Change) -> common::Change {
    match change {
        Change::Unchanged => common::Change::Unchanged,
        Change::Created => common::Change::Created,
        Change::Configured => common::Change::Configured,
    }
}
