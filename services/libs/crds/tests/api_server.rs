//! What only a real API server can say: the definitions are accepted, bad objects are refused with a
//! message that names the field, and everything in `deploy/` passes a server-side dry run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use kube::api::{Api, DynamicObject, Patch, PatchParams, ValidationDirective};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, Resource as _};
use mlp_harness::{ControlPlane, TestNamespace};
use mlp_tilt::toolchain::pins;
use mlp_tilt::{Layout, Toolchain};
use serde_json::{Value, json};

struct Cluster {
    client: Client,
    namespace: TestNamespace,
}

impl Cluster {
    async fn ready() -> Self {
        let plane = ControlPlane::shared().await.unwrap();
        plane.install(&mlp_crds::all()).await.unwrap();
        Self { client: plane.client().await.unwrap(), namespace: plane.namespace().await.unwrap() }
    }

    /// Applies for real or dry, strictly; the error's text where it is refused.
    async fn apply(&self, mut object: Value, dry: bool) -> Result<(), String> {
        let (group, version) = object["apiVersion"].as_str().unwrap().split_once('/').unwrap_or(("", "v1"));
        let kind = GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap());
        let (resource, capabilities) = pinned_kind(&self.client, &kind).await.unwrap();
        if capabilities.scope == Scope::Namespaced {
            object["metadata"]["namespace"] = self.namespace.name().into();
        }
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let api: Api<DynamicObject> = match object.meta().namespace.as_deref() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let mut parameters = PatchParams::apply("crds-test").force();
        parameters.dry_run = dry;
        parameters.field_validation = Some(ValidationDirective::Strict);
        let name = object.meta().name.clone().unwrap();
        api.patch(&name, &parameters, &Patch::Apply(&object))
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

fn team(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": { "name": name }, "spec": spec })
}

fn ours(kind: &str, name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "mlplatform.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec })
}

#[tokio::test]
async fn a_bad_team_is_refused_by_the_name_of_its_field() {
    let cluster = Cluster::ready().await;
    let long = "a".repeat(41);
    let container = |limits: Value| json!({ "limitRange": { "container": limits } });
    let egress = |rule: Value| json!({ "networkPolicy": { "egress": [rule] } });
    for (object, message) in [
        (team(&long, json!({})), "metadata.name: a team's name has at most 40 characters"),
        (team("kube-ml", json!({})), "metadata.name: the name is reserved"),
        (team("platform", json!({})), "metadata.name: the name is reserved"),
        (team("7up", json!({})), "metadata.name: use lower-case letters"),
        (team("a.b", json!({})), "metadata.name: use lower-case letters"),
        (team("ml", json!({ "quotas": {} })), "quotas"),
        (team("ml", json!({ "quota": { "requests": { "cpu": "-1" } } })), "spec.quota.requests.cpu"),
        (team("ml", json!({ "quota": { "requests": { "memory": "much" } } })), "spec.quota.requests.memory"),
        (team("ml", json!({ "quota": { "requests": { "nvidia.com/gpu": -4 } } })), "nvidia.com/gpu"),
        (team("ml", json!({ "quota": { "objects": { "pods": -1 } } })), "spec.quota.objects.pods"),
        (
            team("ml", json!({ "quota": { "requests": { "cpu": 4 }, "limits": { "cpu": "3500m" } } })),
            "quota.limits.cpu must be at least quota.requests.cpu",
        ),
        (
            team("ml", json!({ "quota": { "requests": { "memory": "1Gi" }, "limits": { "memory": "1G" } } })),
            "quota.limits.memory must be at least quota.requests.memory",
        ),
        (
            team("ml", container(json!({ "default": { "cpu": 1 }, "max": { "cpu": "500m" } }))),
            "limitRange.container.max.cpu",
        ),
        (
            team(
                "ml",
                container(json!({ "defaultRequest": { "memory": "2Gi" }, "default": { "memory": "1Gi" } })),
            ),
            "limitRange.container.default.memory",
        ),
        (team("ml", json!({ "namespaces": [{ "name": "kube-system" }] })), "spec.namespaces[].name"),
        (team("ml", json!({ "namespaces": [{ "name": "mlp-system" }] })), "spec.namespaces[].name"),
        (team("ml", json!({ "namespaces": [{ "name": "a" }, { "name": "a" }] })), "spec.namespaces"),
        (team("ml", json!({ "labels": { "mlplatform.dev/team": "x" } })), "spec.labels"),
        (team("ml", json!({ "labels": { "team": "x" } })), "spec.labels"),
        (team("ml", json!({ "labels": { "tier": "not a value" } })), "spec.labels.tier"),
        (team("ml", json!({ "access": { "edit": { "groups": ["system:masters"] } } })), "access groups"),
        (
            team("ml", json!({ "access": { "serviceAccount": { "name": "default" } } })),
            "access.serviceAccount.name",
        ),
        (team("ml", egress(json!({ "name": "x", "cidr": "10.0.0.0" }))), "networkPolicy rule cidr"),
        (
            team("ml", egress(json!({ "name": "x", "cidr": "10.0.0.0/8", "namespace": "y" }))),
            "at most one of",
        ),
        (team("ml", json!({ "podSecurity": { "enforce": "privileged" } })), "spec.podSecurity.enforce"),
    ] {
        let spec = object["spec"].to_string();
        let refused = cluster.apply(object, true).await.expect_err(&spec);
        assert!(refused.contains(message), "{spec}: {refused}");
    }
}

#[tokio::test]
async fn bad_requests_are_refused_by_the_name_of_their_field() {
    let cluster = Cluster::ready().await;
    let price = |row: Value| json!({ "source": "s", "validFrom": "2026-01-01T00:00:00Z", "nodes": [row] });
    for (object, message) in [
        (ours("Database", "d", json!({})), "databaseName"),
        (
            ours("Database", "d", json!({ "databaseName": "f", "username": "admin" })),
            "spec.username is reserved",
        ),
        (
            ours("Database", "d", json!({ "databaseName": "f", "username": "pg_x" })),
            "spec.username is reserved",
        ),
        (ours("Database", "d", json!({ "databaseName": "postgres" })), "spec.databaseName is reserved"),
        (
            ours("Database", "d", json!({ "databaseName": "f", "storage": "512Mi" })),
            "spec.storage must be at least 1Gi",
        ),
        (ours("Database", "d", json!({ "databaseName": "f", "engine": "oracle" })), "spec.engine"),
        (ours("Database", "d", json!({ "databaseName": "f", "provider": "aws" })), "provider"),
        (
            ours("Database", "d", json!({ "databaseName": "f", "backup": { "retentionDays": 0 } })),
            "spec.backup.retentionDays",
        ),
        (
            ours("Database", "d", json!({ "databaseName": "f", "backup": { "retentionDays": 36 } })),
            "spec.backup.retentionDays",
        ),
        (
            ours(
                "Database",
                "d",
                json!({ "databaseName": "f", "class": "small", "resources": { "cpu": 1, "memory": "1Gi" } }),
            ),
            "class or resources, not both",
        ),
        (ours("Cache", "c", json!({ "highAvailability": true })), "spec.highAvailability needs"),
        (ours("Cache", "c", json!({ "replicas": 6 })), "spec.replicas"),
        (ours("Cache", "Upper", json!({})), "metadata.name"),
        (ours("PriceSheet", "p", json!({ "validFrom": "2026-01-01T00:00:00Z", "nodes": [] })), "spec.source"),
        (
            ours(
                "PriceSheet",
                "p",
                price(json!({ "name": "n", "anyNode": true, "cpuCoreHour": "-1", "memoryGibHour": "0" })),
            ),
            "cpuCoreHour",
        ),
        (
            ours("PriceSheet", "p", price(json!({ "name": "n", "cpuCoreHour": "1", "memoryGibHour": "0" }))),
            "spec.nodes[]: say which nodes",
        ),
    ] {
        let spec = object.to_string();
        let refused = cluster.apply(object, true).await.expect_err(&spec);
        assert!(refused.contains(message), "{spec}: {refused}");
    }
}

#[tokio::test]
async fn what_does_not_change_is_refused_and_the_rest_changes() {
    let cluster = Cluster::ready().await;
    let database = |name: &str, storage: &str, version: &str| {
        ours("Database", "d", json!({ "databaseName": name, "storage": storage, "version": version }))
    };
    cluster.apply(database("f", "20Gi", "16"), false).await.unwrap();
    cluster.apply(database("f", "21474836480", "16.4"), true).await.unwrap();
    cluster.apply(database("f", "40Gi", "17"), true).await.unwrap();
    for (object, message) in [
        (database("g", "20Gi", "16"), "spec.databaseName does not change"),
        (database("f", "10Gi", "16"), "spec.storage does not shrink"),
        (database("f", "20Gi", "15"), "spec.version does not go down"),
    ] {
        let refused = cluster.apply(object, true).await.unwrap_err();
        assert!(refused.contains(message), "{refused}");
    }
    let record = |uid: &str| ours("ApplicationRecord", "u-1", json!({ "name": "shop", "uid": uid }));
    cluster.apply(record("u-1"), false).await.unwrap();
    assert!(cluster.apply(record("u-2"), true).await.unwrap_err().contains("does not change"));
}

#[tokio::test]
async fn unknown_fields_of_applications_survive() {
    let cluster = Cluster::ready().await;
    let application = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": { "name": "shop" },
        "spec": { "project": "p", "destination": { "namespace": "x" }, "futureField": { "a": [1] },
            "source": { "repoURL": "file:///r", "helm": { "values": "a: 1" }, "later": true } },
        "operation": { "sync": { "revision": "abc", "unheardOf": 1 } },
    });
    cluster.apply(application, false).await.unwrap();
    let api: Api<mlp_crds::Application> = Api::namespaced(cluster.client.clone(), cluster.namespace.name());
    let read = api.get("shop").await.unwrap();
    assert_eq!(read.spec.rest["futureField"], json!({ "a": [1] }));
    let source = read.spec.source.clone().unwrap();
    assert_eq!(
        (source.rest["later"].clone(), source.helm.unwrap()),
        (json!(true), json!({ "values": "a: 1" }))
    );
    let sync = read.operation.clone().unwrap().sync.unwrap();
    assert_eq!((sync.revision.as_deref(), sync.rest["unheardOf"].clone()), (Some("abc"), json!(1)));
    assert_eq!(serde_json::to_value(&read).unwrap()["kind"], "Application");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

#[tokio::test]
async fn every_environment_passes_a_server_side_dry_run() {
    let cluster = Cluster::ready().await;
    let toolchain = Toolchain::new(&Layout::of_checkout(&root()), None);
    let kustomize = toolchain
        .find(&pins::KUSTOMIZE)
        .expect("kustomize is nowhere; `cargo mlp doctor` says how to get it");
    for environment in ["local", "dev", "staging", "prod"] {
        for part in [".", "teams", "examples"] {
            let folder = root().join("deploy/environments").join(environment).join(part);
            let output = Command::new(kustomize.path()).arg("build").arg(&folder).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8(output.stdout).unwrap();
            for object in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
                let what = format!("{environment}/{part} {} {}", object["kind"], object["metadata"]["name"]);
                cluster.apply(object, true).await.unwrap_or_else(|refused| panic!("{what}: {refused}"));
            }
        }
    }
}
