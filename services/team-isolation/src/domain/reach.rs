//! Whether a packet gets through, and by which rule: NetworkPolicy as the API documents it, as a pure
//! function (kubernetes.io "Network Policies"; API reference networking.k8s.io/v1).
//!
//! A pod that no policy selects for a direction is open in it; one that is selected admits what any of
//! the selecting policies' rules admits. A connection needs both ends. A pod always reaches itself, and
//! its node reaches it. What a cluster's network makes of policies for host-network pods is its own
//! affair; here they are addresses.

mod selector;

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

pub use selector::{Cidr, matches};

/// Labels of something.
pub type Labels = BTreeMap<String, String>;

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A pod on the pod network.
    Pod(Pod),
    /// An address outside: a node, a service of the cloud, the internet.
    Address(IpAddr),
}

/// A pod, as far as policy is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Named ports of its containers: name and protocol to number.
    pub ports: BTreeMap<(String, String), u16>,
}

/// A packet that opens a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// From where.
    pub from: End,
    /// To where.
    pub to: End,
    /// TCP, UDP or SCTP.
    pub protocol: String,
    /// The destination's port.
    pub port: u16,
}

/// What policy looks at beside the packet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cluster {
    /// Labels of namespaces by name.
    pub namespaces: BTreeMap<String, Labels>,
    /// All policies.
    pub policies: Vec<NetworkPolicy>,
}

/// A direction, seen from the pod that a policy selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Into the pod.
    Ingress,
    /// Out of the pod.
    Egress,
}

impl Direction {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }
}

/// What decides one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No pod is at this end, or it speaks to itself.
    NotConcerned,
    /// No policy selects the pod for this direction.
    Open,
    /// A rule admits it.
    Admitted {
        /// `namespace/name` of the policy.
        policy: String,
        /// Number of the rule in the policy, from 0.
        rule: usize,
    },
    /// The pod is selected, and no rule admits it.
    Denied {
        /// `namespace/name` of the policies that select the pod.
        policies: Vec<String>,
    },
}

impl Decision {
    /// Whether this direction lets the packet through.
    pub const fn passes(&self) -> bool {
        !matches!(self, Self::Denied { .. })
    }
}

/// The verdict on a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Out of the sender.
    pub egress: Decision,
    /// Into the receiver.
    pub ingress: Decision,
}

impl Verdict {
    /// Whether the packet arrives.
    pub const fn arrives(&self) -> bool {
        self.egress.passes() && self.ingress.passes()
    }
}

/// Judges a packet.
pub fn judge(cluster: &Cluster, packet: &Packet) -> Verdict {
    if let (End::Pod(from), End::Pod(to)) = (&packet.from, &packet.to)
        && (&from.namespace, &from.name) == (&to.namespace, &to.name)
    {
        return Verdict { egress: Decision::NotConcerned, ingress: Decision::NotConcerned };
    }
    Verdict {
        egress: direction(cluster, packet, Direction::Egress),
        ingress: direction(cluster, packet, Direction::Ingress),
    }
}

fn direction(cluster: &Cluster, packet: &Packet, direction: Direction) -> Decision {
    let (subject, other) = match direction {
        Direction::Egress => (&packet.from, &packet.to),
        Direction::Ingress => (&packet.to, &packet.from),
    };
    let End::Pod(pod) = subject else { return Decision::NotConcerned };
    let mut policies = Vec::new();
    for policy in &cluster.policies {
        let Some(spec) = policy.spec.as_ref().filter(|spec| selects(policy, spec, pod, direction)) else {
            continue;
        };
        let name = format!("{}/{}", pod.namespace, policy.metadata.name.as_deref().unwrap_or_default());
        let admitting = rules(spec, direction).into_iter().position(|rule| {
            rule.peers
                .is_none_or(|peers| peers.iter().any(|peer| is_peer(cluster, peer, &pod.namespace, other)))
                && rule.ports.is_none_or(|ports| ports.iter().any(|port| is_port(port, packet)))
        });
        if let Some(rule) = admitting {
            return Decision::Admitted { policy: name, rule };
        }
        policies.push(name);
    }
    if policies.is_empty() { Decision::Open } else { Decision::Denied { policies } }
}

/// Whether a policy concerns a pod in a direction. Where `policyTypes` is left out, Ingress is meant,
/// and Egress too if there are egress rules.
fn selects(policy: &NetworkPolicy, spec: &NetworkPolicySpec, pod: &Pod, direction: Direction) -> bool {
    let listed = spec.policy_types.as_ref().filter(|types| !types.is_empty());
    let concerns = match (listed, direction) {
        (Some(types), _) => types.iter().any(|kind| kind == direction.as_str()),
        (None, Direction::Ingress) => true,
        (None, Direction::Egress) => spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
    };
    concerns
        && policy.metadata.namespace.as_deref() == Some(&pod.namespace)
        && spec.pod_selector.as_ref().is_none_or(|selector| matches(selector, &pod.labels))
}

/// A rule of either direction; a list that is empty or left out admits all.
struct Rule<'a> {
    peers: Option<&'a Vec<NetworkPolicyPeer>>,
    ports: Option<&'a Vec<NetworkPolicyPort>>,
}

fn rules(spec: &NetworkPolicySpec, direction: Direction) -> Vec<Rule<'_>> {
    fn listed<T>(list: &Option<Vec<T>>) -> Option<&Vec<T>> {
        list.as_ref().filter(|items| !items.is_empty())
    }
    match direction {
        Direction::Ingress => {
            let rules = spec.ingress.iter().flatten();
            rules.map(|rule| Rule { peers: listed(&rule.from), ports: listed(&rule.ports) }).collect()
        }
        Direction::Egress => {
            let rules = spec.egress.iter().flatten();
            rules.map(|rule| Rule { peers: listed(&rule.to), ports: listed(&rule.ports) }).collect()
        }
    }
}

/// Whether `other` is meant by a peer of a policy in `namespace`.
fn is_peer(cluster: &Cluster, peer: &NetworkPolicyPeer, namespace: &str, other: &End) -> bool {
    if let Some(block) = &peer.ip_block {
        return match other {
            End::Address(address) => in_block(block, *address),
            End::Pod(pod) => pod.addresses.iter().any(|address| in_block(block, *address)),
        };
    }
    let End::Pod(pod) = other else { return false };
    let right_namespace = match &peer.namespace_selector {
        Some(selector) => {
            cluster.namespaces.get(&pod.namespace).is_some_and(|labels| matches(selector, labels))
        }
        None => pod.namespace == namespace,
    };
    // A peer of nothing at all means nobody.
    let says_something = peer.namespace_selector.is_some() || peer.pod_selector.is_some();
    says_something
        && right_namespace
        && peer.pod_selector.as_ref().is_none_or(|selector| matches(selector, &pod.labels))
}

fn in_block(block: &IPBlock, address: IpAddr) -> bool {
    let within = |text: &String| text.parse::<Cidr>().is_ok_and(|cidr| cidr.contains(address));
    within(&block.cidr) && !block.except.iter().flatten().any(within)
}

/// Whether a port of a rule is the packet's. A name is looked up at the destination, which is where
/// the port is, in either direction.
fn is_port(port: &NetworkPolicyPort, packet: &Packet) -> bool {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    if protocol != packet.protocol {
        return false;
    }
    match (&port.port, port.end_port) {
        (None, _) => true,
        (Some(IntOrString::Int(first)), Some(last)) => (*first..=last).contains(&i32::from(packet.port)),
        (Some(IntOrString::Int(number)), None) => *number == i32::from(packet.port),
        (Some(IntOrString::String(name)), _) => match &packet.to {
            End::Pod(pod) => pod.ports.get(&(name.clone(), packet.protocol.clone())) == Some(&packet.port),
            End::Address(_) => false,
        },
    }
}

#[cfg(test)]
mod tests;
