//! Which traffic a team's pods may have.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Default deny in both directions, with rules that admit.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicySpec {
    /// Whether policies are written. Default: Enforced.
    #[serde(default)]
    pub mode: NetworkMode,
    /// Whether the platform's default rules are admitted beside the ones listed: DNS, the team's own
    /// namespaces, HTTPS out, ingress controller and monitoring in, shared stores out. Default: true.
    #[serde(default = "yes")]
    pub include_defaults: bool,
    /// Traffic admitted into the team's pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_string()]))]
    pub ingress: Vec<NetworkRule>,
    /// Traffic admitted out of the team's pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_string()]))]
    pub egress: Vec<NetworkRule>,
}

impl Default for NetworkPolicySpec {
    fn default() -> Self {
        Self { mode: NetworkMode::Enforced, include_defaults: true, ingress: vec![], egress: vec![] }
    }
}

const fn yes() -> bool {
    true
}

/// Whether network policy is written.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// Default deny and the rules that admit are written.
    #[default]
    Enforced,
    /// No policy is written; all traffic is admitted.
    Off,
}

/// One admission of traffic. Without a peer (`namespace`, `namespaceLabels`, `cidr`) it is any.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.except) || has(self.cidr)").message("networkPolicy rule except: leaves something out of cidr; set cidr"))]
#[x_kube(validation = Rule::new("(has(self.namespace) ? 1 : 0) + (has(self.namespaceLabels) ? 1 : 0) + (has(self.cidr) ? 1 : 0) <= 1")
    .message("networkPolicy rule: set at most one of namespace, namespaceLabels and cidr"))]
pub struct NetworkRule {
    /// The rule's name, unique in its list; part of the policy's name.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// The other side: all pods of the namespace of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// The other side: all pods of namespaces with these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 8))]
    pub namespace_labels: Option<BTreeMap<String, String>>,
    /// The other side: addresses in CIDR notation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("isCIDR(self)").message("networkPolicy rule cidr: write addresses in CIDR notation, for example 10.0.0.0/16"))]
    pub cidr: Option<String>,
    /// Parts of `cidr` that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    #[x_kube(validation = Rule::new("self.all(block, isCIDR(block))").message("networkPolicy rule except: write addresses in CIDR notation, for example 10.0.0.0/16"))]
    pub except: Vec<String>,
    /// Ports; none listed means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub ports: Vec<PolicyPort>,
}

/// One port.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyPort {
    /// Transport. Default: TCP.
    #[serde(default)]
    pub protocol: Protocol,
    /// Port number.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

/// Transport protocol.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The protocol as Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

impl NetworkPolicySpec {
    /// Every rule that is admitted, in either direction, defaults among them.
    pub fn all_rules(&self) -> Vec<NetworkRule> {
        let defaults =
            self.include_defaults.then(|| [Self::default_ingress(), Self::default_egress()].concat());
        let listed = self.ingress.iter().chain(&self.egress).cloned();
        defaults.into_iter().flatten().chain(listed).collect()
    }

    /// The platform's default ingress rules (seed dossier section 1.5); the team's own namespaces
    /// are admitted as well.
    pub fn default_ingress() -> Vec<NetworkRule> {
        vec![
            rule("ingress-controller", Some("ingress-nginx"), &[]),
            rule("monitoring", Some("monitoring"), &[(Protocol::Tcp, 8080), (Protocol::Tcp, 9090)]),
        ]
    }

    /// The platform's default egress rules (seed dossier section 1.5, with DNS over TCP, the
    /// platform's events and its gRPC added); the team's own namespaces are admitted as well.
    pub fn default_egress() -> Vec<NetworkRule> {
        vec![
            rule("dns", Some("kube-system"), &DNS),
            // NodeLocal DNSCache: the node answers at this address, which leads nowhere else.
            NetworkRule { cidr: Some("169.254.20.10/32".to_owned()), ..rule("dns-of-the-node", None, &DNS) },
            outside("https", "0.0.0.0/0", "169.254.0.0/16"),
            outside("https-v6", "::/0", "fd00:ec2::254/128"),
            rule("shared-database", Some("database"), &[(Protocol::Tcp, 5432)]),
            rule("shared-cache", Some("cache"), &[(Protocol::Tcp, 6379)]),
            rule("shared-storage", Some("storage"), &[(Protocol::Tcp, 9000)]),
            rule("platform", Some("mlp-system"), &[(Protocol::Tcp, 4222), (Protocol::Tcp, 9090)]),
        ]
    }
}

/// Of the cluster's own DNS alone: a name server elsewhere is a way out for data.
const DNS: [(Protocol, u16); 2] = [(Protocol::Udp, 53), (Protocol::Tcp, 53)];

/// HTTPS to everywhere but the metadata service, which hands out a node's own credentials.
fn outside(name: &str, cidr: &str, metadata: &str) -> NetworkRule {
    NetworkRule {
        cidr: Some(cidr.to_owned()),
        except: vec![metadata.to_owned()],
        ..rule(name, None, &[(Protocol::Tcp, 443)])
    }
}

fn rule(name: &str, namespace: Option<&str>, ports: &[(Protocol, u16)]) -> NetworkRule {
    NetworkRule {
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
        ports: ports.iter().map(|&(protocol, port)| PolicyPort { protocol, port }).collect(),
        ..NetworkRule::default()
    }
}
