//! Cluster DNS: CoreDNS as a pod on the real node, at the address that every pod is told.

use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::UdpSocket;

use super::NodeError;
use super::images::COREDNS;
use super::sandbox::{digest, reachable_name_servers};
use super::site::Site;

/// Who applies what this module applies.
const MANAGER: &str = "mlp-local";

/// One question may take this long.
const QUESTION_LIMIT: Duration = Duration::from_millis(500);

/// Applies CoreDNS; doing it again changes nothing.
pub(super) async fn apply(client: &Client, site: &Site) -> Result<(), NodeError> {
    let corefile = corefile(&reachable_name_servers());
    let system = |kind: &str, version: &str, name: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}});
    let with = |mut object: Value, key: &str, value: Value| {
        if let Some(fields) = object.as_object_mut() {
            fields.insert(key.into(), value);
        }
        object
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "kube-system");
    apply_one(&accounts, "coredns", system("ServiceAccount", "v1", "coredns")).await?;
    apply_one(&Api::<ClusterRole>::all(client.clone()), "mlp-coredns", role()).await?;
    apply_one(&Api::<ClusterRoleBinding>::all(client.clone()), "mlp-coredns", binding()).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
    let data = json!({"Corefile": corefile});
    apply_one(&maps, "coredns", with(system("ConfigMap", "v1", "coredns"), "data", data)).await?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "kube-system");
    let spec = deployment(&site.name, &digest(&corefile));
    apply_one(&deployments, "coredns", with(system("Deployment", "apps/v1", "coredns"), "spec", spec))
        .await?;
    let services: Api<Service> = Api::namespaced(client.clone(), "kube-system");
    let spec = json!({
        "clusterIP": site.network.dns_service().to_string(),
        "selector": {"k8s-app": "kube-dns"},
        "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
        ],
    });
    apply_one(&services, "kube-dns", with(system("Service", "v1", "kube-dns"), "spec", spec)).await
}

/// Whether the name of the API's Service is answered with an address: proves the pod, its Service,
/// kube-proxy and the link at once.
pub(super) async fn answers(server: Ipv4Addr) -> bool {
    let ask = async {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        socket.connect(SocketAddrV4::new(server, 53)).await?;
        socket.send(&question("kubernetes.default.svc.cluster.local")).await?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).await?;
        std::io::Result::Ok(answer.get(..length).is_some_and(has_answer))
    };
    tokio::time::timeout(QUESTION_LIMIT, ask).await.is_ok_and(|answer| answer.unwrap_or(false))
}

/// A DNS question for the address of a name (RFC 1035, section 4).
fn question(name: &str) -> Vec<u8> {
    let mut packet = vec![0x6d, 0x6c, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap_or(0));
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

/// Whether a DNS packet is an answer to our question, without error and with at least one record.
fn has_answer(packet: &[u8]) -> bool {
    matches!(packet, [0x6d, 0x6c, flags, code, _, _, high, low, ..]
        if flags & 0x80 != 0 && code & 0x0f == 0 && (*high, *low) != (0, 0))
}

fn corefile(name_servers: &[Ipv4Addr]) -> String {
    let servers: Vec<String> = name_servers.iter().map(ToString::to_string).collect();
    let forward = if servers.is_empty() {
        String::new()
    } else {
        format!("    forward . {}\n    cache 30\n", servers.join(" "))
    };
    format!(
        ".:53 {{\n    errors\n    health\n    ready\n    kubernetes cluster.local in-addr.arpa ip6.arpa {{\n        pods insecure\n        fallthrough in-addr.arpa ip6.arpa\n        ttl 5\n    }}\n{forward}    reload\n}}\n"
    )
}

fn deployment(node: &str, config: &str) -> Value {
    json!({
        "replicas": 1,
        "selector": {"matchLabels": {"k8s-app": "kube-dns"}},
        "template": {
            "metadata": {"labels": {"k8s-app": "kube-dns"}, "annotations": {"mlplatform.dev/config": config}},
            "spec": {
                "serviceAccountName": "coredns",
                "priorityClassName": "system-cluster-critical",
                "dnsPolicy": "Default",
                "nodeSelector": {"kubernetes.io/hostname": node},
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "coredns",
                    "image": COREDNS,
                    "imagePullPolicy": "IfNotPresent",
                    "args": ["-conf", "/etc/coredns/Corefile"],
                    "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "170Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
                    "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 30},
                    "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": true}],
                }],
                "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
            },
        },
    })
}

fn role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "mlp-coredns"},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        ],
    })
}

fn binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "mlp-coredns"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "mlp-coredns"},
        "subjects": [{"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}],
    })
}

pub(super) async fn apply_one<K>(objects: &Api<K>, name: &str, object: Value) -> Result<(), NodeError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let parameters = PatchParams::apply(MANAGER).force();
    let applied = objects.patch(name, &parameters, &Patch::Apply(object)).await;
    applied.map(|_| ()).map_err(|error| NodeError::api(format!("apply {} {name}", K::kind(&())), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_understood_and_only_a_full_answer_counts() {
        let packet = question("kubernetes.default");
        assert_eq!(packet.get(12..24).unwrap(), b"\x0akubernetes\x07");
        assert!(!has_answer(&packet), "a question is no answer");
        let mut answer = packet;
        answer[2] |= 0x80;
        assert!(!has_answer(&answer), "no records");
        answer[7] = 1;
        assert!(has_answer(&answer));
        answer[3] |= 3;
        assert!(!has_answer(&answer), "no such name");
    }

    #[test]
    fn without_name_servers_nothing_is_forwarded() {
        assert!(!corefile(&[]).contains("forward"));
        assert!(corefile(&[Ipv4Addr::new(192, 0, 2, 53)]).contains("forward . 192.0.2.53\n"));
    }
}
