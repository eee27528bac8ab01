//! The real node: a database in a pod that another pod reaches by name, and nothing left behind.
//!
//! Needs Linux and root, as the node does; elsewhere the test fails and says so.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, Secret, Service};
use kube::api::{Api, AttachParams, DeleteParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use mlp_tilt::node::{NAME, NodeOptions, RealNode, doctor, images};
use mlp_tilt::{Layout, Nodes, Options, Plane, Progress, Toolchain};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LIMIT: Duration = Duration::from_secs(90);

fn checkout() -> Layout {
    Layout::discover(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What the machine shows of a node, by the names that it may bear: lines of mounts, interfaces,
/// routes, packet rules and processes, control groups, folders.
fn traces(state: &Path, kernel_name: &str) -> Vec<String> {
    let lists = [
        std::fs::read_to_string("/proc/self/mounts").unwrap(),
        printed("ip", &["-o", "link"]),
        printed("ip", &["route"]),
        printed("iptables-save", &[]),
        printed("ps", &["-eo", "args"]),
        printed("find", &["/sys/fs/cgroup", "-type", "d", "-name", kernel_name]),
    ];
    let state = state.to_string_lossy();
    let names = [&*state, kernel_name, "KUBE-", "CNI-", "/run/mlp-node"];
    let lines = lists.iter().flat_map(|list| list.lines());
    let ours = lines.filter(|line| names.iter().any(|name| line.contains(name))).map(str::to_owned);
    let folders =
        ["/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers", "/opt/containerd"];
    let folders = folders.into_iter().filter(|folder| Path::new(folder).exists()).map(str::to_owned);
    ours.chain(folders).collect()
}

/// Settings of the whole machine that kubelet or the way out of pods would change.
fn settings() -> Vec<String> {
    let mut names = vec!["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"];
    // Another platform's node that comes or goes meanwhile changes forwarding with right.
    if !printed("ip", &["-o", "link"]).contains(" mlp-") {
        names.push("net/ipv4/ip_forward");
    }
    names
        .iter()
        .map(|name| format!("{name} {}", std::fs::read_to_string(format!("/proc/sys/{name}")).unwrap()))
        .collect()
}

/// A place that only this machine can reach and that knows no way back to pods.
struct Outside {
    holder: std::process::Child,
}

const OUTSIDE: &str = "198.18.77.2";

impl Outside {
    fn new() -> Self {
        let holder = Command::new("unshare").args(["--net", "sleep", "infinity"]).spawn().unwrap();
        let pid = holder.id().to_string();
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        while std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|namespace| namespace == own) {
            std::thread::yield_now();
        }
        let link = format!("out{pid}");
        let ip = |words: &str| {
            assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "{words}")
        };
        ip(&format!("link add {link} type veth peer name out netns {pid}"));
        ip(&format!("address add 198.18.77.1/30 dev {link}"));
        ip(&format!("link set {link} up"));
        for words in
            [format!("address add {OUTSIDE}/30 dev out"), "link set out up".into(), "link set lo up".into()]
        {
            let enter = ["--target", &pid, "--net", "ip"].into_iter().chain(words.split(' '));
            assert!(Command::new("nsenter").args(enter).status().unwrap().success(), "{words}");
        }
        Self { holder }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let look = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, look).await.is_ok(), "{what} did not happen within {LIMIT:?}");
}

async fn apply<K>(client: &Client, namespace: &str, name: &str, mut object: Value)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    object["apiVersion"] = K::api_version(&()).into();
    object["kind"] = K::kind(&()).into();
    object["metadata"]["name"] = name.into();
    let objects: Api<K> = Api::namespaced(client.clone(), namespace);
    objects.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(object)).await.unwrap();
}

/// A pod under the `restricted` profile.
fn pod(labels: Value, container: Value, volumes: Value) -> Value {
    let mut container = container;
    container["securityContext"] =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    json!({
        "metadata": {"labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "securityContext": {"runAsNonRoot": true, "fsGroup": 999, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": volumes,
        },
    })
}

fn database_pod() -> Value {
    let container = json!({
        "name": "postgres",
        "image": images::POSTGRES,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "POSTGRES_USER", "value": "app"},
            {"name": "POSTGRES_DB", "value": "shop"},
            {"name": "POSTGRES_PASSWORD_FILE", "value": "/secret/password"},
            {"name": "PGDATA", "value": "/var/lib/postgresql/data/pgdata"},
        ],
        "readinessProbe": {"exec": {"command": ["pg_isready", "-h", "127.0.0.1", "-U", "app"]}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "data", "mountPath": "/var/lib/postgresql/data"},
            {"name": "secret", "mountPath": "/secret"},
            {"name": "scratch", "mountPath": "/tmp"},
            {"name": "run", "mountPath": "/var/run/postgresql"},
        ],
    });
    let volumes = json!([
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "secret", "secret": {"secretName": "login", "defaultMode": 0o440}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "run", "emptyDir": {}},
    ]);
    pod(json!({"app": "db"}), container, volumes)
}

fn cache_pod() -> Value {
    let password = json!({"name": "REDIS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}});
    let probe = json!({"exec": {"command": ["sh", "-c", "REDISCLI_AUTH=$REDIS_PASSWORD redis-cli ping"]}, "periodSeconds": 1});
    let container = json!({"name": "redis", "image": images::REDIS, "imagePullPolicy": "IfNotPresent", "env": [password], "readinessProbe": probe, "volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    pod(json!({"app": "cache"}), container, json!([{"name": "data", "emptyDir": {}}]))
}

async fn is_ready(pods: &Api<Pod>, name: &str, not_uid: Option<&str>) -> bool {
    let Some(pod) = pods.get_opt(name).await.unwrap() else { return false };
    let conditions = pod.status.and_then(|status| status.conditions).unwrap_or_default();
    pod.metadata.uid.as_deref() != not_uid
        && pod.metadata.deletion_timestamp.is_none()
        && conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

async fn ready(pods: &Api<Pod>, name: &str, not_uid: Option<&str>) {
    let wait = async {
        while !is_ready(pods, name, not_uid).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(LIMIT, wait).await.is_err() {
        let status = pods.get(name).await.unwrap().status;
        let logs = pods.logs(name, &Default::default()).await;
        panic!("pod {name} was not ready within {LIMIT:?}: {status:#?}\n{logs:?}");
    }
}

/// Runs a command in a pod through the API server; its standard output, and whether it succeeded.
async fn execute(pods: &Api<Pod>, name: &str, command: &[&str]) -> (String, bool) {
    let Ok(mut attached) = pods.exec(name, command.to_vec(), &AttachParams::default().stderr(false)).await
    else {
        return (String::new(), false);
    };
    let status = attached.take_status().unwrap();
    let mut text = String::new();
    attached.stdout().unwrap().read_to_string(&mut text).await.unwrap();
    let success = status.await.and_then(|status| status.status).as_deref() == Some("Success");
    (text.trim().to_owned(), success)
}

async fn restarts(pods: &Api<Pod>, name: &str) -> i32 {
    let status = pods.get(name).await.unwrap().status.unwrap();
    status.container_statuses.unwrap_or_default().iter().map(|container| container.restart_count).sum()
}

async fn sql(clients: &Api<Pod>, statement: &str) -> Option<String> {
    let address = "postgresql://app:open%20sesame@db.shop.svc.cluster.local/shop?connect_timeout=3";
    let (text, success) = execute(clients, "client", &["psql", "-qtAc", statement, address]).await;
    success.then_some(text)
}

async fn populate(client: &Client) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in ["shop", "visitors"] {
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        namespaces.patch(name, &PatchParams::apply("test"), &Patch::Apply(namespace)).await.unwrap();
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = Api::namespaced(client.clone(), name);
        eventually("a service account", || async { accounts.get_opt("default").await.unwrap().is_some() })
            .await;
    }
    apply::<Secret>(client, "shop", "login", json!({"stringData": {"password": "open sesame"}})).await;
    let claim =
        json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    apply::<PersistentVolumeClaim>(client, "shop", "data", claim).await;
    for (name, port) in [("db", 5432), ("cache", 6379)] {
        let service = json!({"spec": {"selector": {"app": name}, "ports": [{"port": port}]}});
        apply::<Service>(client, "shop", name, service).await;
    }
    apply::<Pod>(client, "shop", "db", database_pod()).await;
    apply::<Pod>(client, "shop", "cache", cache_pod()).await;
    let container = json!({"name": "psql", "image": images::POSTGRES, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "100000"]});
    apply::<Pod>(client, "visitors", "client", pod(json!({}), container, json!([]))).await;
}

async fn start(plane: &Plane) -> RealNode {
    let toolchain = Toolchain::new(plane.layout(), None);
    let begun = Instant::now();
    let node = RealNode::start(plane, &toolchain, NodeOptions::default(), &Progress::stderr()).await.unwrap();
    eprintln!("real node up in {:.1} s, {} MiB", begun.elapsed().as_secs_f64(), node.resident_bytes() >> 20);
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_serves_other_pods_survives_and_nothing_is_left() {
    let state = tempfile::tempdir().unwrap();
    let layout = checkout().with_state(state.path());
    let unfit: Vec<_> = doctor(&layout).into_iter().filter(|finding| !finding.installable).collect();
    assert!(unfit.is_empty(), "this test needs what a real node needs: {unfit:?}");
    let before = settings();
    let options = Options { nodes: Nodes::Both, etcd_fsync: false, ..Options::default() };
    let plane = Plane::start(&layout, options, &Progress::quiet()).await.unwrap();
    let client = plane.client();
    let node = start(&plane).await;
    assert!(node.processes().iter().all(|(_, runs)| *runs));
    let kernel_name = node.kernel_name();
    assert!(!traces(state.path(), &kernel_name).is_empty(), "a running node shows");

    populate(&client).await;
    let shop: Api<Pod> = Api::namespaced(client.clone(), "shop");
    let visitors: Api<Pod> = Api::namespaced(client.clone(), "visitors");
    for (pods, name) in [(&shop, "db"), (&shop, "cache"), (&visitors, "client")] {
        ready(pods, name, None).await;
        let scheduled = pods.get(name).await.unwrap().spec.unwrap().node_name;
        assert_eq!(scheduled.as_deref(), Some(NAME), "what names no pool runs on the real node");
    }
    eprintln!("with a database, a cache and a client: {} MiB", node.resident_bytes() >> 20);

    eventually("an answer of the database", || async {
        sql(&visitors, "select 1").await.as_deref() == Some("1")
    })
    .await;
    sql(&visitors, "create table orders (id int); insert into orders values (7)").await.unwrap();
    let (user, _) = execute(&shop, "db", &["id", "-u"]).await;
    assert_eq!(user, "999");
    let wrong = ["psql", "-qtAc", "select 1", "postgresql://app:guess@db.shop/shop?connect_timeout=3"];
    assert!(!execute(&visitors, "client", &wrong).await.1, "a wrong password is refused");
    let (answer, _) = execute(
        &shop,
        "cache",
        &[
            "sh",
            "-c",
            "redis-cli -h cache ping; REDISCLI_AUTH=\"$REDIS_PASSWORD\" redis-cli -h cache.shop ping",
        ],
    )
    .await;
    assert!(answer.contains("NOAUTH") && answer.ends_with("PONG"), "{answer}");
    let logs = shop.logs("db", &Default::default()).await.unwrap();
    assert!(logs.contains("ready to accept connections"), "{logs}");

    let mut forwarded = shop.portforward("db", &[5432]).await.unwrap();
    let mut stream = forwarded.take_stream(5432).unwrap();
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.unwrap();
    let offer = tokio::time::timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap();
    assert!(b"NS".contains(&offer), "PostgreSQL answers a request for TLS with one letter");
    drop((stream, forwarded));

    // Nobody listens there, but the refusal has to find its way back.
    let outside = Outside::new();
    let (answer, _) = execute(&visitors, "client", &["sh", "-c", &format!("nc -w 3 {OUTSIDE} 9 2>&1")]).await;
    assert!(answer.contains("refused"), "pods reach what this machine reaches: {answer}");
    drop(outside);

    let first = shop.get("db").await.unwrap().metadata.uid;
    shop.delete("db", &DeleteParams::default()).await.unwrap();
    eventually("the end of the first database pod", || async { shop.get_opt("db").await.unwrap().is_none() })
        .await;
    apply::<Pod>(&client, "shop", "db", database_pod()).await;
    ready(&shop, "db", first.as_deref()).await;
    eventually("the row", || async { sql(&visitors, "select id from orders").await.as_deref() == Some("7") })
        .await;

    // Starting again changes nothing, a killed process comes back, and so does a killed node with
    // what it held.
    let holder = || std::fs::read_to_string(layout.run().join("node.json")).unwrap();
    let running = holder();
    let again = start(&plane).await;
    assert_eq!(holder(), running);
    for name in ["kubelet", "containerd"] {
        let record: Value =
            serde_json::from_slice(&std::fs::read(layout.run().join(format!("{name}.json"))).unwrap())
                .unwrap();
        let group = format!("-{}", record["pid"]);
        assert!(Command::new("kill").args(["-KILL", "--", &group]).status().unwrap().success());
    }
    let healed = start(&plane).await;
    eventually("the row after a repair", || async {
        sql(&visitors, "select id from orders").await.as_deref() == Some("7")
    })
    .await;
    assert_eq!(restarts(&visitors, "client").await, 0, "containers outlive kubelet and containerd");
    drop((healed, again, node));
    eventually("the end of a node that is not detached", || async { RealNode::attach(&layout).is_none() })
        .await;
    let node = start(&plane).await;
    eventually("the row after a crash", || async {
        sql(&visitors, "select id from orders").await.as_deref() == Some("7")
    })
    .await;

    let stopping = Instant::now();
    RealNode::stop(&layout, &Progress::stderr()).await.unwrap();
    eprintln!("real node stopped in {:.1} s", stopping.elapsed().as_secs_f64());
    RealNode::stop(&layout, &Progress::stderr()).await.unwrap();
    drop(node);
    RealNode::forget(&client).await.unwrap();
    Plane::stop(&layout, &Progress::quiet()).await.unwrap();
    assert_eq!(traces(state.path(), &kernel_name), Vec::<String>::new());
    let after = settings();
    let common = before.len().min(after.len());
    assert_eq!(before[..common], after[..common]);
    Plane::wipe(&layout, &Progress::quiet()).await.unwrap();
    assert!(!state.path().exists());
}
