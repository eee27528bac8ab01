use serde_json::{Value, json};

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn pod(namespace: &str, app: &str, last: u8) -> Pod {
    Pod {
        namespace: namespace.to_owned(),
        labels: labels(&[("app", app)]),
        address: Ipv4Addr::new(10, 244, 0, last),
        ports: [(("http".to_owned(), "TCP".to_owned()), 8080)].into(),
    }
}

/// `app/web` is .1, `app/client` .2, `ml/client` .3; the policy is in `app`.
fn cluster(specs: &[Value]) -> Cluster {
    let policy = |(number, spec): (usize, &Value)| {
        let named = json!({"metadata": {"name": format!("p{number}"), "namespace": "app"}, "spec": spec});
        serde_json::from_value(named).unwrap()
    };
    let namespaces = ["app", "ml"].map(|name| (name.to_owned(), labels(&[("team", name)])));
    Cluster {
        pods: vec![pod("app", "web", 1), pod("app", "client", 2), pod("ml", "client", 3)],
        namespaces: namespaces.into(),
        policies: specs.iter().enumerate().map(policy).collect(),
    }
}

/// The rules of a chain, without its last, which refuses.
fn chain(specs: &[Value], name: &str) -> Vec<String> {
    let script = script(&cluster(specs), "10.244.0.0/24");
    let begin = format!("  chain {name} {{\n");
    let text = script.split_once(&begin).unwrap_or_else(|| panic!("no chain {name} in\n{script}")).1;
    let lines = text.lines().take_while(|line| !line.contains("reject"));
    lines.map(|line| line.trim().to_owned()).collect()
}

/// What admits into `app/web`, beside itself.
fn into_web(spec: Value) -> Vec<String> {
    chain(&[spec], "in_10_244_0_1").split_off(1)
}

#[test]
fn before_anything_is_known_every_address_of_a_pod_is_refused() {
    let script = script(&Cluster::default(), "10.244.0.0/24");
    assert!(script.contains("set known { type ipv4_addr; }"), "{script}");
    assert_eq!(script.matches("ip saddr 10.244.0.0/24 ip saddr != @known counter reject").count(), 2);
    assert!(
        script.starts_with("add table ip mlp_policy\ndelete table ip mlp_policy\n"),
        "replaced as a whole"
    );
}

#[test]
fn a_pod_that_no_policy_selects_has_no_chain_and_goes_on() {
    let other =
        json!({"podSelector": {"matchLabels": {"app": "other"}}, "policyTypes": ["Ingress", "Egress"]});
    let script = script(&cluster(&[other]), "10.244.0.0/24");
    assert!(
        script.contains("map in { type ipv4_addr : verdict; elements = { 10.244.0.1 : continue,"),
        "{script}"
    );
    assert!(!script.contains("chain in_"));
}

#[test]
fn a_selected_pod_speaks_to_itself_and_to_nobody_else() {
    let deny = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    assert_eq!(chain(std::slice::from_ref(&deny), "in_10_244_0_1"), ["ip saddr 10.244.0.1 return"]);
    assert_eq!(chain(&[deny], "out_10_244_0_1"), ["ip daddr 10.244.0.1 return"]);
}

#[test]
fn left_out_types_mean_ingress_and_egress_only_with_rules() {
    let has = |spec: Value, name: &str| {
        script(&cluster(&[spec]), "10.244.0.0/24").contains(&format!("chain {name} "))
    };
    assert!(
        has(json!({"podSelector": {}}), "in_10_244_0_1")
            && !has(json!({"podSelector": {}}), "out_10_244_0_1")
    );
    let out = json!({"podSelector": {}, "egress": [{}]});
    assert!(has(out.clone(), "in_10_244_0_1") && has(out, "out_10_244_0_1"));
}

#[test]
fn peers_are_the_addresses_of_the_pods_that_they_mean() {
    let from = |peers: Value| into_web(json!({"podSelector": {}, "ingress": [{"from": peers}]}));
    let client = json!({"matchLabels": {"app": "client"}});
    let ml = json!({"matchLabels": {"team": "ml"}});
    assert_eq!(from(json!([{"podSelector": client}])), ["ip saddr { 10.244.0.2 } return"]);
    assert_eq!(from(json!([{"namespaceSelector": ml}])), ["ip saddr { 10.244.0.3 } return"]);
    assert_eq!(
        from(json!([{"namespaceSelector": {}, "podSelector": client}])),
        ["ip saddr { 10.244.0.2, 10.244.0.3 } return"]
    );
    assert_eq!(
        from(json!([{"namespaceSelector": ml}, {"podSelector": client}])),
        ["ip saddr { 10.244.0.2, 10.244.0.3 } return"],
        "two peers: or"
    );
    assert!(from(json!([{"podSelector": {"matchLabels": {"app": "nobody"}}}])).is_empty());
    assert!(from(json!([{}])).is_empty(), "a peer of nothing means nobody");
    assert_eq!(from(json!([])), ["return"], "no peers mean everybody");
}

#[test]
fn blocks_with_exceptions_and_those_of_the_other_family() {
    let from =
        |block: Value| into_web(json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": block}]}]}));
    assert_eq!(from(json!({"cidr": "10.0.0.0/8"})), ["ip saddr 10.0.0.0/8 return"]);
    assert_eq!(
        from(json!({"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16", "10.1.0.0/16"]})),
        ["ip saddr != 169.254.0.0/16 ip saddr != 10.1.0.0/16 return"]
    );
    assert_eq!(from(json!({"cidr": "0.0.0.0/0"})), ["return"]);
    assert!(from(json!({"cidr": "::/0", "except": ["fd00::/8"]})).is_empty());
    assert_eq!(
        from(json!({"cidr": "010.9.9.9/8", "except": ["10.0.0.0/8", "10.1.0.0/16"]})),
        ["ip saddr 10.0.0.0/8 ip saddr != 10.0.0.0/8 ip saddr != 10.1.0.0/16 return"],
        "zeros in front and exceptions that overlap, both of which the API server takes"
    );
    assert!(from(json!({"cidr": "10.0.0.0/8", "except": ["x"]})).is_empty(), "unreadable: nobody");
}

#[test]
fn ports_by_number_range_and_name() {
    let ports = |ports: Value| into_web(json!({"podSelector": {}, "ingress": [{"ports": ports}]}));
    assert_eq!(ports(json!([{"port": 80}])), ["meta l4proto tcp th dport { 80 } return"]);
    assert_eq!(ports(json!([{"port": 53, "protocol": "UDP"}])), ["meta l4proto udp th dport { 53 } return"]);
    assert_eq!(
        ports(json!([{"port": 8000, "endPort": 8080}])),
        ["meta l4proto tcp th dport { 8000-8080 } return"]
    );
    assert_eq!(ports(json!([{"port": "http"}])), ["meta l4proto tcp th dport 8080 return"]);
    assert!(ports(json!([{"port": "grpc"}])).is_empty(), "a name that the pod does not have");
    assert_eq!(ports(json!([{"protocol": "SCTP"}])), ["meta l4proto sctp return"]);
}

#[test]
fn a_name_in_egress_is_a_port_of_the_other_end() {
    let out = |to: Value| {
        let spec = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [to], "ports": [{"port": "http"}]}]});
        chain(&[spec], "out_10_244_0_1").split_off(1)
    };
    assert_eq!(
        out(json!({"namespaceSelector": {"matchLabels": {"team": "ml"}}})),
        ["ip daddr { 10.244.0.3 } ip daddr 10.244.0.3 meta l4proto tcp th dport 8080 return"]
    );
    assert_eq!(
        out(json!({"ipBlock": {"cidr": "10.244.0.0/24"}})).len(),
        3,
        "each pod, where it is in the block"
    );
}

#[test]
fn policies_add_up() {
    let deny = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
    let admit =
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"ports": [{"port": 1}]}]});
    assert_eq!(
        chain(&[deny.clone(), admit.clone()], "in_10_244_0_1"),
        ["ip saddr 10.244.0.1 return", "meta l4proto tcp th dport { 1 } return"]
    );
    assert_eq!(chain(&[deny, admit], "in_10_244_0_2"), ["ip saddr 10.244.0.2 return"]);
}

#[test]
fn one_policy_without_end_stays_small() {
    let peers: Vec<Value> = (0..5_000).map(|_| json!({"podSelector": {}})).collect();
    let ports: Vec<Value> = (1..=5_000).map(|port| json!({"port": port})).collect();
    let rules: Vec<Value> = (0..5_000).map(|_| json!({"ports": [{"port": "http"}, {"port": 1}]})).collect();
    let one = into_web(json!({"podSelector": {}, "ingress": [{"from": peers, "ports": ports}]}));
    assert_eq!(one, ["ip saddr { 10.244.0.1, 10.244.0.2 } meta l4proto tcp th dport { 1-500 } return"]);
    assert_eq!(into_web(json!({"podSelector": {}, "ingress": rules})).len(), MOST);
}

#[test]
fn ports_of_one_protocol_are_one_set_and_ranges_that_touch_are_one() {
    let ports = json!([{"port": 80}, {"port": 81, "endPort": 90}, {"port": 85}, {"port": 443}, {"port": 7, "endPort": 7}]);
    assert_eq!(
        into_web(json!({"podSelector": {}, "ingress": [{"ports": ports}]})),
        ["meta l4proto tcp th dport { 7, 80-90, 443 } return"]
    );
}

#[test]
fn an_address_of_two_pods_is_nobodys() {
    let mut cluster = cluster(&[json!({"podSelector": {}})]);
    cluster.pods[1].address = cluster.pods[0].address;
    let script = script(&cluster, "10.244.0.0/24");
    assert!(script.contains("set known { type ipv4_addr; elements = { 10.244.0.3 }; }"), "{script}");
}
