//! Argo CD's `Application`, `AppProject` and `ApplicationSet`: what we read is typed, the rest is preserved as it is.

mod application;
mod application_set;
mod project;
mod spec;
mod status;

use schemars::{Schema, SchemaGenerator, json_schema};

pub use application::{Application, Operation, OperationInitiator, OperationResource, SyncOperation};
pub use application_set::{
    ApplicationSet, ApplicationSetCondition, ApplicationSetResource, ApplicationSetSpec,
    ApplicationSetStatus, ApplicationSetSyncPolicy, IgnoredApplicationFields,
};
pub use project::{
    AppProject, AppProjectSpec, ClusterResourceRestriction, GroupKind, OrphanedResourceKey,
    OrphanedResources, ProjectDestination,
};
pub use spec::{
    ApplicationSpec, Automated, Backoff, Destination, Directory, IgnoreDifference, ManagedNamespaceMetadata,
    Retry, Source, SyncPolicy,
};
pub use status::{
    ApplicationCondition, ApplicationStatus, HealthStatus, HistoryEntry, OperationState, ResourceResult,
    ResourceStatus, Summary, SyncResult, SyncStatus,
};

/// API group of Argo CD's kinds.
pub const GROUP: &str = "argoproj.io";

/// Schema of an object that is kept as it is.
fn any_object(_generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Schema of a list of objects that are kept as they are.
fn any_objects(_generator: &mut SchemaGenerator) -> Schema {
    let items = json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json_schema!({ "type": "array", "items": items })
}
