//! NetworkPolicy as packet rules: a pure function from what the API holds to one script for `nft`.
//!
//! Each pod that a policy selects has a chain for that direction, which goes on to the next chain
//! where a rule of a policy admits the packet, and refuses it at its end. Services are translated to
//! pods before these rules see a packet, so that they judge as the API documents it: by the pods and
//! ports at both ends. An address of the pod network that is no known pod's is refused: a new pod has
//! no traffic before its policies are known, and after an agent that has died none ever.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::{Selector, SelectorExt as _};

/// Name of the table, of the family `ip`: pods have no other addresses.
const TABLE: &str = "mlp_policy";

/// Rules, peers and ports of a policy, and matches of a pod in one direction, at most; those beyond admit
/// nothing. A team can write policies without end, and the kernel must take all rules of the node at once.
const MOST: usize = 500;

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
    let known = known(cluster);
    let (mut chains, mut maps) = (String::new(), String::new());
    for direction in [Direction::Egress, Direction::Ingress] {
        let compiled: Vec<_> = cluster
            .policies
            .iter()
            .map(|policy| (policy, rules(cluster, &known, policy, direction)))
            .collect();
        let verdicts = known.iter().map(|pod| {
            let selecting = compiled.iter().filter(|(policy, _)| concerns(policy, pod, direction));
            let rules: Vec<_> = selecting.map(|(_, rules)| rules).collect();
            if rules.is_empty() {
                return format!("{} : continue", pod.address);
            }
            let name = format!("{}_{}", direction.chain(), pod.address.to_string().replace('.', "_"));
            chains.push_str(&chain(&name, pod, rules.into_iter().flatten(), direction));
            format!("{} : jump {name}", pod.address)
        });
        let verdicts = elements(verdicts);
        let _ = writeln!(maps, "  map {} {{ type ipv4_addr : verdict;{verdicts} }}", direction.chain());
    }
    let judged = |direction: Direction| {
        let (own, map) = (direction.own(), direction.chain());
        format!(
            "    ip {own} {pods} ip {own} != @known counter reject with icmp type admin-prohibited\n    ip {own} {pods} ip {own} vmap @{map}\n"
        )
    };
    let (out, into) = (judged(Direction::Egress), judged(Direction::Ingress));
    let known = elements(known.iter().map(|pod| pod.address.to_string()));
    // Before kube-proxy's own filter, though none of its verdicts could undo a refusal. What the node
    // itself sends passes `output`: a node reaches its pods.
    format!(
        "add table ip {TABLE}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n  set known {{ type ipv4_addr;{known} }}\n{chains}{maps}  \
         chain forward {{\n    type filter hook forward priority filter - 5; policy accept;\n    ct state established,related accept\n{out}{into}  }}\n  \
         chain input {{\n    type filter hook input priority filter - 5; policy accept;\n    ct state established,related accept\n{out}  }}\n}}\n"
    )
}

/// Pods by address. Of two that claim one, one is no more, and whose it is nobody can say yet: it is nobody's.
fn known(cluster: &Cluster) -> Vec<&Pod> {
    let mut claims: BTreeMap<Ipv4Addr, usize> = BTreeMap::new();
    for pod in &cluster.pods {
        *claims.entry(pod.address).or_default() += 1;
    }
    cluster.pods.iter().filter(|pod| claims.get(&pod.address) == Some(&1)).collect()
}

/// The members of a set or map; a list of none would be an error of syntax.
fn elements(members: impl Iterator<Item = String>) -> String {
    let members = members.collect::<Vec<_>>().join(", ");
    if members.is_empty() { members } else { format!(" elements = {{ {members} }};") }
}

/// The chain of one pod: itself, whatever the rules admit, and nobody else.
fn chain<'a>(
    name: &str,
    pod: &Pod,
    rules: impl Iterator<Item = &'a Rule<'a>>,
    direction: Direction,
) -> String {
    let mut text = format!("  chain {name} {{\n    ip {} {} return\n", direction.other(), pod.address);
    for matches in rules.flat_map(|rule| admitted(rule, pod, direction)).take(MOST) {
        let _ = writeln!(text, "    {}", joined(&matches, "return"));
    }
    text + "    counter reject with icmp type admin-prohibited\n  }\n"
}

/// Whether a policy concerns a pod in a direction. Where `policyTypes` is left out, Ingress is meant, and
/// Egress as well if there are egress rules.
fn concerns(policy: &NetworkPolicy, pod: &Pod, direction: Direction) -> bool {
    let Some(spec) = &policy.spec else { return false };
    let concerned = match spec.policy_types.as_deref().unwrap_or_default() {
        [] => direction == Direction::Ingress || spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
        types => types.iter().any(|kind| kind == direction.policy_type()),
    };
    concerned
        && policy.metadata.namespace.as_deref() == Some(&pod.namespace)
        && spec.pod_selector.as_ref().is_none_or(|selector| selects(selector, &pod.labels))
}

fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    // One that the API server would not have admitted selects nothing.
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

/// Packets that one rule of a policy admits: from or to any of the ends, at any of the ports.
struct Rule<'a> {
    ends: Vec<End<'a>>,
    /// Matches of ports by number; one that is empty is every packet.
    numbered: Vec<String>,
    /// Ports by name, with their protocol.
    named: Vec<(String, String)>,
}

/// The other end of a rule: matches with `@` for the field of the address, and the pods among it.
struct End<'a> {
    matches: String,
    pods: Vec<&'a Pod>,
}

/// The rules of a policy, which do not depend on the pod that is judged for.
fn rules<'a>(
    cluster: &Cluster,
    known: &[&'a Pod],
    policy: &NetworkPolicy,
    direction: Direction,
) -> Vec<Rule<'a>> {
    type Listed<'b> = (&'b Option<Vec<NetworkPolicyPeer>>, &'b Option<Vec<NetworkPolicyPort>>);
    let Some(spec) = &policy.spec else { return Vec::new() };
    let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
    let listed: Vec<Listed<'_>> = match direction {
        Direction::Ingress => spec.ingress.iter().flatten().map(|rule| (&rule.from, &rule.ports)).collect(),
        Direction::Egress => spec.egress.iter().flatten().map(|rule| (&rule.to, &rule.ports)).collect(),
    };
    let rules = listed.into_iter().take(MOST).map(|(peers, ports)| {
        let ports = ports.as_deref().unwrap_or_default();
        let ends = ends(cluster, known, namespace, peers.as_deref().unwrap_or_default());
        Rule { ends, numbered: numbered(ports), named: named(ports) }
    });
    rules.collect()
}

/// The matches of a rule for one pod.
fn admitted(rule: &Rule<'_>, pod: &Pod, direction: Direction) -> Vec<String> {
    let mut all = Vec::new();
    for end in &rule.ends {
        let other = end.matches.replace('@', direction.other());
        all.extend(rule.numbered.iter().map(|port| joined(&other, port)));
        for (protocol, name) in &rule.named {
            let number = |pod: &Pod| pod.ports.get(&(name.clone(), protocol.clone())).copied();
            let at = |number: u16| format!("meta l4proto {} th dport {number}", protocol.to_lowercase());
            match direction {
                // Into the pod itself: a name is one of its own ports.
                Direction::Ingress => all.extend(number(pod).map(|number| joined(&other, &at(number)))),
                // Out of it: a name is a port of whoever is at the other end.
                Direction::Egress => all.extend(end.pods.iter().filter_map(|to| {
                    Some(joined(&other, &format!("ip daddr {} {}", to.address, at(number(to)?))))
                })),
            }
        }
    }
    all
}

fn joined(one: &str, other: &str) -> String {
    format!("{one}{}{other}", if one.is_empty() || other.is_empty() { "" } else { " " })
}

/// The ends that peers mean: all pods together, and each block.
fn ends<'a>(
    cluster: &Cluster,
    known: &[&'a Pod],
    namespace: &str,
    peers: &[NetworkPolicyPeer],
) -> Vec<End<'a>> {
    if peers.is_empty() {
        return vec![End { matches: String::new(), pods: known.to_vec() }];
    }
    let peers = peers.get(..MOST).unwrap_or(peers);
    let blocks = peers.iter().filter_map(|peer| peer.ip_block.as_ref()).filter_map(in_block);
    // Whoever is in a block, pods among them: their addresses narrow it down where a port has a name.
    let mut all: Vec<End<'a>> = blocks.map(|matches| End { matches, pods: known.to_vec() }).collect();
    let meant = |pod: &Pod| peers.iter().any(|peer| means(cluster, namespace, peer, pod));
    let pods: Vec<&Pod> = known.iter().copied().filter(|pod| meant(pod)).collect();
    if !pods.is_empty() {
        let addresses: Vec<String> = pods.iter().map(|pod| pod.address.to_string()).collect();
        all.push(End { matches: format!("ip @ {{ {} }}", addresses.join(", ")), pods });
    }
    all
}

/// Whether a peer that selects means the pod; one of nothing at all means nobody.
fn means(cluster: &Cluster, namespace: &str, peer: &NetworkPolicyPeer, pod: &Pod) -> bool {
    let selects_something = peer.namespace_selector.is_some() || peer.pod_selector.is_some();
    let here = match &peer.namespace_selector {
        Some(selector) => {
            cluster.namespaces.get(&pod.namespace).is_some_and(|labels| selects(selector, labels))
        }
        None => pod.namespace == namespace,
    };
    peer.ip_block.is_none()
        && selects_something
        && here
        && peer.pod_selector.as_ref().is_none_or(|selector| selects(selector, &pod.labels))
}

/// One match for each protocol, of all its numbers; the empty one where no ports are listed.
fn numbered(ports: &[NetworkPolicyPort]) -> Vec<String> {
    if ports.is_empty() {
        return vec![String::new()];
    }
    let mut by_protocol: BTreeMap<String, Option<Vec<(i32, i32)>>> = BTreeMap::new();
    for port in ports.iter().take(MOST) {
        let range = match (&port.port, port.end_port) {
            (None, _) => None,
            (Some(IntOrString::Int(first)), last) => Some((*first, last.unwrap_or(*first))),
            (Some(IntOrString::String(_)), _) => continue,
        };
        let known = by_protocol.entry(protocol(port).to_lowercase()).or_insert_with(|| Some(Vec::new()));
        match (range, known.as_mut()) {
            (Some(range), Some(ranges)) => ranges.push(range),
            // Every port of the protocol.
            (None, _) => *known = None,
            (Some(_), None) => {}
        }
    }
    let matches = by_protocol.into_iter().filter_map(|(protocol, ranges)| match ranges.map(merged) {
        None => Some(format!("meta l4proto {protocol}")),
        Some(ranges) if ranges.is_empty() => None,
        Some(ranges) => Some(format!("meta l4proto {protocol} th dport {{ {} }}", ranges.join(", "))),
    });
    matches.collect()
}

/// Ranges that do not touch each other, as nftables writes them.
fn merged(mut ranges: Vec<(i32, i32)>) -> Vec<String> {
    ranges.sort_unstable();
    let mut all: Vec<(i32, i32)> = Vec::new();
    for (first, last) in
        ranges.into_iter().filter(|(first, last)| (1..=65_535).contains(first) && last >= first)
    {
        match all.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => all.push((first, last)),
        }
    }
    all.into_iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect()
}

fn named(ports: &[NetworkPolicyPort]) -> Vec<(String, String)> {
    let names = ports.iter().take(MOST).filter_map(|port| match &port.port {
        Some(IntOrString::String(name)) => Some((protocol(port).to_owned(), name.clone())),
        _ => None,
    });
    names.collect()
}

fn protocol(port: &NetworkPolicyPort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

/// None for a block of the other family, and for one that cannot be read: it admits nobody then.
fn in_block(block: &IPBlock) -> Option<String> {
    let mut matches = match cidr(&block.cidr)? {
        (_, 0) => String::new(),
        (network, prefix) => format!("ip @ {network}/{prefix}"),
    };
    // One by one: in one set, exceptions that overlap would be an error of the whole script.
    for except in block.except.iter().flatten().filter(|except| !except.contains(':')) {
        let (network, prefix) = cidr(except)?;
        matches = joined(&matches, &format!("ip @ != {network}/{prefix}"));
    }
    Some(matches)
}

/// A block as the API server takes it, numbers with leading zeros among them, written as nftables does.
fn cidr(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let parts: Vec<u8> = address.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
    let address = u32::from_be_bytes(parts.try_into().ok()?);
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    Some((Ipv4Addr::from(address & mask), prefix))
}

#[cfg(test)]
mod tests;
