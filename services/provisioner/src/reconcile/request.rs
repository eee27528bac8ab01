//! What tells a Database from a Cache; everything else is the same for both.

use kube::core::NamespaceResourceScope;
use mlp_crds::{Cache, Database, DatabaseStatus};
use mlp_model::Environment;
use mlp_reconcile::controller::Object as Kubernetes;

use crate::domain::model::{Kind, Wish};

/// A custom resource that asks for a service.
pub trait Request: Kubernetes<DynamicType = ()> + kube::Resource<Scope = NamespaceResourceScope> {
    /// Which kind it is.
    const KIND: Kind;

    /// What it asks for.
    fn wish(&self, environment: Environment) -> Wish;

    /// Its status. Both kinds write the same fields, so that one type can stand for both.
    fn common_status(&self) -> DatabaseStatus;
}

impl Request for Database {
    const KIND: Kind = Kind::Database;

    fn wish(&self, environment: Environment) -> Wish {
        Wish::of_database(self, environment)
    }

    fn common_status(&self) -> DatabaseStatus {
        self.status.clone().unwrap_or_default()
    }
}

impl Request for Cache {
    const KIND: Kind = Kind::Cache;

    fn wish(&self, environment: Environment) -> Wish {
        Wish::of_cache(self, environment)
    }

    fn common_status(&self) -> DatabaseStatus {
        let status = self.status.clone().unwrap_or_default();
        DatabaseStatus {
            conditions: status.conditions,
            observed_generation: status.observed_generation,
            phase: status.phase,
            provider: status.provider,
            external_id: status.external_id,
            endpoint: status.endpoint,
            secret_name: status.secret_name,
            binding: status.binding,
            running_version: status.running_version,
            outbox: status.outbox,
        }
    }
}
