//! Network policy: everything is denied but what is listed.
//!
//! One object does both: it selects all pods for both directions, which denies, and its rules admit.
//! It holds where the cluster's network enforces NetworkPolicy; this service cannot see whether it does.

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use mlp_crds::team::{NetworkPolicySpec as Spec, NetworkRule};
use mlp_model::labels;

use super::metadata;
use crate::domain::model::DeclaredTeam;

/// Name of the policy that denies all traffic in both directions but the listed.
pub const NAME: &str = "team-flows";

/// The policy of one namespace; none where the team's policy is off. With `closed` nothing is
/// admitted any more, whatever the team declares.
pub fn policy(team: &DeclaredTeam, namespace: &str, closed: bool) -> Option<NetworkPolicy> {
    let (ingress, egress) = match &team.network {
        _ if closed => (Vec::new(), Vec::new()),
        Some(spec) => (ingress(team, spec), egress(team, spec)),
        None => return None,
    };
    let spec = NetworkPolicySpec {
        pod_selector: Some(LabelSelector::default()),
        policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
        // An empty list is stated, too: rules that somebody adds to it are not left there.
        ingress: Some(ingress),
        egress: Some(egress),
    };
    Some(NetworkPolicy { metadata: metadata(team, namespace, NAME), spec: Some(spec) })
}

fn ingress(team: &DeclaredTeam, spec: &Spec) -> Vec<NetworkPolicyIngressRule> {
    let mut rules = Vec::new();
    if spec.include_defaults {
        rules.push(NetworkPolicyIngressRule { from: Some(vec![own_namespaces(team)]), ports: None });
    }
    let listed =
        spec.include_defaults.then(Spec::default_ingress).into_iter().flatten().chain(spec.ingress.clone());
    rules.extend(listed.map(|rule| NetworkPolicyIngressRule { from: peer(&rule), ports: ports(&rule) }));
    rules
}

fn egress(team: &DeclaredTeam, spec: &Spec) -> Vec<NetworkPolicyEgressRule> {
    let mut rules = Vec::new();
    if spec.include_defaults {
        rules.push(NetworkPolicyEgressRule { to: Some(vec![own_namespaces(team)]), ports: None });
    }
    let listed =
        spec.include_defaults.then(Spec::default_egress).into_iter().flatten().chain(spec.egress.clone());
    rules.extend(listed.map(|rule| NetworkPolicyEgressRule { to: peer(&rule), ports: ports(&rule) }));
    rules
}

/// All namespaces of the team, by a label that only this service writes.
fn own_namespaces(team: &DeclaredTeam) -> NetworkPolicyPeer {
    namespaces_with(labels::TEAM, team.name.as_str())
}

fn namespaces_with(key: &str, value: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some([(key.to_owned(), value.to_owned())].into()),
            match_expressions: None,
        }),
        ..NetworkPolicyPeer::default()
    }
}

/// The other side of a rule; none means any.
fn peer(rule: &NetworkRule) -> Option<Vec<NetworkPolicyPeer>> {
    if let Some(name) = &rule.namespace {
        // The API server sets this label on every namespace; nobody else can.
        return Some(vec![namespaces_with("kubernetes.io/metadata.name", name)]);
    }
    if let Some(wanted) = &rule.namespace_labels {
        let selector = LabelSelector { match_labels: Some(wanted.clone()), match_expressions: None };
        return Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(selector),
            ..NetworkPolicyPeer::default()
        }]);
    }
    let cidr = rule.cidr.clone()?;
    let except = Some(rule.except.clone()).filter(|except| !except.is_empty());
    let block = IPBlock { cidr, except };
    Some(vec![NetworkPolicyPeer { ip_block: Some(block), ..NetworkPolicyPeer::default() }])
}

fn ports(rule: &NetworkRule) -> Option<Vec<NetworkPolicyPort>> {
    let ports = rule.ports.iter().map(|port| NetworkPolicyPort {
        protocol: Some(port.protocol.as_str().to_owned()),
        port: Some(IntOrString::Int(i32::from(port.port))),
        end_port: None,
    });
    Some(ports.collect::<Vec<_>>()).filter(|ports| !ports.is_empty())
}
