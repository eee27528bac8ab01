//! NetworkPolicy as packet rules: a pure function from what the API holds to one script for `nft`.
//!
//! Each pod that a policy selects has a chain for that direction, which goes on to the next chain
//! where a rule of a policy admits the packet, and refuses it at its end. Services are translated to
//! pods before these rules see a packet, so that they judge as the API documents it: by the pods and
//! ports at both ends. An address of the pod network that is no known pod's is refused: a new pod has
//! no traffic before its policies are known, and after an agent that has died none ever.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::{Selector, SelectorExt as _};

/// Name of the table, of the family `ip`: pods have no other addresses.
pub(super) const TABLE: &str = "mlp_policy";

/// Labels of something.
pub(super) type Labels = BTreeMap<String, String>;

/// A pod of this node that has an address of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) labels: Labels,
    pub(super) address: Ipv4Addr,
    /// Named ports: name and protocol to number.
    pub(super) ports: BTreeMap<(String, String), u16>,
}

/// What the API holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cluster {
    pub(super) pods: Vec<Pod>,
    pub(super) namespaces: BTreeMap<String, Labels>,
    pub(super) policies: Vec<NetworkPolicy>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    const fn policy_type(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }

    /// Prefix of the chains and name of the map.
    const fn chain(self) -> &'static str {
        match self {
            Self::Ingress => "in",
            Self::Egress => "out",
        }
    }

    /// Where the packet carries the address of the other end.
    const fn other(self) -> &'static str {
        match self {
            Self::Ingress => "saddr",
            Self::Egress => "daddr",
        }
    }

    /// Where it carries the address of the pod that is judged for.
    const fn own(self) -> &'static str {
        match self {
            Self::Ingress => "daddr",
            Self::Egress => "saddr",
        }
    }
}

/// The script that replaces all rules at once, in one transaction. `pods` is the node's pod network.
pub(super) fn script(cluster: &Cluster, pods: &str) -> String {
    let mut chains = String::new();
    let mut maps = String::new();
    for direction in [Direction::Egress, Direction::Ingress] {
        let mut elements = Vec::new();
        for (pod, address) in addressed(cluster) {
            let policies: Vec<_> = selecting(cluster, pod, direction).collect();
            if policies.is_empty() {
                elements.push(format!("{address} : continue"));
                continue;
            }
            let name = format!("{}_{}", direction.chain(), address.to_string().replace('.', "_"));
            elements.push(format!("{address} : jump {name}"));
            let _ = writeln!(chains, "  chain {name} {{\n    ip {} {address} return", direction.other());
            for matches in policies.iter().flat_map(|spec| admitted(cluster, pod, spec, direction)) {
                let _ = writeln!(chains, "    {matches}{}return", space(&matches));
            }
            let _ = writeln!(chains, "    counter reject with icmp type admin-prohibited\n  }}");
        }
        let list = if elements.is_empty() {
            String::new()
        } else {
            format!(" elements = {{ {} }};", elements.join(", "))
        };
        let _ = writeln!(maps, "  map {} {{ type ipv4_addr : verdict;{list} }}", direction.chain());
    }
    let known: Vec<String> = addressed(cluster).map(|(_, address)| address.to_string()).collect();
    let known =
        if known.is_empty() { String::new() } else { format!(" elements = {{ {} }};", known.join(", ")) };
    let judged = |direction: Direction| {
        let (own, map) = (direction.own(), direction.chain());
        format!(
            "    ip {own} {pods} ip {own} != @known counter reject with icmp type admin-prohibited\n    ip {own} {pods} ip {own} vmap @{map}\n"
        )
    };
    let (out, into) = (judged(Direction::Egress), judged(Direction::Ingress));
    // Before kube-proxy's own filter, though none of its verdicts could undo a refusal. What the node
    // itself sends passes `output`: a node reaches its pods.
    format!(
        "add table ip {TABLE}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n  set known {{ type ipv4_addr;{known} }}\n{chains}{maps}  \
         chain forward {{\n    type filter hook forward priority filter - 5; policy accept;\n    ct state established,related accept\n{out}{into}  }}\n  \
         chain input {{\n    type filter hook input priority filter - 5; policy accept;\n    ct state established,related accept\n{out}  }}\n}}\n"
    )
}

fn addressed(cluster: &Cluster) -> impl Iterator<Item = (&Pod, Ipv4Addr)> {
    // Two pods of one address: one of them has ended, and a map takes a key once.
    let mut seen = BTreeSet::new();
    let pods = cluster.pods.iter().map(|pod| (pod, pod.address));
    pods.filter(move |(_, address)| seen.insert(*address))
}

/// Policies that concern a pod in a direction. Where `policyTypes` is left out, Ingress is meant, and
/// Egress as well if there are egress rules.
fn selecting<'a>(
    cluster: &'a Cluster,
    pod: &'a Pod,
    direction: Direction,
) -> impl Iterator<Item = &'a NetworkPolicySpec> {
    cluster.policies.iter().filter_map(move |policy| {
        let spec = policy.spec.as_ref()?;
        let types = spec.policy_types.iter().flatten();
        let listed = types.clone().any(|kind| kind == direction.policy_type());
        let implied = types.count() == 0
            && (direction == Direction::Ingress
                || spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()));
        let here = policy.metadata.namespace.as_deref() == Some(&pod.namespace);
        let selected = spec.pod_selector.as_ref().is_none_or(|selector| selects(selector, &pod.labels));
        (here && selected && (listed || implied)).then_some(spec)
    })
}

fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    // One that the API server would not have admitted selects nothing.
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

/// Peers and ports of a rule of either direction; a list that is empty or left out admits all.
type Rule<'a> = (Option<&'a [NetworkPolicyPeer]>, Option<&'a [NetworkPolicyPort]>);

/// Packets that the rules of a policy admit, as matches of nftables.
fn admitted(cluster: &Cluster, pod: &Pod, spec: &NetworkPolicySpec, direction: Direction) -> Vec<String> {
    let rules: Vec<Rule<'_>> = match direction {
        Direction::Ingress => {
            let rules = spec.ingress.iter().flatten();
            rules.map(|rule| (rule.from.as_deref(), rule.ports.as_deref())).collect()
        }
        Direction::Egress => {
            let rules = spec.egress.iter().flatten();
            rules.map(|rule| (rule.to.as_deref(), rule.ports.as_deref())).collect()
        }
    };
    let mut all = Vec::new();
    for (peers, ports) in rules {
        let peers = peers.unwrap_or_default();
        let mut ends: Vec<End> = peers.iter().filter_map(|peer| end(cluster, &pod.namespace, peer)).collect();
        if peers.is_empty() {
            ends.push(End { matches: String::new(), pods: addressed(cluster).collect() });
        }
        for end in &ends {
            let field = direction.other();
            let other = if end.matches.is_empty() { String::new() } else { end.matches.replace('@', field) };
            match ports.unwrap_or_default() {
                [] => all.push(other),
                ports => all.extend(ports.iter().flat_map(|port| match direction {
                    Direction::Ingress => at_own_port(&other, pod, port),
                    Direction::Egress => at_port_of(&other, &end.pods, port),
                })),
            }
        }
    }
    all
}

/// The other end of a rule: matches with `@` for the field of the address, and the pods among it.
struct End<'a> {
    matches: String,
    pods: Vec<(&'a Pod, Ipv4Addr)>,
}

/// None where a peer means nobody.
fn end<'a>(cluster: &'a Cluster, namespace: &str, peer: &NetworkPolicyPeer) -> Option<End<'a>> {
    if let Some(block) = &peer.ip_block {
        // Whoever is in the block, pods among them: their addresses narrow it down where a port has a name.
        return Some(End { matches: in_block(block)?, pods: addressed(cluster).collect() });
    }
    if peer.namespace_selector.is_none() && peer.pod_selector.is_none() {
        return None;
    }
    let meant = |pod: &Pod| {
        let here = match &peer.namespace_selector {
            Some(selector) => {
                cluster.namespaces.get(&pod.namespace).is_some_and(|labels| selects(selector, labels))
            }
            None => pod.namespace == namespace,
        };
        here && peer.pod_selector.as_ref().is_none_or(|selector| selects(selector, &pod.labels))
    };
    let pods: Vec<_> = addressed(cluster).filter(|(pod, _)| meant(pod)).collect();
    let addresses: Vec<String> = pods.iter().map(|(_, address)| address.to_string()).collect();
    (!pods.is_empty()).then(|| End { matches: format!("ip @ {{ {} }}", addresses.join(", ")), pods })
}

/// None for a block of the other family.
fn in_block(block: &IPBlock) -> Option<String> {
    let is_four = |cidr: &str| !cidr.contains(':');
    if !is_four(&block.cidr) {
        return None;
    }
    let mut matches = if block.cidr.ends_with("/0") { String::new() } else { format!("ip @ {}", block.cidr) };
    let except: Vec<&str> =
        block.except.iter().flatten().map(String::as_str).filter(|cidr| is_four(cidr)).collect();
    if !except.is_empty() {
        let _ = write!(matches, "{}ip @ != {{ {} }}", space(&matches), except.join(", "));
    }
    Some(matches)
}

fn space(matches: &str) -> &'static str {
    if matches.is_empty() { "" } else { " " }
}

fn protocol(port: &NetworkPolicyPort) -> String {
    port.protocol.as_deref().unwrap_or("TCP").to_lowercase()
}

/// A port of a rule by its number or range; none where it is a name.
fn by_number(port: &NetworkPolicyPort) -> Option<String> {
    match (&port.port, port.end_port) {
        (None, _) => Some(String::new()),
        (Some(IntOrString::Int(first)), Some(last)) => Some(format!(" th dport {first}-{last}")),
        (Some(IntOrString::Int(number)), None) => Some(format!(" th dport {number}")),
        (Some(IntOrString::String(_)), _) => None,
    }
}

fn number_of(pod: &Pod, port: &NetworkPolicyPort) -> Option<u16> {
    let Some(IntOrString::String(name)) = &port.port else { return None };
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    pod.ports.get(&(name.clone(), protocol.to_owned())).copied()
}

/// Into the pod itself: a name is one of its own ports.
fn at_own_port(other: &str, pod: &Pod, port: &NetworkPolicyPort) -> Vec<String> {
    let dport = by_number(port).or_else(|| number_of(pod, port).map(|number| format!(" th dport {number}")));
    let protocol = protocol(port);
    dport.map(|dport| format!("{other}{}meta l4proto {protocol}{dport}", space(other))).into_iter().collect()
}

/// Out of a pod: a name is a port of whoever is at the other end.
fn at_port_of(other: &str, pods: &[(&Pod, Ipv4Addr)], port: &NetworkPolicyPort) -> Vec<String> {
    let protocol = protocol(port);
    if let Some(dport) = by_number(port) {
        return vec![format!("{other}{}meta l4proto {protocol}{dport}", space(other))];
    }
    let named = pods.iter().filter_map(|(pod, address)| Some((address, number_of(pod, port)?)));
    let matches = |(address, number)| {
        format!("{other}{}ip daddr {address} meta l4proto {protocol} th dport {number}", space(other))
    };
    named.map(matches).collect()
}

#[cfg(test)]
mod tests;
