//! What the cluster holds of a team, read for one call: the replicas that serve gRPC keep no caches.

use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use mlp_model::labels;
use tonic::Status;

use super::refused;
use crate::domain::SERVICE;
use crate::domain::objects::copies::COPIED;
use crate::domain::objects::quota::NAME;
use crate::domain::objects::{Key, Kind};
use crate::domain::plan::Observed;

/// Objects of one kind that are read for a team at most.
const MOST: u32 = 500;

/// The kinds that the service writes, with their group, version and plural.
const KINDS: [(Kind, &str, &str, &str, &str); 9] = [
    (Kind::Namespace, "", "v1", "Namespace", "namespaces"),
    (Kind::ServiceAccount, "", "v1", "ServiceAccount", "serviceaccounts"),
    (Kind::ResourceQuota, "", "v1", "ResourceQuota", "resourcequotas"),
    (Kind::LimitRange, "", "v1", "LimitRange", "limitranges"),
    (Kind::ConfigMap, "", "v1", "ConfigMap", "configmaps"),
    (Kind::Secret, "", "v1", "Secret", "secrets"),
    (Kind::NetworkPolicy, "networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    (Kind::Role, "rbac.authorization.k8s.io", "v1", "Role", "roles"),
    (Kind::RoleBinding, "rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
];

/// Everything of the team that carries the service's label.
pub(super) async fn observed(client: &kube::Client, team: &str) -> Result<Observed, Status> {
    let mut observed = Observed::default();
    for (kind, group, version, name, plural) in KINDS {
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, name), plural);
        let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
        // Credentials for the broker carry the service's label too; they are no part of the isolation.
        let copies = if matches!(kind, Kind::ConfigMap | Kind::Secret) {
            format!(",{COPIED}=true")
        } else {
            String::new()
        };
        let selector = format!("{}={SERVICE},{}={team}{copies}", labels::MANAGED_BY, labels::TEAM);
        let found = api.list(&ListParams::default().labels(&selector).limit(MOST)).await;
        for object in found.map_err(|error| refused("read the team's objects", &error))? {
            let name = object.metadata.name.clone().unwrap_or_default();
            let namespace = object.metadata.namespace.clone().unwrap_or_else(|| name.clone());
            let mut value = serde_json::to_value(&object).unwrap_or_default();
            // Items of a list do not say what they are.
            if let Some(fields) = value.as_object_mut() {
                fields.insert("apiVersion".to_owned(), resource.api_version.clone().into());
                fields.insert("kind".to_owned(), resource.kind.clone().into());
            }
            if kind == Kind::ResourceQuota && name == NAME && value.pointer("/status/hard").is_some() {
                observed.quota_in_force.insert(namespace.clone());
            }
            observed.live.insert(Key { kind, namespace, name }, value);
        }
    }
    Ok(observed)
}
