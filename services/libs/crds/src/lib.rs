//! The custom resources as Rust types; `deploy/crds` is generated from them.
//!
//! Each kind has a file: [`team`], [`isolation_exemption`], [`database`], [`cache`], [`price_sheet`],
//! [`policy_exemption`] are declared by people;
//! [`team_tombstone`], [`incident`], [`health_record`] and [`application_record`] are written by services; [`argocd`]
//! holds Argo CD's `Application`, `AppProject` and `ApplicationSet`, where the fields that we read are typed and the
//! rest is preserved. [`amount`] is the quantity type they share, [`schema`] turns derived schemas
//! into what the API server should see.
//!
//! Rules of the group: v1alpha1 changes by addition only; optional fields are left out when unset
//! (never `null`); every status of ours carries `conditions`, `observedGeneration` and `outbox`.

#![expect(unreachable_pub, reason = "KubeSchema's derive repeats each struct inside a function")]
#![allow(clippy::duplicated_attributes, reason = "printer columns repeat their type")]

pub mod amount;
pub mod application_record;
pub mod argocd;
pub mod cache;
pub mod database;
pub mod health_record;
pub mod incident;
pub mod isolation_exemption;
pub mod policy_exemption;
pub mod price_sheet;
pub mod schema;
pub mod status;
pub mod team;
pub mod team_tombstone;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

pub use amount::Amount;
pub use application_record::{ApplicationRecord, ApplicationRecordSpec, ApplicationRecordStatus};
pub use argocd::{
    AppProject, AppProjectSpec, Application, ApplicationSet, ApplicationSetSpec, ApplicationSetStatus,
    ApplicationSpec, ApplicationStatus,
};
pub use cache::{Cache, CacheSpec, CacheStatus};
pub use database::{Database, DatabaseSpec, DatabaseStatus};
pub use health_record::{HealthRecord, HealthRecordSpec, HealthRecordStatus};
pub use incident::{Incident, IncidentSpec, IncidentStatus};
pub use isolation_exemption::{IsolationExemption, IsolationExemptionSpec, IsolationExemptionStatus};
pub use policy_exemption::{PolicyExemption, PolicyExemptionSpec, PolicyExemptionStatus};
pub use price_sheet::{PriceSheet, PriceSheetSpec, PriceSheetStatus};
pub use team::{Team, TeamSpec, TeamStatus};
pub use team_tombstone::{TeamTombstone, TeamTombstoneSpec, TeamTombstoneStatus};

/// Definitions of our own group, as installed.
pub fn ours() -> Vec<CustomResourceDefinition> {
    let derived = [
        Team::crd(),
        IsolationExemption::crd(),
        TeamTombstone::crd(),
        Database::crd(),
        Cache::crd(),
        PriceSheet::crd(),
        Incident::crd(),
        HealthRecord::crd(),
        ApplicationRecord::crd(),
        PolicyExemption::crd(),
    ];
    derived.into_iter().map(schema::finish).collect()
}

/// Definitions of Argo CD's kinds, for clusters where Argo CD's own are absent.
pub fn argocd() -> Vec<CustomResourceDefinition> {
    [Application::crd(), AppProject::crd(), ApplicationSet::crd()].into_iter().map(schema::finish).collect()
}

/// [`ours`] and [`argocd()`].
pub fn all() -> Vec<CustomResourceDefinition> {
    let mut definitions = ours();
    definitions.extend(argocd());
    definitions
}
