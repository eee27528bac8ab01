//! The objects of a team made by a client that does nothing else: what the API server alone takes for them.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::task::JoinSet;

use crate::Error;
use crate::percentile::Times;

/// What a team's namespace holds beside itself: group, version and kind.
const KINDS: [(&str, &str, &str); 5] = [
    ("", "v1", "ServiceAccount"),
    ("", "v1", "ResourceQuota"),
    ("", "v1", "LimitRange"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
];

/// Objects of one namespace, without labels: nothing in the cluster takes the copies for a team's.
pub(super) struct Contents(Vec<(ApiResource, DynamicObject)>);

impl Contents {
    /// What the service made in the namespace.
    pub(super) async fn of(client: &Client, namespace: &str) -> Result<Self, Error> {
        let mut contents = Vec::new();
        for (group, version, kind) in KINDS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
            let ours = ListParams::default().labels("app.kubernetes.io/managed-by=team-isolation");
            for found in api.list(&ours).await? {
                let mut copy = DynamicObject::new(&found.name_any(), &resource);
                copy.data = found.data;
                if let Some(fields) = copy.data.as_object_mut() {
                    fields.remove("status");
                }
                contents.push((resource.clone(), copy));
            }
        }
        if contents.is_empty() {
            return Err(format!("namespace {namespace} holds nothing of the service").into());
        }
        Ok(Self(contents))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes a namespace with all of them, at the same time.
    async fn make(&self, client: &Client, namespace: &str) -> Result<(), Error> {
        let parameters = PostParams::default();
        let of_namespaces = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &of_namespaces);
        api.create(&parameters, &DynamicObject::new(namespace, &of_namespaces).data(json!({}))).await?;
        let calls = self.0.iter().map(|(resource, object)| {
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, resource);
            let parameters = &parameters;
            async move { api.create(parameters, object).await }
        });
        try_join_all(calls).await?;
        Ok(())
    }
}

/// Makes `count` groups of `namespaces` each, one every `every`; gives how long each took from its turn on.
pub(super) async fn arrive(
    client: &Client,
    contents: std::sync::Arc<Contents>,
    count: usize,
    namespaces: usize,
    every: Duration,
) -> Result<Times, Error> {
    let start = tokio::time::Instant::now();
    let mut groups = JoinSet::new();
    for number in 0..count {
        let (client, contents) = (client.clone(), contents.clone());
        groups.spawn(async move {
            tokio::time::sleep_until(start + every * u32::try_from(number)?).await;
            let begun = Instant::now();
            let names: Vec<_> = (0..namespaces).map(|part| format!("bare-{number}-{part}")).collect();
            try_join_all(names.iter().map(|name| contents.make(&client, name))).await?;
            Ok::<_, Error>(begun.elapsed())
        });
    }
    let mut times = Vec::with_capacity(count);
    while let Some(done) = groups.join_next().await {
        times.push(done??);
    }
    Ok(Times::of(times))
}
