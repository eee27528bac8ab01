//! What holding teams apart costs: admission, many namespaces, quota under a race.

pub(crate) mod admission;
pub(crate) mod namespaces;
pub(crate) mod quota;

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::Error;

/// Name of the service.
const SERVICE: &str = "team-isolation";

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
