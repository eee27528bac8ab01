//! From what happened to a draft for the outbox.

use kube::{Resource, ResourceExt};
use mlp_model::name::PLATFORM;
use mlp_model::{Context, FactDraft, Flow, labels};
use mlp_proto::provision::events::v1 as proto;
use mlp_proto::{Message, Name};

use super::convert;
use crate::domain::model::{Kind, ProviderName, Wish};
use crate::domain::outcome::Happened;

/// Whom a fact is about.
pub struct Subject<'a> {
    /// The request.
    pub wish: &'a Wish,
    /// The team that holds its namespace.
    pub team: Option<&'a str>,
    /// Who provides.
    pub provider: ProviderName,
    /// The request's flow.
    pub flow: Flow,
}

/// The flow of an object's current generation.
pub fn flow<K: Resource>(object: &K) -> Flow {
    let traceparent = object.annotations().get(labels::TRACEPARENT).map(String::as_str);
    let uid = object.uid().unwrap_or_default();
    Flow::of(&uid, object.meta().generation.unwrap_or_default(), traceparent)
}

/// The fact that something happened to a request, ready to be recorded.
pub fn draft(happened: &Happened, subject: &Subject<'_>) -> FactDraft {
    let wish = subject.wish;
    let (name, message_type, data) = match (happened, wish.kind) {
        (Happened::Ready(running), Kind::Database) => {
            encoded("database-ready", &convert::database_ready(subject, running))
        }
        (Happened::Ready(running), Kind::Cache) => {
            encoded("cache-ready", &convert::cache_ready(subject, running))
        }
        (Happened::Failed { reason, message }, _) => {
            encoded("provisioning-failed", &convert::failed(subject, reason, message))
        }
        (Happened::Deleted { kept }, Kind::Database) => {
            encoded("database-deleted", &convert::database_deleted(subject, kept.as_deref()))
        }
        (Happened::Deleted { .. }, Kind::Cache) => {
            encoded::<proto::CacheDeleted>("cache-deleted", &convert::cache_deleted(subject))
        }
    };
    FactDraft {
        context: Context::Provision,
        name,
        message_type,
        kind: wish.kind.as_str(),
        uid: wish.uid.clone(),
        team: subject.team.unwrap_or(PLATFORM).to_owned(),
        subject: wish.path(),
        data,
        flow: subject.flow.traceparent(),
    }
}

/// Fact name, message type as the catalogue spells it, and bytes.
fn encoded<M: Message + Name>(fact: &'static str, message: &M) -> (&'static str, &'static str, Vec<u8>) {
    let message_type = mlp_proto::EventSpec::of(&M::full_name()).map_or("", |event| event.message);
    (fact, message_type, message.encode_to_vec())
}
