//! The multi-tenancy benchmark: its 18 checks and the six that were pending there, with their defects
//! mended. There any error counted as a pass, keys were compared by substring, and a person had no
//! groups; here each refusal is known by its control, and each has a twin that is admitted.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use mlp_team_isolation::domain::reach::{Cluster, End, Packet, Pod, judge};
use serde_json::{Value, json};

use crate::attack::{By, Call, Verdicts};
use crate::objects::{
    HOME, ML, account, binding, claim, container, core, group, network_policy, of, pod, role,
};
use crate::persona::{Persona, send};
use crate::world;

/// Ids of the benchmark; two of its checks share one, the pending ones have those of their issues.
const CHECKS: [&str; 24] = [
    "MTB-PL1-CC-CPI-1",
    "MTB-PL1-BC-CPI-2",
    "MTB-PL1-BC-CPI-3",
    "MTB-PL1-BC-CPI-4",
    "MTB-PL1-BC-CPI-5",
    "MTB-PL1-BC-CPI-6",
    "MTB-PL1-CC-TI-1",
    "MTB-PL1-CC-TI-2",
    "MTB-PL1-BC-HI-1",
    "MTB-PL1-BC-HI-1/NodePort",
    "MTB-PL1-BC-HI-3",
    "MTB-PL1-BC-HI-4",
    "MTB-PL1-BC-HI-5",
    "MTB-PL1-CC-FNS-1",
    "MTB-PL1-CC-FNS-2",
    "MTB-PL1-CC-DI-1",
    "MTB-PL2-BC-OPS-3",
    "MTB-PL2-BC-OPS-4",
    "MTB-1198",
    "MTB-1199",
    "MTB-1200",
    "MTB-1201",
    "MTB-1202",
    "MTB-1203",
];
const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
/// What everybody may ask about themselves, by the role `system:basic-user`.
const SELF_REVIEWS: [&str; 3] = ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"];

#[tokio::test(flavor = "multi_thread")]
async fn the_benchmark_passes() {
    world::ready().await;
    let mut verdicts = Verdicts::default();
    cluster_resources(&mut verdicts).await;
    managed_objects(&mut verdicts).await;
    pods(&mut verdicts).await;
    quotas(&mut verdicts).await;
    other_tenants(&mut verdicts).await;
    self_service(&mut verdicts).await;
    pending(&mut verdicts).await;
    verdicts.end(&CHECKS);
}

/// Whether the API server lets somebody, by its own account.
async fn may(persona: Persona, namespace: &str, group: &str, resource: &str, verb: &str) -> bool {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": {
        "namespace": namespace, "group": group, "resource": resource, "subresource": subresource, "verb": verb}}});
    let answer =
        send(persona, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", Some(&review)).await;
    answer.body["status"]["allowed"] == true
}

/// Every resource that the API server serves: group, plural, whether it lives in namespaces.
async fn resources() -> Vec<(String, String, bool)> {
    let groups = send(Persona::Root, "GET", "/apis", None).await.body;
    let versions = groups["groups"].as_array().unwrap().iter().map(|group| {
        (
            group["name"].as_str().unwrap().to_owned(),
            format!("/apis/{}", group["preferredVersion"]["groupVersion"].as_str().unwrap()),
        )
    });
    let mut all = Vec::new();
    for (group, path) in versions.chain([(String::new(), "/api/v1".to_owned())]) {
        let list = send(Persona::Root, "GET", &path, None).await.body;
        for resource in list["resources"].as_array().unwrap() {
            let name = resource["name"].as_str().unwrap().to_owned();
            all.push((group.clone(), name, resource["namespaced"] == true));
        }
    }
    all
}

async fn cluster_resources(verdicts: &mut Verdicts) {
    let mut allowed = Vec::new();
    let mut asked = 0;
    for (group, resource, namespaced) in resources().await {
        if namespaced || SELF_REVIEWS.contains(&resource.as_str()) {
            continue;
        }
        for persona in [Persona::AppAdmin, Persona::AppEdit, Persona::AppView, Persona::AppAccount] {
            for verb in VERBS {
                asked += 1;
                if may(persona, "", &group, &resource, verb).await {
                    allowed.push(format!("{persona:?} may {verb} {resource}.{group}"));
                }
            }
        }
    }
    let sound = allowed.is_empty() && asked > 500;
    verdicts.note("MTB-PL1-CC-CPI-1", "nothing of the cluster", sound, format!("{asked} asked, {allowed:?}"));
}

async fn managed_objects(verdicts: &mut Verdicts) {
    let selector = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dteam-isolation";
    let mut looked = 0;
    for (collection, name) in [
        (core(HOME, "resourcequotas"), "resourcequotas"),
        (core(HOME, "limitranges"), "limitranges"),
        (core(HOME, "serviceaccounts"), "serviceaccounts"),
        (of("networking.k8s.io/v1", HOME, "networkpolicies"), "networkpolicies"),
        (of("rbac.authorization.k8s.io/v1", HOME, "rolebindings"), "rolebindings"),
    ] {
        let found = send(Persona::Root, "GET", &format!("{collection}?{selector}"), None).await.body;
        for object in found["items"].as_array().unwrap() {
            let path = format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap());
            for (method, body) in
                [("DELETE", None), ("PATCH", Some(json!({"metadata": {"labels": {"x": "y"}}})))]
            {
                let call =
                    Call { persona: Persona::AppAdmin, method, path: format!("{path}?dryRun=All"), body };
                let answer = call.send().await;
                let known =
                    answer.message.contains("managed-object: ") || answer.message.contains(" cannot ");
                verdicts.note("MTB-PL1-BC-CPI-2", &path, answer.code == 403 && known, answer.message);
                looked += 1;
            }
        }
        let all = Call::plain(Persona::AppAdmin, "DELETE", &collection).send().await;
        verdicts.note("MTB-PL1-BC-CPI-2", name, all.code == 403, all.message);
    }
    // A quota, limits, an account, two policies and two bindings at least, each deleted and changed.
    verdicts.note("MTB-PL1-BC-CPI-2", "there is something to guard", looked >= 14, looked);
}

async fn pods(verdicts: &mut Verdicts) {
    let twin = || Call::create(Persona::AppEdit, &core(HOME, "pods"), pod("m"));
    let context = "/spec/containers/0/securityContext";
    for (id, place, value, check) in [
        ("MTB-PL1-BC-CPI-3", format!("{context}/capabilities/add"), json!(["SETPCAP"]), "capabilities"),
        ("MTB-PL1-BC-CPI-4", "/spec/securityContext/runAsNonRoot".to_owned(), json!(false), "runAsNonRoot"),
        ("MTB-PL1-BC-CPI-4", format!("{context}/runAsUser"), json!(0), "runAsUser=0"),
        ("MTB-PL1-BC-CPI-5", context.to_owned(), json!({"privileged": true}), "privileged"),
        (
            "MTB-PL1-BC-CPI-6",
            format!("{context}/allowPrivilegeEscalation"),
            json!(true),
            "allowPrivilegeEscalation",
        ),
        (
            "MTB-PL1-BC-HI-1",
            "/spec/volumes".to_owned(),
            json!([{"name": "h", "hostPath": {"path": "/tmp"}}]),
            "hostPath",
        ),
        ("MTB-PL1-BC-HI-3", "/spec/hostNetwork".to_owned(), json!(true), "host namespaces"),
        (
            "MTB-PL1-BC-HI-3",
            "/spec/containers/0/ports".to_owned(),
            json!([{"containerPort": 1, "hostPort": 8086}]),
            "hostPort",
        ),
        ("MTB-PL1-BC-HI-4", "/spec/hostPID".to_owned(), json!(true), "host namespaces"),
        ("MTB-PL1-BC-HI-5", "/spec/hostIPC".to_owned(), json!(true), "host namespaces"),
    ] {
        verdicts.row(id, &place, twin().with(&place, value), By::PodSecurity(check), twin()).await;
    }
    let init = || twin().with("/spec/initContainers", json!([container("first")]));
    for policy in ["Never", "IfNotPresent"] {
        for (place, twin) in [("containers", twin()), ("initContainers", init())] {
            let attack = twin.clone().with(&format!("/spec/{place}/0/imagePullPolicy"), json!(policy));
            verdicts
                .row("MTB-PL1-CC-DI-1", place, attack, By::Policy("mlp-pods", "image-pull-always"), twin)
                .await;
        }
    }
    let service = || Call::create(Persona::AppEdit, &core(HOME, "services"), crate::objects::service("m"));
    let attack = service().with("/spec/type", json!("NodePort"));
    verdicts
        .row(
            "MTB-PL1-BC-HI-1/NodePort",
            "a node port",
            attack,
            By::Policy("mlp-services", "service-type"),
            service(),
        )
        .await;
}

async fn quotas(verdicts: &mut Verdicts) {
    let quota =
        send(Persona::Root, "GET", &format!("{}/team-quota", core(HOME, "resourcequotas")), None).await.body;
    let enforced = |key: &str| quota["status"]["hard"][key].is_string();
    for key in [
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
    ] {
        verdicts.note("MTB-PL1-CC-FNS-1", key, enforced(key), "no such key");
    }
    for key in [
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ] {
        verdicts.note("MTB-PL1-CC-FNS-2", key, enforced(key), "no such key");
    }
    let attack = Call::create(Persona::AppEdit, &core(HOME, "pods"), pod("m"));
    let containers = (0..6).map(|number| {
        let mut one = container(&format!("c{number}"));
        one["resources"] =
            json!({"requests": {"cpu": "4", "memory": "64Mi"}, "limits": {"cpu": "4", "memory": "64Mi"}});
        one
    });
    let attack = attack.with("/spec/containers", Value::Array(containers.collect()));
    verdicts.refused("MTB-PL1-CC-FNS-1", "beyond it", attack, By::Quota("requests.cpu")).await;
    for resource in ["resourcequotas", "resourcequotas/status", "limitranges"] {
        for verb in ["create", "update", "patch", "delete", "deletecollection"] {
            let allowed = may(Persona::AppAdmin, HOME, "", resource, verb).await;
            verdicts.note("MTB-PL1-CC-TI-1", resource, !allowed, verb);
        }
    }
}

/// Two teams, both ways, every kind that lives in namespaces, subresources among them.
async fn other_tenants(verdicts: &mut Verdicts) {
    let mut allowed = Vec::new();
    let mut own = 0;
    for (group, resource, namespaced) in resources().await {
        if !namespaced || resource == "localsubjectaccessreviews" {
            continue;
        }
        for verb in VERBS {
            for (persona, theirs) in [(Persona::AppAdmin, ML), (Persona::MlAdmin, HOME)] {
                if may(persona, theirs, &group, &resource, verb).await {
                    allowed.push(format!("{persona:?} may {verb} {resource}.{group} in {theirs}"));
                }
            }
            own += u32::from(may(Persona::AppAdmin, HOME, &group, &resource, verb).await);
        }
    }
    verdicts.note(
        "MTB-PL1-CC-TI-2",
        "nothing of the other",
        allowed.is_empty() && own > 100,
        format!("{own} of its own, {allowed:?}"),
    );
}

async fn self_service(verdicts: &mut Verdicts) {
    for resource in ["roles", "rolebindings"] {
        for verb in VERBS {
            let allowed = may(Persona::AppAdmin, HOME, "rbac.authorization.k8s.io", resource, verb).await;
            verdicts.note("MTB-PL2-BC-OPS-3", resource, allowed, verb);
        }
    }
    for verb in ["get", "list", "create", "update", "patch", "delete"] {
        let allowed = may(Persona::AppEdit, HOME, "networking.k8s.io", "networkpolicies", verb).await;
        verdicts.note("MTB-PL2-BC-OPS-4", "networkpolicies", allowed, verb);
    }
    let roles = of("rbac.authorization.k8s.io/v1", HOME, "roles");
    let created = Call::create(Persona::AppAdmin, &roles, role("m")).send().await;
    verdicts.note("MTB-1202", "a role of its own", created.is_admitted(), created.message);
    let bindings = of("rbac.authorization.k8s.io/v1", HOME, "rolebindings");
    let bind = |subject| Call::create(Persona::AppAdmin, &bindings, binding("m", subject));
    let strangers = bind(group("ml-engineers"));
    verdicts
        .row(
            "MTB-1203",
            "a binding outward",
            strangers,
            By::Policy("mlp-rbac", "role-subject"),
            bind(account(HOME, "default")),
        )
        .await;
    let policies = of("networking.k8s.io/v1", HOME, "networkpolicies");
    let created = Call::create(Persona::AppEdit, &policies, network_policy("m")).send().await;
    verdicts.note("MTB-PL2-BC-OPS-4", "a policy of its own", created.is_admitted(), created.message);
}

async fn pending(verdicts: &mut Verdicts) {
    let twin = || Call::create(Persona::AppEdit, &core(HOME, "pods"), pod("m"));
    let inline =
        twin().with("/spec/volumes", json!([{"name": "v", "nfs": {"server": "10.0.0.1", "path": "/"}}]));
    let claimed =
        twin().with("/spec/volumes", json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]));
    verdicts
        .row("MTB-1198", "storage past claims", inline, By::PodSecurity("restricted volume types"), claimed)
        .await;
    let class = |policy: &str| {
        let body = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "m"}, "provisioner": "x.example.com", "reclaimPolicy": policy});
        Call::create(Persona::Operator, "/apis/storage.k8s.io/v1/storageclasses", body)
    };
    verdicts
        .row(
            "MTB-1199",
            "volumes that stay",
            class("Retain"),
            By::Policy("mlp-cluster", "reclaim-policy"),
            class("Delete"),
        )
        .await;
    let claims = || Call::create(Persona::AppEdit, &core(HOME, "persistentvolumeclaims"), claim("m"));
    let named = claims().with("/spec/volumeName", json!("pv-1"));
    verdicts
        .row("MTB-1200", "a volume that is there", named, By::Policy("mlp-storage", "volume-name"), claims())
        .await;
    for verb in VERBS {
        let allowed = may(Persona::AppAdmin, "", "", "persistentvolumes", verb).await;
        verdicts.note("MTB-1200", "persistentvolumes", !allowed, verb);
    }
    // Packets are judged by the policies as the API server has them, both ways.
    let cluster = policies(&[HOME, ML]).await;
    let end = |namespace: &str, last: u8| {
        let addresses = vec![std::net::IpAddr::from([10, 244, 0, last])];
        End::Pod(Pod {
            namespace: namespace.to_owned(),
            name: format!("p{last}"),
            addresses,
            ..Pod::default()
        })
    };
    for (from, to, arrives) in [(HOME, ML, false), (ML, HOME, false), (HOME, HOME, true), (ML, ML, true)] {
        for port in [80, 443, 8080] {
            let packet = Packet { from: end(from, 1), to: end(to, 2), protocol: "TCP".to_owned(), port };
            let verdict = judge(&cluster, &packet);
            verdicts.note(
                "MTB-1201",
                "between teams",
                verdict.arrives() == arrives,
                format!("{from} to {to}:{port}: {verdict:?}"),
            );
        }
    }
}

async fn policies(namespaces: &[&str]) -> Cluster {
    let mut cluster = Cluster { namespaces: BTreeMap::new(), policies: Vec::new() };
    for name in namespaces {
        let namespace = send(Persona::Root, "GET", &format!("/api/v1/namespaces/{name}"), None).await.body;
        let labels = serde_json::from_value(namespace["metadata"]["labels"].clone()).unwrap();
        cluster.namespaces.insert((*name).to_owned(), labels);
        let found =
            send(Persona::Root, "GET", &of("networking.k8s.io/v1", name, "networkpolicies"), None).await.body;
        let found = found["items"].as_array().unwrap().iter().cloned();
        cluster.policies.extend(found.map(|policy| serde_json::from_value::<NetworkPolicy>(policy).unwrap()));
    }
    cluster
}
