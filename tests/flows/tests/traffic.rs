//! Isolation shown by traffic: between every two pods of two teams and a stranger, to the node and to a
//! metadata service on it, what arrives is what the evaluator of `mlp team reach` says, by whose rule ever; and
//! it stays so while a namespace ends.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::Api;
use mlp_crds::Team;
use mlp_flows::cli::{mlp_ok, with_kubectl};
use mlp_flows::{LIMIT, Tested, apply, client, remove, team, until, until_isolated, variable};
use mlp_harness::wait_until;
use mlp_tilt::process::Process;
use serde_json::{Value, json};

/// Ports that each pod serves.
const PORTS: [u16; 2] = [7000, 7001];
/// Where kubelet listens on every node.
const KUBELET: u16 = 10250;

/// Where a cloud tells a node's credentials to whoever asks.
const METADATA: &str = "169.254.169.254:80";
/// How long a pod that does not mind being told to end goes on.
const GRACE: u64 = 20;

/// A pod that answers on the ports and can ask others.
fn pod(name: &str) -> Value {
    let serve = PORTS.map(|port| format!("redis-server --port {port} --protected-mode no --save ''"));
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "nodeSelector": {"kubernetes.io/hostname": mlp_tilt::node::NAME},
            "securityContext": {"runAsNonRoot": true, "runAsUser": 999, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "main", "image": "mlp/redis:7", "imagePullPolicy": "IfNotPresent", "workingDir": "/tmp",
                "command": ["sh", "-c", format!("{} & exec {}", serve[0], serve[1])],
                "ports": PORTS.map(|port| json!({"name": format!("p{port}"), "containerPort": port})),
                "readinessProbe": {"tcpSocket": {"port": PORTS[1]}, "periodSeconds": 1},
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

/// The same, which goes on serving when it is told to end, until its time is over.
fn stubborn(name: &str) -> Value {
    let mut pod = pod(name);
    pod["spec"]["terminationGracePeriodSeconds"] = json!(GRACE);
    let command = pod["spec"]["containers"][0]["command"][2].as_str().unwrap().replace("exec ", "");
    pod["spec"]["containers"][0]["command"][2] =
        json!(format!("trap '' TERM; {command} & wait; sleep {GRACE}"));
    pod
}

/// A service at the metadata address of the real node, as in a cloud.
struct Metadata(Child);

impl Metadata {
    fn serve() -> Result<Self, Box<dyn std::error::Error>> {
        let state = PathBuf::from(variable("MLP_STATE"));
        let node = Process::attach("node", &state.join("run/node.json"), &state.join("logs/node.log"));
        let node = node.ok_or("there is no real node (it needs Linux and root)")?.identity().pid.to_string();
        let (address, port) = METADATA.split_once(':').ok_or("address:port")?;
        let serve = format!(
            "ip address replace {address}/32 dev lo && exec python3 -m http.server {port} --bind {address}"
        );
        let mut command = Command::new("nsenter");
        command.args(["--target", &node, "--net", "sh", "-c", &serve]);
        Ok(Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        drop((self.0.kill(), self.0.wait()));
    }
}

/// Two teams; `near` lets `far` in at one port, and `far` lets its own pods out to it there and nowhere else.
fn teams() -> [Value; 2] {
    let [mut near, mut far] = ["near", "far"].map(team);
    let port = json!([{"port": PORTS[0], "protocol": "TCP"}]);
    near["spec"]["networkPolicy"] = json!({"ingress": [{"name": "from-far", "namespaceLabels": {"mlplatform.dev/team": "far"}, "ports": port}]});
    far["spec"]["networkPolicy"] = json!({"egress": [{"name": "to-near", "namespaceLabels": {"mlplatform.dev/team": "near"}, "ports": port}]});
    [near, far]
}

/// Which of the targets `address:port` accept a connection from a pod.
fn reached(from: &str, targets: &[String]) -> BTreeMap<String, bool> {
    let (namespace, name) = from.split_once('/').unwrap();
    let asks = targets.iter().map(|target| {
        let (address, port) = target.rsplit_once(':').unwrap();
        // Pods say PONG, kubelet closes what is no TLS, HTTP is another protocol; silence is no answer.
        let ask = format!(
            "timeout 3 redis-cli -h {address} -p {port} PING 2>&1 | grep -q -e PONG -e closed -e reset -e Protocol"
        );
        format!("if {ask}; then echo {target} yes; else echo {target} no; fi")
    });
    let asks = asks.collect::<Vec<_>>().join("; ");
    let text = with_kubectl(&format!("kubectl exec -n {namespace} {name} -- sh -c \"{asks}\""), "");
    let answers = text.lines().filter_map(|line| line.split_once(' '));
    answers.map(|(target, answer)| (target.to_owned(), answer == "yes")).collect()
}

/// What the evaluator says.
fn judged(from: &str, to: &str) -> bool {
    let answer = mlp_ok(&["team", "reach", "--from", from, "--to", to, "-o", "json"]);
    serde_json::from_str::<Value>(&answer).unwrap()["arrives"] == true
}

async fn address(client: &kube::Client, pod: &str) -> Result<String, Box<dyn std::error::Error>> {
    let (namespace, name) = pod.split_once('/').ok_or("namespace/name")?;
    let ready = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.clone().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pod =
        until(&pods, name, &format!("{pod} runs (this needs the real node: Linux and root)"), ready).await?;
    Ok(pod.status.and_then(|status| status.pod_ip).ok_or("no address")?)
}

#[tokio::test]
async fn what_arrives_between_pods_is_what_the_evaluator_says() -> Tested {
    let client = client().await?;
    for team in teams() {
        apply::<Team>(&client, None, &team).await?;
    }
    for name in ["near", "far"] {
        until_isolated(&client, name).await?;
    }
    let open = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "open-street"}});
    apply::<Namespace>(&client, None, &open).await?;
    let pods = ["near-team/a", "near-team/b", "far-team/a", "far-team/b", "open-street/a"];
    let mut addresses = BTreeMap::new();
    for name in pods {
        let (namespace, short) = name.split_once('/').ok_or("namespace/name")?;
        apply::<Pod>(&client, Some(namespace), &pod(short)).await?;
    }
    for name in pods {
        addresses.insert(name, address(&client, name).await?);
    }
    let node = Api::<Node>::all(client.clone()).get(mlp_tilt::node::NAME).await?;
    let node = node.status.and_then(|status| status.addresses).unwrap_or_default();
    let node = node.iter().find(|address| address.type_ == "InternalIP").ok_or("the node has no address")?;
    let kubelet = format!("{}:{KUBELET}", node.address);
    let _metadata = Metadata::serve()?;
    wait_until(LIMIT, "the metadata service to answer", || async {
        reached("open-street/a", &[METADATA.to_owned()])[METADATA].then_some(())
    })
    .await?;

    let mut seen = BTreeMap::new();
    for from in pods {
        // Target as a person names it, and as a packet does.
        let others = pods.iter().filter(|to| **to != from);
        let mut targets: Vec<_> = others
            .flat_map(|to| PORTS.map(|port| (format!("{to}:{port}"), format!("{}:{port}", addresses[to]))))
            .collect();
        targets.extend([kubelet.as_str(), METADATA].map(|target| (target.to_owned(), target.to_owned())));
        let wire: Vec<String> = targets.iter().map(|(_, wire)| wire.clone()).collect();
        let arrived = reached(from, &wire);
        for (to, wire) in targets {
            let (traffic, verdict) = (arrived[&wire], judged(from, &to));
            assert_eq!(traffic, verdict, "{from} -> {to}: traffic (left) and evaluator (right) disagree");
            seen.insert((from, to), traffic);
        }
    }
    for (from, to, arrives) in [
        ("near-team/a", "near-team/b:7000", true),
        ("near-team/a", "far-team/a:7000", false),
        ("far-team/a", "near-team/a:7000", true),
        ("far-team/b", "near-team/a:7001", false),
        ("open-street/a", "near-team/a:7000", false),
        ("near-team/a", "open-street/a:7000", false),
        ("far-team/a", &kubelet, false),
        ("open-street/a", &kubelet, true),
        ("near-team/a", METADATA, false),
        ("open-street/a", METADATA, true),
    ] {
        assert_eq!(seen.get(&(from, to.to_owned())), Some(&arrives), "{from} -> {to}");
    }
    names_are_resolved("near-team/a");
    for name in pods {
        let (namespace, short) = name.split_once('/').ok_or("namespace/name")?;
        remove(&Api::<Pod>::namespaced(client.clone(), namespace), short).await?;
    }
    remove(&Api::<Namespace>::all(client.clone()), "open-street").await?;
    remove(&Api::<Team>::all(client.clone()), "near").await?;
    remove(&Api::<Team>::all(client), "far").await
}

/// By the cluster's DNS, which is the one thing outside that every team may ask.
fn names_are_resolved(pod: &str) {
    let (namespace, name) = pod.split_once('/').unwrap();
    let ask = "busybox nslookup kubernetes.default.svc.cluster.local";
    let said = with_kubectl(&format!("kubectl exec -n {namespace} {name} -- {ask}"), "");
    assert!(said.contains("Address"), "{said}");
}

/// CVE-2024-7598: policies that go before the pods of a namespace leave these open.
#[tokio::test]
async fn a_namespace_that_ends_stays_closed_as_long_as_a_pod_of_it_runs() -> Tested {
    let client = client().await?;
    apply::<Team>(&client, None, &team("ending")).await?;
    until_isolated(&client, "ending").await?;
    let open = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "open-road"}});
    apply::<Namespace>(&client, None, &open).await?;
    apply::<Pod>(&client, Some("ending-team"), &stubborn("a")).await?;
    apply::<Pod>(&client, Some("ending-team"), &stubborn("b")).await?;
    apply::<Pod>(&client, Some("open-road"), &pod("a")).await?;
    let [first, second] =
        [address(&client, "ending-team/a").await?, address(&client, "ending-team/b").await?];
    address(&client, "open-road/a").await?;
    let [first, second] = [first, second].map(|address| format!("{address}:{}", PORTS[0]));
    let inside = || reached("ending-team/a", std::slice::from_ref(&second))[&second];
    let outside = || reached("open-road/a", std::slice::from_ref(&first))[&first];
    assert!(inside() && !outside(), "before");

    let namespaces: Api<Namespace> = Api::all(client.clone());
    let before = namespaces.get("ending-team").await?;
    namespaces.delete("ending-team", &Default::default()).await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "ending-team");
    let mut looks = 0;
    // Three looks take less than the grace, though each waits for what does not answer.
    for _ in 0..3 {
        // Both answers count only while the pods still serve.
        if pods.get_opt("a").await?.is_none() {
            break;
        }
        let (inside, outside) = (inside(), outside());
        assert!(!outside, "a stranger reaches a pod of a namespace that ends");
        looks += usize::from(inside);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(looks >= 2, "the pods served while the namespace ended: {looks} looks");
    wait_until(LIMIT, "the namespace to be made anew", || async {
        let now = namespaces.get_opt("ending-team").await.ok()??;
        (now.metadata.uid != before.metadata.uid).then_some(())
    })
    .await?;
    until_isolated(&client, "ending").await?;
    remove(&Api::<Pod>::namespaced(client.clone(), "open-road"), "a").await?;
    remove(&namespaces, "open-road").await?;
    remove(&Api::<Team>::all(client), "ending").await
}
