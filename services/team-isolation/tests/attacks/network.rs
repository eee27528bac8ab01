//! N: network. What admission decides; traffic itself is looked at on the real node.

use serde_json::{Value, json};

use crate::attack::{By, Call, Verdicts, set};
use crate::objects::{HOME, ML, core, ingress, network_policy, of, service};
use crate::persona::{Persona, send};
use crate::world;

pub(crate) const ROWS: [&str; 14] =
    ["N1", "N2", "N3", "N4", "N5", "N6", "N7", "N8", "N9", "N10", "N11", "N12", "N13", "N14"];

const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/app-prod/networkpolicies";

#[tokio::test(flavor = "multi_thread")]
async fn networks() {
    world::ready().await;
    let mut verdicts = Verdicts::default();
    single(&mut verdicts).await;
    verdicts.elsewhere("N5", "names of other teams' services in DNS: a CoreDNS policy; not proven here");
    verdicts.by_traffic("N6");
    verdicts.end(&ROWS);
}

/// Rows that one request decides.
pub(crate) async fn single(verdicts: &mut Verdicts) {
    policies(verdicts).await;
    services(verdicts).await;
    routes(verdicts).await;
}

async fn policies(verdicts: &mut Verdicts) {
    let managed = By::Policy("mlp-managed", "managed-object");
    let path = format!("{POLICIES}/team-flows");
    verdicts.refused("N1", "no policy", Call::plain(Persona::AppAdmin, "DELETE", &path), managed).await;
    let open = json!({"spec": {"ingress": [{}], "egress": [{}]}});
    verdicts.refused("N1", "another policy", Call::patch(Persona::AppAdmin, &path, open), managed).await;
    let stripped = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}});
    verdicts.refused("N1", "nobody's policy", Call::patch(Persona::AppAdmin, &path, stripped), managed).await;
    let create = |place: &str, value: Value| {
        let mut policy = network_policy("n");
        set(&mut policy, "/spec/policyTypes", json!(["Ingress", "Egress"]));
        set(&mut policy, place, value);
        Call::create(Persona::AppEdit, POLICIES, policy)
    };
    let own =
        json!([{"namespaceSelector": {"matchLabels": {"mlplatform.dev/team": "app"}}, "podSelector": {}}]);
    let twin = || create("/spec/ingress/0/from", own.clone());
    let rule = |rule| By::Policy("mlp-network-policies", rule);
    for (what, place, value, by) in [
        ("a rule without peers", "/spec/ingress", json!([{}]), rule("open-policy")),
        ("an empty peer list", "/spec/ingress", json!([{"from": []}]), rule("open-policy")),
        ("everywhere out", "/spec/egress", json!([{}]), rule("open-policy")),
        ("every namespace", "/spec/ingress/0/from", json!([{"namespaceSelector": {}}]), rule("foreign-peer")),
        (
            "another team",
            "/spec/ingress/0/from",
            json!([{"namespaceSelector": {"matchLabels": {"mlplatform.dev/team": "ml"}}}]),
            rule("foreign-peer"),
        ),
        (
            "all but one team",
            "/spec/ingress/0/from",
            json!([{"namespaceSelector": {"matchExpressions": [
            {"key": "mlplatform.dev/team", "operator": "NotIn", "values": ["x"]}]}}]),
            rule("foreign-peer"),
        ),
        (
            "the system",
            "/spec/egress",
            json!([{"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-public"}}}]}]),
            rule("foreign-peer"),
        ),
        (
            "every address",
            "/spec/ingress/0/from",
            json!([{"ipBlock": {"cidr": "0.0.0.0/0"}}]),
            rule("protected-address"),
        ),
        (
            "every address of version 6",
            "/spec/ingress/0/from",
            json!([{"ipBlock": {"cidr": "::/0"}}]),
            rule("protected-address"),
        ),
    ] {
        verdicts.row("N2", what, create(place, value), by, twin()).await;
    }
    let label = json!({"metadata": {"labels": {"mlplatform.dev/team": "ml", "team": "ml"}}});
    let patch = Call::patch(Persona::Operator, "/api/v1/namespaces/app-lab", label);
    verdicts
        .refused("N3", "a label that others admit", patch, By::Policy("mlp-cluster", "namespace-keys"))
        .await;
    let to = |cidr: &str, except: Value| {
        create("/spec/egress", json!([{"to": [{"ipBlock": {"cidr": cidr, "except": except}}]}]))
    };
    let public = || to("93.184.0.0/16", json!([]));
    for cidr in [
        "169.254.169.254/32",
        "169.254.0.0/16",
        "10.96.0.10/32",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "fd00:ec2::254/128",
    ] {
        verdicts.row("N4", cidr, to(cidr, json!([])), rule("protected-address"), public()).await;
    }
    let careful = to("10.0.0.0/8", json!(["10.96.0.0/16"]));
    verdicts.note("N4", "with the protected left out", careful.send().await.is_admitted(), "refused");
}

async fn services(verdicts: &mut Verdicts) {
    let twin = || Call::create(Persona::AppEdit, &core(HOME, "services"), service("n"));
    let rule = |rule| By::Policy("mlp-services", rule);
    for address in ["8.8.8.8", "2001:4860:4860::8888"] {
        verdicts
            .row(
                "N7",
                address,
                twin().with("/spec/externalIPs", json!([address])),
                rule("external-ip"),
                twin(),
            )
            .await;
    }
    let created = send(Persona::Root, "POST", &core(HOME, "services"), Some(&service("n-web"))).await;
    assert!(created.is_admitted() || created.reason == "AlreadyExists", "{}", created.message);
    let path = format!("{}/n-web", core(HOME, "services"));
    // Team `ml` may have load balancers; nobody but the cluster's controllers gives them an address.
    let mut balanced = service("n-balanced");
    set(&mut balanced, "/spec/type", json!("LoadBalancer"));
    let balancers = core(ML, "services");
    let created = send(Persona::MlAdmin, "POST", &balancers, Some(&balanced)).await;
    assert!(created.is_admitted() || created.reason == "AlreadyExists", "{}", created.message);
    let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": "8.8.8.8"}]}}});
    let patch = |persona| Call::patch(persona, &format!("{balancers}/n-balanced/status"), status.clone());
    verdicts.refused("N8", "an address of a load balancer", patch(Persona::MlAdmin), By::Rights).await;
    verdicts
        .refused(
            "N8",
            "its first one, by an operator",
            patch(Persona::Operator),
            rule("load-balancer-status"),
        )
        .await;
    for kind in ["NodePort", "LoadBalancer"] {
        verdicts.row("N9", kind, twin().with("/spec/type", json!(kind)), rule("service-type"), twin()).await;
        let change = json!({"spec": {"type": kind}});
        verdicts
            .refused("N9", "by an update", Call::patch(Persona::AppEdit, &path, change), rule("service-type"))
            .await;
    }
    let address =
        twin().with("/spec/type", json!("LoadBalancer")).with("/spec/loadBalancerIP", json!("8.8.8.8"));
    verdicts.refused("N9", "a chosen address", address, rule("service-type")).await;
    let named = |name: &str| {
        let body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "n"}, "spec": {"type": "ExternalName", "externalName": name}});
        Call::create(Persona::MlAdmin, &core(ML, "services"), body)
    };
    // Only a team that is granted the type has any; and even then no name of the cluster.
    let public = || named("api.example.org");
    for name in [
        "db.ml-prod.svc.cluster.local",
        "db.ml-prod.svc",
        "db.ml-prod.svc.my.domain",
        "metadata.google.internal",
        "localhost",
        "db",
        "10.0.0.1",
    ] {
        verdicts.row("N10", name, named(name), rule("external-name"), public()).await;
    }
    let change = json!({"spec": {"type": "ExternalName", "externalName": "db.ml-prod.svc.cluster.local"}});
    verdicts
        .refused("N10", "by an update", Call::patch(Persona::AppEdit, &path, change), rule("service-type"))
        .await;
}

async fn routes(verdicts: &mut Verdicts) {
    let rule = |rule| By::Policy("mlp-routes", rule);
    let create = |host: &str| {
        Call::create(Persona::AppEdit, &of("networking.k8s.io/v1", HOME, "ingresses"), ingress("n", host))
    };
    let twin = || create("api.app.example.com");
    for host in
        ["ml.example.com", "api.ml.example.com", "example.com", "xapp.example.com", "*.app.example.com", ""]
    {
        verdicts.row("N11", host, create(host), rule("host"), twin()).await;
    }
    let tls = |host: &str| twin().with("/spec/tls", json!([{"hosts": [host], "secretName": "x"}]));
    verdicts
        .row("N11", "a certificate's host", tls("ml.example.com"), rule("host"), tls("api.app.example.com"))
        .await;
    let backend =
        twin().with("/spec/defaultBackend", json!({"service": {"name": "web", "port": {"number": 80}}}));
    verdicts.row("N11", "every host", backend, rule("default-backend"), twin()).await;
    verdicts
        .row(
            "N11",
            "another class",
            twin().with("/spec/ingressClassName", json!("internal")),
            rule("ingress-class"),
            twin(),
        )
        .await;
    let by_annotation = twin()
        .with("/spec/ingressClassName", Value::Null)
        .with("/metadata/annotations", json!({"kubernetes.io/ingress.class": "internal"}));
    verdicts.row("N11", "another class by annotation", by_annotation, rule("ingress-class"), twin()).await;
    let text = twin().with("/spec/rules/0/http/paths/0/path", json!("/x;proxy_pass"));
    verdicts.row("N12", "configuration in a path", text, rule("ingress-text"), twin()).await;
    let annotated = |key: &str| twin().with("/metadata/annotations", json!({key: "x"}));
    for key in [
        "nginx.ingress.kubernetes.io/configuration-snippet",
        "nginx.ingress.kubernetes.io/server-snippet",
        "nginx.ingress.kubernetes.io/auth-url",
        "nginx.ingress.kubernetes.io/mirror-target",
        "nginx.org/server-snippets",
        "alb.ingress.kubernetes.io/group.name",
    ] {
        let twin = annotated("nginx.ingress.kubernetes.io/rewrite-target");
        verdicts.row("N12", key, annotated(key), rule("ingress-annotation"), twin).await;
    }
    let generous = annotated("nginx.ingress.kubernetes.io/limit-rps")
        .with("/metadata/annotations/nginx.ingress.kubernetes.io~1limit-rps", json!("100000"));
    let found = generous.send().await.body["metadata"]["annotations"].clone();
    let limited = found["nginx.ingress.kubernetes.io/limit-rps"] == "20"
        && found["nginx.ingress.kubernetes.io/proxy-body-size"] == "25m";
    verdicts.note("N12", "limits of its own making", limited, found);
    let route = |parent: Value, host: &str| {
        let body = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "n"},
            "spec": {"parentRefs": [parent], "hostnames": [host], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}});
        Call::create(Persona::AppEdit, &of("gateway.networking.k8s.io/v1", HOME, "httproutes"), body)
    };
    let shared = || json!({"name": "shared", "namespace": "ingress-nginx"});
    let twin = || route(shared(), "api.app.example.com");
    let theirs = json!({"name": "of-ml", "namespace": "ml-prod"});
    verdicts
        .row("N13", "another's gateway", route(theirs, "api.app.example.com"), rule("gateway"), twin())
        .await;
    verdicts.row("N13", "another's host", route(shared(), "ml.example.com"), rule("host"), twin()).await;
    let backend = twin().with("/spec/rules/0/backendRefs/0/namespace", json!("ml-prod"));
    verdicts.row("N13", "another's service", backend, rule("route-backend"), twin()).await;
    for (kind, plural) in [("Gateway", "gateways"), ("ReferenceGrant", "referencegrants")] {
        let body = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": {"name": "n"}, "spec": {}});
        let create =
            |persona| Call::create(persona, &of("gateway.networking.k8s.io/v1", HOME, plural), body.clone());
        verdicts.refused("N13", kind, create(Persona::AppAdmin), By::Rights).await;
        verdicts.refused("N13", kind, create(Persona::Operator), rule("gateway-kind")).await;
    }
    let certificate = |name: &str| {
        let body = json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "n"},
            "spec": {"secretName": "x", "dnsNames": [name], "issuerRef": {"kind": "ClusterIssuer", "name": "letsencrypt"}}});
        Call::create(Persona::AppEdit, &of("cert-manager.io/v1", HOME, "certificates"), body)
    };
    let twin = || certificate("api.app.example.com");
    verdicts
        .row("N14", "a certificate for another's host", certificate("ml.example.com"), rule("host"), twin())
        .await;
    verdicts.row("N14", "for every host", certificate("*.app.example.com"), rule("host"), twin()).await;
    let authority = twin().with("/spec/isCA", json!(true));
    verdicts.row("N14", "an authority of its own", authority, rule("certificate-authority"), twin()).await;
    let common = twin().with("/spec/commonName", json!("ml.example.com"));
    verdicts.row("N14", "by its common name", common, rule("host"), twin()).await;
}
