//! W: host and container.

use serde_json::{Value, json};

use crate::attack::{By, Call, Verdicts, set};
use crate::objects::{HOME, container, core, pod};
use crate::persona::{Persona, send};
use crate::world;

pub(crate) const ROWS: [&str; 12] =
    ["W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9", "W10", "W11", "W12"];

/// Creates a pod as an engineer of the team.
fn create(body: Value) -> Call {
    Call::create(Persona::AppEdit, &core(HOME, "pods"), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn host_and_container() {
    world::ready().await;
    let mut verdicts = Verdicts::default();
    single(&mut verdicts).await;
    verdicts.end(&ROWS);
}

/// Rows that one request decides.
pub(crate) async fn single(verdicts: &mut Verdicts) {
    pods(verdicts).await;
    images_and_volumes(verdicts).await;
    running_pods(verdicts).await;
    by_others(verdicts).await;
}

async fn pods(verdicts: &mut Verdicts) {
    let twin = || create(pod("w"));
    let context = "/spec/containers/0/securityContext";
    for (id, what, place, value, check) in [
        (
            "W1",
            "an added capability",
            format!("{context}/capabilities/add"),
            json!(["NET_ADMIN"]),
            "capabilities",
        ),
        (
            "W1",
            "privilege escalation",
            format!("{context}/allowPrivilegeEscalation"),
            json!(true),
            "allowPrivilegeEscalation",
        ),
        ("W1", "root", format!("{context}/runAsUser"), json!(0), "runAsUser=0"),
        ("W1", "perhaps root", "/spec/securityContext/runAsNonRoot".to_owned(), json!(false), "runAsNonRoot"),
        (
            "W2",
            "hostPath",
            "/spec/volumes".to_owned(),
            json!([{"name": "h", "hostPath": {"path": "/"}}]),
            "hostPath",
        ),
        ("W2", "hostNetwork", "/spec/hostNetwork".to_owned(), json!(true), "host namespaces"),
        ("W2", "hostPID", "/spec/hostPID".to_owned(), json!(true), "host namespaces"),
        ("W2", "hostIPC", "/spec/hostIPC".to_owned(), json!(true), "host namespaces"),
        (
            "W2",
            "hostPort",
            "/spec/containers/0/ports".to_owned(),
            json!([{"containerPort": 80, "hostPort": 8086}]),
            "hostPort",
        ),
        (
            "W3",
            "an unsafe sysctl",
            "/spec/securityContext/sysctls".to_owned(),
            json!([{"name": "kernel.msgmax", "value": "1"}]),
            "sysctls",
        ),
        (
            "W3",
            "seccomp unconfined",
            "/spec/securityContext/seccompProfile/type".to_owned(),
            json!("Unconfined"),
            "seccompProfile",
        ),
        (
            "W3",
            "AppArmor unconfined",
            "/spec/securityContext/appArmorProfile".to_owned(),
            json!({"type": "Unconfined"}),
            "AppArmor profile",
        ),
        (
            "W3",
            "an SELinux type",
            "/spec/securityContext/seLinuxOptions".to_owned(),
            json!({"type": "spc_t"}),
            "seLinuxOptions",
        ),
        (
            "W4",
            "a probe of another host",
            "/spec/containers/0/livenessProbe".to_owned(),
            json!({"httpGet": {"host": "169.254.169.254", "port": 80, "path": "/"}}),
            "probe",
        ),
    ] {
        let attack = twin().with(&place, value);
        verdicts.row(id, what, attack, By::PodSecurity(check), twin()).await;
    }
    let privileged = twin().with(context, json!({"privileged": true}));
    verdicts.row("W1", "privileged", privileged, By::PodSecurity("privileged"), twin()).await;
    // Kubernetes itself allows it only inside a user namespace, where it gives nothing away.
    let unmasked = twin().with(&format!("{context}/procMount"), json!("Unmasked"));
    verdicts.row("W3", "unmasked proc", unmasked, By::Validation("`hostUsers` must be false"), twin()).await;
    let host_process = twin()
        .with("/spec/securityContext", json!({"windowsOptions": {"hostProcess": true}, "runAsNonRoot": true}))
        .with("/spec/os", json!({"name": "windows"}))
        .with("/spec/hostNetwork", json!(true))
        .with("/spec/containers/0/securityContext", json!({}));
    verdicts.row("W3", "a Windows host process", host_process, By::PodSecurity("hostProcess"), twin()).await;
}

async fn images_and_volumes(verdicts: &mut Verdicts) {
    let twin = || create(pod("w"));
    let image = |image: &str| twin().with("/spec/containers/0/image", json!(image));
    verdicts
        .row(
            "W5",
            "an image from elsewhere",
            image("evil.example.com/x:1.0"),
            By::Policy("mlp-pods", "image-registry"),
            twin(),
        )
        .await;
    verdicts
        .row(
            "W5",
            "a registry that only begins alike",
            image("quay.io.evil.com/x:1.0"),
            By::Policy("mlp-pods", "image-registry"),
            image("quay.io/x/y:1.0"),
        )
        .await;
    verdicts
        .row(
            "W5",
            "the newest image",
            image("quay.io/x/y:latest"),
            By::Policy("mlp-pods", "image-tag"),
            image("quay.io/x/y:1.0"),
        )
        .await;
    verdicts
        .row(
            "W5",
            "an image without a tag",
            image("quay.io:443/x/y"),
            By::Policy("mlp-pods", "image-registry"),
            twin(),
        )
        .await;
    verdicts
        .row(
            "W5",
            "an image without a tag",
            image("nginx"),
            By::Policy("mlp-pods", "image-tag"),
            image("nginx:1.29"),
        )
        .await;
    let mut volume = pod("w");
    set(
        &mut volume,
        "/spec/volumes",
        json!([{"name": "i", "image": {"reference": "evil.example.com/data:1", "pullPolicy": "Always"}}]),
    );
    verdicts
        .refused(
            "W5",
            "an image as a volume, from elsewhere",
            create(volume),
            By::Policy("mlp-pods", "image-registry"),
        )
        .await;
    verdicts
        .row(
            "W9",
            "a weaker runtime",
            twin().with("/spec/runtimeClassName", json!("weak")),
            By::Policy("mlp-pods", "runtime-class"),
            twin(),
        )
        .await;
    for policy in ["IfNotPresent", "Never"] {
        let attack = twin().with("/spec/containers/0/imagePullPolicy", json!(policy));
        verdicts.row("W10", policy, attack, By::Policy("mlp-pods", "image-pull-always"), twin()).await;
    }
    let mounted = |policy: &str| {
        let image = json!({"reference": "registry.k8s.io/pause:3.10", "pullPolicy": policy});
        create(pod("w")).with("/spec/volumes", json!([{"name": "i", "image": image}]))
    };
    let by = By::Policy("mlp-pods", "image-pull-always");
    let answer = mounted("Always").send().await;
    if answer.is_admitted() {
        verdicts.refused("W10", "a cached image as a volume", mounted("Never"), by).await;
    }
    let mut init = pod("w");
    set(&mut init, "/spec/initContainers", json!([container("first")]));
    let mut unpulled = init.clone();
    set(&mut unpulled, "/spec/initContainers/0/imagePullPolicy", json!("Never"));
    verdicts
        .row(
            "W10",
            "in an init container",
            create(unpulled),
            By::Policy("mlp-pods", "image-pull-always"),
            create(init),
        )
        .await;
    let volumes = [
        ("nfs", json!({"server": "10.0.0.1", "path": "/"})),
        ("iscsi", json!({"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:x", "lun": 0})),
        ("rbd", json!({"monitors": ["10.0.0.1"], "image": "x"})),
    ];
    for (kind, source) in volumes {
        let attack = twin().with("/spec/volumes", json!([{"name": "v", kind: source}]));
        let twin = twin().with("/spec/volumes", json!([{"name": "v", "emptyDir": {}}]));
        verdicts.row("W11", kind, attack, By::PodSecurity("restricted volume types"), twin).await;
    }
    // Pod Security lets inline CSI through at every level.
    let csi = twin().with("/spec/volumes", json!([{"name": "v", "csi": {"driver": "secrets.example.com"}}]));
    verdicts.row("W11", "inline CSI", csi, By::Policy("mlp-pods", "volume-type"), twin()).await;
}

/// Pods that run already: debugging, resizing, another image.
async fn running_pods(verdicts: &mut Verdicts) {
    let path = format!("{}/w-running", core(HOME, "pods"));
    // On no node: whether a node can resize is another question.
    let mut running = pod("w-running");
    set(&mut running, "/spec/nodeSelector", json!({"example.com/nowhere": "true"}));
    let created = send(Persona::Root, "POST", &core(HOME, "pods"), Some(&running)).await;
    assert!(created.is_admitted() || created.reason == "AlreadyExists", "{}", created.message);
    let debug = |image: &str, privileged: bool| {
        let mut container = container("debug");
        container.as_object_mut().unwrap().remove("resources");
        set(&mut container, "/image", json!(image));
        set(&mut container, "/securityContext/privileged", json!(privileged));
        if privileged {
            container["securityContext"].as_object_mut().unwrap().remove("allowPrivilegeEscalation");
        }
        Call::patch(
            Persona::AppAdmin,
            &format!("{path}/ephemeralcontainers"),
            json!({"spec": {"ephemeralContainers": [container]}}),
        )
    };
    let twin = || debug("registry.k8s.io/pause:3.10", false);
    verdicts
        .row(
            "W5",
            "a privileged ephemeral container",
            debug("registry.k8s.io/pause:3.10", true),
            By::PodSecurity("privileged"),
            twin(),
        )
        .await;
    verdicts
        .row(
            "W5",
            "an ephemeral container from elsewhere",
            debug("evil.example.com/x:1", false),
            By::Policy("mlp-pods", "image-registry"),
            twin(),
        )
        .await;
    let resize = |cpu: &str| {
        let resources =
            json!({"requests": {"cpu": cpu, "memory": "128Mi"}, "limits": {"cpu": cpu, "memory": "256Mi"}});
        let spec = json!({"spec": {"containers": [{"name": "main", "resources": resources}]}});
        let path = format!("{path}/resize?dryRun=All");
        Call { persona: Persona::AppEdit, method: "STRATEGIC", path, body: Some(spec) }
    };
    verdicts
        .row(
            "W6",
            "growing beyond the limit range",
            resize("5"),
            By::LimitRange("maximum cpu usage per Container"),
            resize("150m"),
        )
        .await;
    let image = |image: &str| {
        let spec = json!({"spec": {"containers": [{"name": "main", "image": image}]}});
        Call {
            persona: Persona::AppEdit,
            method: "STRATEGIC",
            path: format!("{path}?dryRun=All"),
            body: Some(spec),
        }
    };
    verdicts
        .row(
            "W7",
            "another image",
            image("evil.example.com/x:1"),
            By::Policy("mlp-pods", "image-registry"),
            image("registry.k8s.io/pause:3.9"),
        )
        .await;
    let mirror = create(pod("w"))
        .with("/metadata/annotations", json!({"kubernetes.io/config.mirror": "x"}))
        .with("/spec/nodeName", json!("sim-general-0"));
    // Such a pod names its node, which is refused as well; either policy may speak first.
    verdicts.refused("W8", "a mirror pod", mirror, By::OneOf(&["mirror-pod", "node-name"])).await;
}

/// A controller with rights of its own makes the pod.
async fn by_others(verdicts: &mut Verdicts) {
    let attack = Call::create(Persona::Operator, &core(HOME, "pods"), pod("w"))
        .with("/spec/containers/0/image", json!("evil.example.com/x:1"));
    let twin = Call::create(Persona::Operator, &core(HOME, "pods"), pod("w"));
    verdicts
        .row("W12", "a pod made by an operator", attack, By::Policy("mlp-pods", "image-registry"), twin)
        .await;
    let attack =
        Call::create(Persona::Operator, &core(HOME, "pods"), pod("w")).with("/spec/hostNetwork", json!(true));
    verdicts
        .refused("W12", "a host pod made by an operator", attack, By::PodSecurity("host namespaces"))
        .await;
}
