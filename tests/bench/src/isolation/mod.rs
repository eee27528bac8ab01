//! What holding teams apart costs: admission, many namespaces, quota under a race.

pub(crate) mod admission;
mod bare;
pub(crate) mod namespaces;
pub(crate) mod quota;

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod, ResourceQuota};
use kube::Client;
use kube::api::{Api, PostParams};
use mlp_harness::wait_until;
use serde_json::{Value, json};

use crate::report::Row;
use crate::rig::Rig;
use crate::{Error, cargo};

/// Name of the service.
const SERVICE: &str = "team-isolation";

/// Measures the service on a rig, and ends the rig whatever came of it.
async fn on(
    rig: impl Future<Output = Result<Rig, Error>>,
    measure: impl AsyncFnOnce(&Rig, &Path) -> Result<Vec<Row>, Error>,
) -> Result<Vec<Row>, Error> {
    let binary = cargo::build(&[SERVICE]).await?.remove(SERVICE).ok_or("team-isolation does not build")?;
    let rig = rig.await?;
    let measured = measure(&rig, &binary).await;
    rig.end().await?;
    measured
}

/// A namespace that is no team's, with a quota of its own that is in force.
async fn plain(client: &Client, name: &str, hard: Value) -> Result<(), Error> {
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    let quota: ResourceQuota =
        serde_json::from_value(json!({"metadata": {"name": "quota"}, "spec": {"hard": hard}}))?;
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), name);
    quotas.create(&PostParams::default(), &quota).await?;
    let in_force = || async { quotas.get("quota").await.ok()?.status?.hard };
    wait_until(Duration::from_secs(30), "the plain quota to be in force", in_force).await?;
    Ok(())
}

/// A pod that every tier admits and that waits to be scheduled: what is measured is its admission.
fn pod(name: &str) -> Result<Pod, Error> {
    let resources =
        json!({"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "10m", "memory": "16Mi"}});
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "spec": {
            "schedulingGates": [{"name": "mlplatform.dev/bench"}],
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "main", "image": "registry.k8s.io/pause:3.10", "imagePullPolicy": "Always", "resources": resources,
                "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]}},
            }],
        },
    }))?)
}
