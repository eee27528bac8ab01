//! What is in a namespace that is to be adopted; read once, before it is the team's.

use k8s_openapi::api::core::v1::{LimitRange, ResourceQuota, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Role, RoleBinding};
use kube::api::{Api, ListParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use mlp_reconcile::Error as CallError;
use mlp_reconcile::controller::Object as Kubernetes;
use serde_json::Value;

use crate::domain::adoption::{self, Found};
use crate::domain::model::DeclaredTeam;
use crate::domain::objects::{self, Kind, Object, Surroundings};

/// Objects of one kind that matter, at most; with more it is not adopted.
const MOST: usize = 1_000;
/// Objects of one page.
const PAGE: u32 = 500;

/// What is in the namespace, and what of it keeps the team from adopting it.
pub(crate) async fn look(
    client: &Client,
    team: &DeclaredTeam,
    namespace: &str,
) -> Result<(Found, Vec<String>), CallError> {
    let found = found_in(client, namespace).await?;
    let made = objects::of(team, &Surroundings::fresh(team));
    let made = made.iter().map(Object::key).collect();
    let hindrances = adoption::hindrances(namespace, &found, &made);
    Ok((found, hindrances))
}

/// The objects of the kinds that this service writes, and who holds rights in the whole cluster.
async fn found_in(client: &Client, namespace: &str) -> Result<Found, CallError> {
    let mut found = Found::default();
    let objects = &mut found.objects;
    add::<ResourceQuota>(client, namespace, Kind::ResourceQuota, objects).await?;
    add::<LimitRange>(client, namespace, Kind::LimitRange, objects).await?;
    add::<NetworkPolicy>(client, namespace, Kind::NetworkPolicy, objects).await?;
    add::<Role>(client, namespace, Kind::Role, objects).await?;
    add::<RoleBinding>(client, namespace, Kind::RoleBinding, objects).await?;
    add::<ServiceAccount>(client, namespace, Kind::ServiceAccount, objects).await?;
    let names_ours = |binding: &Value| adoption::accounts_of(namespace, binding).next().is_some();
    let elsewhere = |binding: &Value| {
        let place = binding.pointer("/metadata/namespace").and_then(Value::as_str);
        place != Some(namespace) && names_ours(binding)
    };
    let everywhere = Api::<ClusterRoleBinding>::all(client.clone());
    found.bindings_elsewhere = all(everywhere, "the cluster", names_ours).await?;
    let bindings = Api::<RoleBinding>::all(client.clone());
    found.bindings_elsewhere.extend(all(bindings, "all namespaces", elsewhere).await?);
    Ok(found)
}

async fn add<K>(
    client: &Client,
    namespace: &str,
    kind: Kind,
    objects: &mut Vec<(Kind, Value)>,
) -> Result<(), CallError>
where
    K: Kubernetes + Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    let listed = all(Api::<K>::namespaced(client.clone(), namespace), namespace, |_| true).await?;
    objects.extend(listed.into_iter().map(|object| (kind, object)));
    Ok(())
}

/// Those objects that matter, page by page.
async fn all<K: Kubernetes<DynamicType = ()>>(
    api: Api<K>,
    place: &str,
    matters: impl Fn(&Value) -> bool,
) -> Result<Vec<Value>, CallError> {
    let action = || format!("list the {} of {place}, to adopt it", K::plural(&()));
    let mut found = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let listed = api.list(&page).await.map_err(|source| CallError::of(action(), source))?;
        let objects = listed.items.iter().filter_map(|object| serde_json::to_value(object).ok());
        found.extend(objects.filter(|object| matters(object)));
        if found.len() > MOST {
            return Err(CallError::Incomplete { action: action(), field: "metadata.continue" });
        }
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(found),
        }
    }
}
