//! A team's facts wake the requests in its namespaces: `TeamIsolated` lets the waiting ones go ahead.

use kube::ResourceExt as _;
use mlp_bus::{Event, Handled, Handler};
use mlp_crds::{Cache, Database};
use mlp_proto::team::events::v1::TeamIsolated;
use mlp_proto::{Message as _, Name as _};
use mlp_reconcile::Handle;

/// Durable consumer of this service, as `deploy/streams/consumers.yaml` defines it.
pub const CONSUMER: &str = "provisioner-team";

/// Has the requests of a team looked at.
#[derive(Clone)]
pub struct WakeRequests {
    databases: Handle<Database>,
    caches: Handle<Cache>,
}

impl WakeRequests {
    /// Wakes requests of these controllers.
    pub const fn new(databases: Handle<Database>, caches: Handle<Cache>) -> Self {
        Self { databases, caches }
    }
}

/// The body of a fact is not what its type says: poison.
#[derive(Debug, thiserror::Error)]
#[error("the body is no TeamIsolated")]
pub struct Undecodable(#[from] prost::DecodeError);

impl mlp_model::Classified for Undecodable {
    fn class(&self) -> mlp_model::Class {
        mlp_model::Class::Terminal
    }

    fn reason(&self) -> &'static str {
        "Undecodable"
    }
}

impl Handler for WakeRequests {
    type Error = Undecodable;

    async fn handle(&self, event: &Event) -> Result<Handled, Undecodable> {
        if event.message_type != TeamIsolated::full_name() {
            return Ok(Handled::Ignored);
        }
        let fact = TeamIsolated::decode(event.data.clone())?;
        // Which requests to look at; whether the team is isolated is read from the Team.
        let concerned =
            |namespace: Option<String>| fact.namespaces.iter().any(|it| Some(&it.name) == namespace.as_ref());
        self.databases.wake_all_where(|database| concerned(database.namespace()));
        self.caches.wake_all_where(|cache| concerned(cache.namespace()));
        Ok(Handled::Done)
    }
}
