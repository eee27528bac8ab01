//! The API's documented semantics, sentence by sentence.

use serde_json::{Value, json};

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn pod(namespace: &str, app: &str, address: &str) -> Pod {
    Pod {
        namespace: namespace.to_owned(),
        name: app.to_owned(),
        labels: labels(&[("app", app)]),
        addresses: vec![address.parse().unwrap()],
        ports: [(("http".to_owned(), "TCP".to_owned()), 8080)].into(),
    }
}

fn web() -> Pod {
    pod("app", "web", "10.244.1.1")
}

fn client() -> Pod {
    pod("app", "client", "10.244.1.2")
}

fn stranger() -> Pod {
    pod("ml", "client", "10.244.2.2")
}

fn cluster(specs: &[Value]) -> Cluster {
    let policies = specs.iter().enumerate().map(|(number, spec)| {
        serde_json::from_value(
            json!({"metadata": {"name": format!("p{number}"), "namespace": "app"}, "spec": spec}),
        )
        .unwrap()
    });
    let namespaces =
        [("app", "app"), ("ml", "ml")].map(|(name, team)| (name.to_owned(), labels(&[("team", team)])));
    Cluster { namespaces: namespaces.into(), policies: policies.collect() }
}

fn packet(from: Pod, to: Pod, port: u16) -> Packet {
    Packet { from: End::Pod(from), to: End::Pod(to), protocol: "TCP".to_owned(), port }
}

/// Whether the client in the same namespace, and the one in another, reach the web server's port.
fn reached(spec: Value, port: u16) -> (bool, bool) {
    let cluster = cluster(&[spec]);
    let arrives = |from| judge(&cluster, &packet(from, web(), port)).arrives();
    (arrives(client()), arrives(stranger()))
}

#[test]
fn without_a_policy_everything_is_open() {
    let verdict = judge(&cluster(&[]), &packet(stranger(), web(), 80));
    assert_eq!(verdict, Verdict { egress: Decision::Open, ingress: Decision::Open });
}

#[test]
fn a_policy_isolates_the_pods_that_it_selects_and_no_others() {
    let deny = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
    assert_eq!(reached(deny, 80), (false, false));
    let others = json!({"podSelector": {"matchLabels": {"app": "other"}}, "policyTypes": ["Ingress"]});
    assert_eq!(reached(others, 80), (true, true));
}

#[test]
fn an_empty_rule_admits_all_and_no_rule_admits_none() {
    assert_eq!(reached(json!({"podSelector": {}, "ingress": [{}]}), 80), (true, true));
    assert_eq!(reached(json!({"podSelector": {}, "ingress": [{"from": []}]}), 80), (true, true));
    assert_eq!(reached(json!({"podSelector": {}, "ingress": []}), 80), (false, false));
}

#[test]
fn the_four_kinds_of_peers() {
    let from = |peers: Value| json!({"podSelector": {}, "ingress": [{"from": peers}]});
    let client = json!({"matchLabels": {"app": "client"}});
    let ml = json!({"matchLabels": {"team": "ml"}});
    assert_eq!(
        reached(from(json!([{"podSelector": client}])), 80),
        (true, false),
        "pods of the policy's namespace"
    );
    assert_eq!(
        reached(from(json!([{"namespaceSelector": ml}])), 80),
        (false, true),
        "all pods of some namespaces"
    );
    assert_eq!(reached(from(json!([{"namespaceSelector": {}}])), 80), (true, true), "all namespaces");
    assert_eq!(
        reached(from(json!([{"namespaceSelector": ml, "podSelector": {"matchLabels": {"app": "x"}}}])), 80),
        (false, false),
        "both in one peer: and"
    );
    assert_eq!(
        reached(from(json!([{"namespaceSelector": ml}, {"podSelector": client}])), 80),
        (true, true),
        "two peers: or"
    );
    assert_eq!(reached(from(json!([{"ipBlock": {"cidr": "10.244.2.0/24"}}])), 80), (false, true));
    assert_eq!(
        reached(from(json!([{"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.2.0/24"]}}])), 80),
        (true, false)
    );
    assert_eq!(reached(from(json!([{}])), 80), (false, false), "a peer of nothing");
}

#[test]
fn selectors_with_expressions() {
    let with = |operator: &str, values: Value| {
        let expression = json!([{"key": "team", "operator": operator, "values": values}]);
        reached(
            json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchExpressions": expression}}]}]}),
            80,
        )
    };
    assert_eq!(with("In", json!(["ml", "x"])), (false, true));
    assert_eq!(with("NotIn", json!(["ml"])), (true, false));
    assert_eq!(with("Exists", json!(null)), (true, true));
    assert_eq!(with("DoesNotExist", json!(null)), (false, false));
}

#[test]
fn ports_by_number_range_and_name() {
    let ports =
        |ports: Value, port| reached(json!({"podSelector": {}, "ingress": [{"ports": ports}]}), port).0;
    assert!(ports(json!([{"port": 80}]), 80) && !ports(json!([{"port": 80}]), 81));
    assert!(!ports(json!([{"port": 80, "protocol": "UDP"}]), 80), "TCP where no protocol is named");
    let range = || json!([{"port": 8000, "endPort": 8080}]);
    assert!(ports(range(), 8000) && ports(range(), 8080) && !ports(range(), 8081));
    assert!(ports(json!([{"port": "http"}]), 8080) && !ports(json!([{"port": "http"}]), 80));
    assert!(ports(json!([{"protocol": "TCP"}]), 5), "every port of a protocol");
    assert!(ports(json!([]), 5));
}

#[test]
fn policies_add_up_and_the_admitting_rule_is_named() {
    let deny = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
    let admit =
        json!({"podSelector": {}, "ingress": [{"ports": [{"port": 1}]}, {"from": [{"podSelector": {}}]}]});
    let verdict = judge(&cluster(&[deny.clone(), admit]), &packet(client(), web(), 80));
    assert_eq!(verdict.ingress, Decision::Admitted { policy: "app/p1".to_owned(), rule: 1 });
    let verdict = judge(&cluster(&[deny]), &packet(client(), web(), 80));
    assert_eq!(verdict.ingress, Decision::Denied { policies: vec!["app/p0".to_owned()] });
}

#[test]
fn both_ends_must_agree() {
    let deny_out = json!({"podSelector": {"matchLabels": {"app": "client"}}, "policyTypes": ["Egress"]});
    let verdict = judge(&cluster(&[deny_out]), &packet(client(), web(), 80));
    assert!(!verdict.arrives() && verdict.ingress == Decision::Open);
}

#[test]
fn left_out_types_mean_ingress_and_egress_only_with_rules() {
    let out = |spec: Value| judge(&cluster(&[spec]), &packet(client(), stranger(), 80)).egress.passes();
    assert!(out(json!({"podSelector": {}})));
    assert!(!out(json!({"podSelector": {}, "egress": [{"ports": [{"port": 1}]}]})));
    assert_eq!(
        reached(json!({"podSelector": {}, "egress": [{}]}), 80),
        (false, false),
        "Ingress is meant as well"
    );
}

#[test]
fn a_pod_reaches_itself_and_an_outside_address_is_a_block() {
    let deny = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    assert!(judge(&cluster(std::slice::from_ref(&deny)), &packet(web(), web(), 80)).arrives());
    let out = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}]}]});
    let to = |address: &str| {
        let packet = Packet { to: End::Address(address.parse().unwrap()), ..packet(client(), web(), 80) };
        judge(&cluster(&[deny.clone(), out.clone()]), &packet).arrives()
    };
    assert!(to("8.8.8.8") && !to("169.254.169.254"));
}
