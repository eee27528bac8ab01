//! Whether a connection gets through, by the policies and pods of the cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Client;
use kube::api::{Api, ListParams};
use mlp_host::grpc::{Access, Authorizer, invalid_fields};
use mlp_proto::team::api::v1 as proto;
use tonic::{Request, Status};

use super::refused;
use crate::domain::reach::{self, Cluster, Decision, End, Packet};

/// Policies of a namespace that are looked at, at most.
const MOST: u32 = 500;

/// Judges the connection that is asked about.
pub(super) async fn reach(
    client: &Client,
    authorizer: &Authorizer,
    request: &Request<proto::ReachRequest>,
) -> Result<proto::ReachResponse, Status> {
    let asked = request.get_ref();
    let port = u16::try_from(asked.port).ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| invalid_fields([("port", "write 1 to 65535")]))?;
    let protocol = if asked.protocol.is_empty() { "TCP" } else { asked.protocol.as_str() };
    if !["TCP", "UDP", "SCTP"].contains(&protocol) {
        return Err(invalid_fields([("protocol", "write TCP, UDP or SCTP")]));
    }
    let namespaces: Vec<_> =
        [&asked.from, &asked.to].iter().filter_map(|end| Some(end.split_once('/')?.0.to_owned())).collect();
    allowed(authorizer, request, &namespaces).await?;
    let packet = Packet {
        from: end(client, "from", &asked.from).await?,
        to: end(client, "to", &asked.to).await?,
        protocol: protocol.to_owned(),
        port,
    };
    let verdict = reach::judge(&cluster(client, &namespaces).await?, &packet);
    Ok(proto::ReachResponse {
        arrives: verdict.arrives(),
        egress: Some(decision(verdict.egress)),
        ingress: Some(decision(verdict.ingress)),
    })
}

/// Whoever may read the policies of both ends may ask: the answer tells of pods and policies of each.
async fn allowed<T>(
    authorizer: &Authorizer,
    request: &Request<T>,
    namespaces: &[String],
) -> Result<(), Status> {
    if namespaces.is_empty() {
        return Err(invalid_fields([("from", "name a pod as namespace/name")]));
    }
    for namespace in namespaces {
        let access = Access::new("list", "networking.k8s.io", "networkpolicies").in_namespace(namespace);
        authorizer.check(request, &access).await?;
    }
    Ok(())
}

async fn end(client: &Client, field: &'static str, text: &str) -> Result<End, Status> {
    let Some((namespace, name)) = text.split_once('/') else {
        let wrong = || invalid_fields([(field, "write namespace/pod or an address")]);
        return Ok(End::Address(text.parse().map_err(|_| wrong())?));
    };
    let found = Api::<Pod>::namespaced(client.clone(), namespace).get_opt(name).await;
    let found = found.map_err(|error| refused("read the pod", &error))?;
    let pod = found.ok_or_else(|| Status::not_found(format!("there is no pod {text}")))?;
    Ok(if on_host(&pod) { host_address(&pod, text)? } else { End::Pod(seen(namespace, name, &pod)) })
}

fn on_host(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or_default()
}

/// A pod on its node's network is the node's address.
fn host_address(pod: &Pod, text: &str) -> Result<End, Status> {
    let address = pod.status.as_ref().and_then(|status| status.host_ip.as_ref()?.parse().ok());
    address
        .map(End::Address)
        .ok_or_else(|| Status::failed_precondition(format!("pod {text} has no address yet")))
}

fn seen(namespace: &str, name: &str, pod: &Pod) -> reach::Pod {
    let addresses = pod.status.iter().flat_map(|status| status.pod_ips.iter().flatten());
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let ports = containers.flat_map(|container| container.ports.iter().flatten()).filter_map(|port| {
        let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
        Some(((port.name.clone()?, protocol), u16::try_from(port.container_port).ok()?))
    });
    reach::Pod {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        labels: pod.metadata.labels.clone().unwrap_or_default(),
        addresses: addresses.filter_map(|address| address.ip.parse().ok()).collect(),
        ports: ports.collect(),
    }
}

async fn cluster(client: &Client, namespaces: &[String]) -> Result<Cluster, Status> {
    let mut cluster = Cluster { namespaces: BTreeMap::new(), policies: Vec::new() };
    for name in namespaces {
        let namespace = Api::<Namespace>::all(client.clone()).get_opt(name).await;
        let namespace = namespace.map_err(|error| refused("read the namespace", &error))?;
        let labels = namespace.and_then(|namespace| namespace.metadata.labels).unwrap_or_default();
        if cluster.namespaces.insert(name.clone(), labels).is_some() {
            continue;
        }
        let api = Api::<NetworkPolicy>::namespaced(client.clone(), name);
        let policies = api.list(&ListParams::default().limit(MOST)).await;
        cluster.policies.extend(policies.map_err(|error| refused("read network policies", &error))?);
    }
    Ok(cluster)
}

fn decision(decision: Decision) -> proto::ReachDecision {
    let (kind, policies, rule) = match decision {
        Decision::NotConcerned => ("not-concerned", Vec::new(), 0),
        Decision::Open => ("open", Vec::new(), 0),
        Decision::Admitted { policy, rule } => ("admitted", vec![policy], rule),
        Decision::Denied { policies } => ("denied", policies, 0),
    };
    proto::ReachDecision { kind: kind.to_owned(), policies, rule: i32::try_from(rule).unwrap_or(i32::MAX) }
}
