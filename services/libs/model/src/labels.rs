//! Keys of labels, annotations and finalizers on Kubernetes objects.

/// The API group of our kinds.
pub const GROUP: &str = "mlplatform.dev";

/// Which team an object belongs to (seed dossier section 1.7).
pub const TEAM: &str = "mlplatform.dev/team";
/// The cost centre that pays for an object; `platform` for shared services.
pub const COST_CENTER: &str = "mlplatform.dev/cost-center";
/// The environment: local, dev, staging or prod.
pub const ENVIRONMENT: &str = "mlplatform.dev/environment";
/// Kubernetes' recommended label; ours carries the service that writes the object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Kubernetes' recommended label: the name of the application.
pub const NAME: &str = "app.kubernetes.io/name";
/// Kubernetes' recommended label: the instance of the application.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Kubernetes' recommended label: the larger whole; `ml-platform` on everything of ours.
pub const PART_OF: &str = "app.kubernetes.io/part-of";

/// Hash of the manifest last applied by us: lets a steady reconcile make no call at all.
pub const APPLIED_HASH: &str = "mlplatform.dev/applied-hash";
/// W3C `traceparent` of whoever asked for a change; the flow of the object continues it.
pub const TRACEPARENT: &str = "mlplatform.dev/traceparent";
/// On a namespace: the Team that may adopt it, as `name/uid`; written by whoever may write the platform's keys.
pub const ADOPT_BY: &str = "mlplatform.dev/adopt-by";
/// Present with value `true` on nodes that kwok simulates.
pub const SIMULATED_NODE: &str = "mlplatform.dev/simulated";

/// Finalizer of `service` on our kinds.
pub fn finalizer(service: &str) -> String {
    format!("{GROUP}/{service}")
}
