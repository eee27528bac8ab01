//! S: scheduling, devices, priority.

use serde_json::{Value, json};

use crate::attack::{By, Call, Verdicts};
use crate::objects::{HOME, ML, core, job, of, pod, resource_claim};
use crate::persona::{Persona, send};
use crate::world;

pub(crate) const ROWS: [&str; 18] = [
    "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "S12", "S13", "S14", "S15", "S16",
    "S17", "S18",
];

fn app() -> Call {
    Call::create(Persona::AppEdit, &core(HOME, "pods"), pod("s"))
}

fn ml() -> Call {
    Call::create(Persona::MlAdmin, &core(ML, "pods"), pod("s"))
}

fn term(pool: Value) -> Value {
    json!({"matchExpressions": [{"key": "mlplatform.dev/pool", "operator": "In", "values": [pool]}]})
}

fn affinity(terms: Vec<Value>) -> Value {
    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn scheduling() {
    world::ready().await;
    let mut verdicts = Verdicts::default();
    single(&mut verdicts).await;
    high_pods(&mut verdicts).await;
    verdicts.end(&ROWS);
}

/// Rows that one request decides.
pub(crate) async fn single(verdicts: &mut Verdicts) {
    nodes(verdicts).await;
    devices(verdicts).await;
    order(verdicts).await;
    workloads(verdicts).await;
}

async fn nodes(verdicts: &mut Verdicts) {
    let rule = |rule| By::Policy("mlp-pods", rule);
    let select =
        |call: Call, pool: &str| call.with("/spec/nodeSelector", json!({"mlplatform.dev/pool": pool}));
    verdicts.row("S1", "another team's pool", select(app(), "gpu"), rule("node-pool"), app()).await;
    verdicts
        .row(
            "S1",
            "a pool that is not the team's",
            select(ml(), "data"),
            rule("node-pool"),
            select(ml(), "gpu"),
        )
        .await;
    let terms = |terms| ml().with("/spec/affinity", affinity(terms));
    let own = || term(json!("ml"));
    verdicts
        .row(
            "S2",
            "one of two terms leads out",
            terms(vec![own(), term(json!("data"))]),
            rule("node-pool"),
            terms(vec![own(), own()]),
        )
        .await;
    let anywhere =
        json!({"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]});
    verdicts
        .row(
            "S2",
            "one of two terms says no pool",
            terms(vec![own(), anywhere]),
            rule("node-pool"),
            terms(vec![own()]),
        )
        .await;
    verdicts
        .row(
            "S3",
            "a node by name",
            app().with("/spec/nodeName", json!("sim-gpu-0")),
            rule("node-name"),
            app(),
        )
        .await;
    let pod_name = "s-unbound";
    let created = send(Persona::Root, "POST", &core(HOME, "pods"), Some(&pod(pod_name))).await;
    assert!(created.is_admitted() || created.reason == "AlreadyExists", "{}", created.message);
    let bind = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod_name}, "target": {"kind": "Node", "name": "sim-gpu-0"}});
    for persona in [Persona::AppAdmin, Persona::AppAccount] {
        let path = format!("{}/{pod_name}/binding", core(HOME, "pods"));
        verdicts.refused("S4", "binding a pod", Call::create(persona, &path, bind.clone()), By::Rights).await;
        verdicts
            .refused(
                "S4",
                "a Binding",
                Call::create(persona, &core(HOME, "bindings"), bind.clone()),
                By::Rights,
            )
            .await;
    }
    let tolerate = |call: Call, toleration: Value| call.with("/spec/tolerations", json!([toleration]));
    let exact =
        json!({"key": "nvidia.com/gpu", "operator": "Equal", "value": "true", "effect": "NoSchedule"});
    for (what, toleration) in [
        ("the GPU taint", exact.clone()),
        ("whatever value it has", json!({"key": "nvidia.com/gpu", "operator": "Exists"})),
        ("every taint", json!({"operator": "Exists"})),
        ("every effect", json!({"key": "team", "operator": "Equal", "value": "ml"})),
    ] {
        verdicts.row("S5", what, tolerate(app(), toleration), rule("toleration"), app()).await;
    }
    verdicts
        .row(
            "S5",
            "another team's taint",
            tolerate(
                ml(),
                json!({"key": "workload", "operator": "Equal", "value": "data", "effect": "NoSchedule"}),
            ),
            rule("toleration"),
            tolerate(ml(), exact),
        )
        .await;
    let daemon = json!({"operator": "Exists", "effect": "NoExecute"});
    let made = Call::create(Persona::Operator, &core(HOME, "pods"), pod("s"));
    verdicts
        .row(
            "S14",
            "a DaemonSet's pod that runs everywhere",
            tolerate(made.clone(), daemon),
            rule("toleration"),
            made,
        )
        .await;
}

async fn devices(verdicts: &mut Verdicts) {
    let closed = By::Policy("mlp-pods", "extended-resource");
    let ask = |call: Call, place: &str, name: &str, amount: &str| {
        let name = name.replace('/', "~1");
        let call = call.with(&format!("/spec/containers/0/resources/limits/{name}"), json!(amount));
        if place == "requests" {
            call.with(&format!("/spec/containers/0/resources/requests/{name}"), json!(amount))
        } else {
            call
        }
    };
    let granted = || ask(ml(), "limits", "nvidia.com/gpu", "1");
    verdicts
        .row("S6", "a GPU in limits only", ask(app(), "limits", "nvidia.com/gpu", "1"), closed, granted())
        .await;
    verdicts
        .row("S6", "a GPU in both", ask(app(), "requests", "nvidia.com/gpu", "1"), closed, granted())
        .await;
    let init = app()
        .with("/spec/initContainers", json!([crate::objects::container("first")]))
        .with("/spec/initContainers/0/resources/limits/nvidia.com~1gpu", json!("1"));
    verdicts.row("S6", "a GPU in an init container", init, closed, app()).await;
    verdicts
        .row(
            "S7",
            "no GPU, asked for by name",
            ask(app(), "requests", "nvidia.com/gpu", "0"),
            closed,
            granted(),
        )
        .await;
    for name in [
        "nvidia.com/mig-1g.10gb",
        "nvidia.com/gpu.shared",
        "amd.com/gpu",
        "gpu.intel.com/i915",
        "apple.com/gpu",
        "example.com/foo",
    ] {
        verdicts.row("S8", name, ask(app(), "limits", name, "1"), closed, app()).await;
    }
    verdicts
        .row(
            "S8",
            "a kind of GPU that the team has no quota for",
            ask(ml(), "limits", "nvidia.com/mig-2g.20gb", "1"),
            closed,
            ask(ml(), "limits", "nvidia.com/mig-1g.10gb", "1"),
        )
        .await;
    let claims = |namespace| of("resource.k8s.io/v1", namespace, "resourceclaims");
    let claim =
        |persona, namespace, class| Call::create(persona, &claims(namespace), resource_claim("s", class));
    let twin = || claim(Persona::MlAdmin, ML, "gpu.nvidia.com");
    verdicts
        .row(
            "S9",
            "a device class without a quota",
            claim(Persona::AppAdmin, HOME, "gpu.nvidia.com"),
            By::Policy("mlp-devices", "device-class"),
            twin(),
        )
        .await;
    let admin = twin().with("/spec/devices/requests/0/exactly/adminAccess", json!(true));
    verdicts
        .refused("S9", "devices that others use", admin, By::Validation("admin access to devices requires"))
        .await;
    let label = json!({"metadata": {"labels": {"resource.kubernetes.io/admin-access": "true"}}});
    let label = Call::patch(Persona::Operator, &format!("/api/v1/namespaces/{ML}"), label);
    verdicts
        .refused("S9", "a namespace that may see devices", label, By::Policy("mlp-cluster", "namespace-keys"))
        .await;
    let either = json!([{"name": "gpu", "firstAvailable": [{"name": "a", "deviceClassName": "gpu.nvidia.com"}, {"name": "b", "deviceClassName": "big.nvidia.com"}]}]);
    verdicts
        .row(
            "S9",
            "one of two classes",
            twin().with("/spec/devices/requests", either),
            By::Policy("mlp-devices", "device-class"),
            twin(),
        )
        .await;
    let env = |name: &str, value: &str| {
        app().with("/spec/containers/0/env", json!([{"name": name, "value": value}]))
    };
    let seen = By::Policy("mlp-pods", "device-env");
    verdicts
        .row(
            "S10",
            "all devices by environment",
            env("NVIDIA_VISIBLE_DEVICES", "all"),
            seen,
            env("NVIDIA_VISIBLE_DEVICES", "none"),
        )
        .await;
    verdicts
        .row(
            "S10",
            "capabilities by environment",
            env("NVIDIA_DRIVER_CAPABILITIES", "all"),
            seen,
            env("OTHER", "all"),
        )
        .await;
    let from = |prefix: &str| {
        app().with("/spec/containers/0/envFrom", json!([{"prefix": prefix, "configMapRef": {"name": "x"}}]))
    };
    verdicts.row("S10", "by a prefix", from("NVIDIA_"), seen, from("APP_")).await;
    let debug = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "registry.k8s.io/pause:3.10", "imagePullPolicy": "Always",
        "env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}],
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}});
    let path = format!("{}/s-unbound/ephemeralcontainers", core(HOME, "pods"));
    verdicts
        .refused("S10", "by an ephemeral container", Call::patch(Persona::AppEdit, &path, debug), seen)
        .await;
    let legacy = env("CUDA_VERSION", "11.0");
    verdicts.row("S10", "as an old CUDA image", legacy, seen, env("OTHER", "11.0")).await;
    let data = |key: &str| {
        Call::create(
            Persona::AppEdit,
            &core(HOME, "configmaps"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s"}, "data": {key: "all"}}),
        )
    };
    verdicts
        .row(
            "S10",
            "by a ConfigMap",
            data("NVIDIA_VISIBLE_DEVICES"),
            By::Policy("mlp-workloads", "device-env"),
            data("OTHER"),
        )
        .await;
    let data = |key: &str| {
        Call::create(
            Persona::AppEdit,
            &core(HOME, "secrets"),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {key: "all"}}),
        )
    };
    verdicts
        .row(
            "S10",
            "by a Secret",
            data("NVIDIA_VISIBLE_DEVICES"),
            By::Policy("mlp-rbac", "device-env"),
            data("OTHER"),
        )
        .await;
}

async fn order(verdicts: &mut Verdicts) {
    let class = |call: Call, name: &str| call.with("/spec/priorityClassName", json!(name));
    let high = || class(app(), "workload-high");
    for name in [
        "system-cluster-critical",
        "system-node-critical",
        "platform-critical",
        "infrastructure-high",
        "gpu-high",
    ] {
        verdicts.row("S11", name, class(app(), name), By::Policy("mlp-pods", "priority-class"), high()).await;
    }
    let scheduler = |name: &str| app().with("/spec/schedulerName", json!(name));
    verdicts
        .row(
            "S12",
            "another scheduler",
            scheduler("mine"),
            By::Policy("mlp-pods", "scheduler"),
            scheduler("default-scheduler"),
        )
        .await;
    let fence = |term: Value| {
        app().with(
            "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution",
            json!([term]),
        )
    };
    let own = || fence(json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}));
    let all =
        fence(json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {}, "namespaceSelector": {}}));
    verdicts
        .row("S13", "away from everybody's pods", all, By::Policy("mlp-pods", "pod-affinity"), own())
        .await;
    let theirs =
        fence(json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {}, "namespaces": [ML]}));
    verdicts
        .row("S13", "away from another team's pods", theirs, By::Policy("mlp-pods", "pod-affinity"), own())
        .await;
    let grace = |seconds: i64| app().with("/spec/terminationGracePeriodSeconds", json!(seconds));
    verdicts
        .row("S16", "an hour to end", grace(3600), By::Policy("mlp-pods", "grace-period"), grace(600))
        .await;
}

/// Five pods of the high class over the team's two namespaces: three of them here.
async fn high_pods(verdicts: &mut Verdicts) {
    let mut admitted = 0;
    let mut refused = String::new();
    for number in 0..4 {
        let mut body = pod(&format!("s-high-{number}"));
        crate::attack::set(&mut body, "/spec/priorityClassName", json!("workload-high"));
        let answer = send(Persona::AppEdit, "POST", &core(HOME, "pods"), Some(&body)).await;
        admitted += u32::from(answer.is_admitted());
        refused = format!("{refused}{}", answer.message);
    }
    let holds = admitted == 3 && refused.contains("exceeded quota: team-priority-workload-high");
    verdicts.note(
        "S17",
        "more pods of a high class than the team has",
        holds,
        format!("{admitted} admitted; {refused}"),
    );
    for number in 0..4 {
        let path = format!("{}/s-high-{number}?gracePeriodSeconds=0", core(HOME, "pods"));
        drop(send(Persona::Root, "DELETE", &path, None).await);
    }
}

async fn workloads(verdicts: &mut Verdicts) {
    let budget = |spec: Value| {
        let body = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "s"}, "spec": spec});
        Call::create(Persona::AppEdit, &of("policy/v1", HOME, "poddisruptionbudgets"), body)
            .with("/spec/selector", json!({"matchLabels": {"app": "web"}}))
    };
    let twin = || budget(json!({"maxUnavailable": 1}));
    for spec in
        [json!({"maxUnavailable": 0}), json!({"maxUnavailable": "0%"}), json!({"minAvailable": "100%"})]
    {
        let what = spec.to_string();
        verdicts
            .row("S15", &what, budget(spec), By::Policy("mlp-workloads", "disruption-budget"), twin())
            .await;
    }
    let queued = |queue: &str| {
        let call = Call::create(Persona::AppEdit, &of("batch/v1", HOME, "jobs"), job("s"));
        if queue.is_empty() {
            call
        } else {
            call.with("/metadata/labels", json!({"kueue.x-k8s.io/queue-name": queue}))
        }
    };
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "mine", "uid": "00000000-0000-0000-0000-000000000000"}]);
    let forged = queued("").with("/metadata/ownerReferences", owner);
    verdicts
        .row("S18", "an owner of its own making", forged, By::Policy("mlp-workloads", "queue"), queued("app"))
        .await;
    let scheduled = |labels: Value| {
        let call =
            Call::create(Persona::AppEdit, &of("batch/v1", HOME, "cronjobs"), crate::objects::cron_job("s"));
        call.with("/spec/jobTemplate/metadata/labels", labels)
    };
    let by = By::Policy("mlp-workloads", "queue");
    let twin = scheduled(json!({"kueue.x-k8s.io/queue-name": "app"}));
    verdicts.row("S18", "by a schedule", scheduled(json!({})), by, twin).await;
    verdicts
        .row(
            "S18",
            "a Job outside the queues",
            queued(""),
            By::Policy("mlp-workloads", "queue"),
            queued("app"),
        )
        .await;
    verdicts
        .row(
            "S18",
            "a Job in another queue",
            queued("ml"),
            By::Policy("mlp-workloads", "queue"),
            queued("app"),
        )
        .await;
}
