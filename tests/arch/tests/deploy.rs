//! `deploy/`: every overlay builds under Kustomize's load restrictions, the overlays differ in scale
//! and provider only, workloads are restricted, rights are narrow, and the data agrees with the code.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::OnceLock;

use mlp_arch::{SERVICES, root};
use mlp_tilt::toolchain::pins;
use mlp_tilt::{Layout, Toolchain};
use serde_json::Value;

const ENVIRONMENTS: [&str; 4] = ["local", "dev", "staging", "prod"];
/// Folders of an environment, in the order in which they are applied.
const PARTS: [&str; 3] = [".", "teams", "examples"];

/// Objects of an overlay by `Kind/namespace/name`; names of generated ConfigMaps without their hash.
type Objects = BTreeMap<String, Value>;

fn built(environment: &str, part: &str) -> &'static Objects {
    static BUILT: OnceLock<BTreeMap<(String, String), Objects>> = OnceLock::new();
    let all = BUILT.get_or_init(|| {
        let pairs = ENVIRONMENTS.iter().flat_map(|e| PARTS.iter().map(move |p| (*e, *p)));
        pairs.map(|(e, p)| ((e.to_owned(), p.to_owned()), build(e, p))).collect()
    });
    &all[&(environment.to_owned(), part.to_owned())]
}

fn build(environment: &str, part: &str) -> Objects {
    let toolchain = Toolchain::new(&Layout::of_checkout(&root()), None);
    let kustomize = toolchain
        .find(&pins::KUSTOMIZE)
        .expect("kustomize is nowhere; `cargo mlp doctor` says how to get it");
    let folder = root().join("deploy/environments").join(environment).join(part);
    let output = Command::new(kustomize.path()).arg("build").arg(&folder).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{environment}/{part}: {errors}");
    assert!(errors.trim().is_empty(), "{environment}/{part} warns: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&without_hashes(&text)).unwrap();
    documents.into_iter().map(|document| (key(&document), document)).collect()
}

/// Kustomize ends generated names with a hyphen and ten characters of a hash.
fn without_hashes(text: &str) -> String {
    let mut out = text.to_owned();
    for name in [
        "mlp-config",
        "nats-config",
        "otel-collector-config",
        "prometheus-config",
        "grafana-provisioning",
        "grafana-dashboards",
    ] {
        while let Some(at) = out.find(&format!("{name}-")) {
            out.replace_range(at + name.len()..at + name.len() + 11, "");
        }
    }
    out
}

fn key(object: &Value) -> String {
    let metadata = &object["metadata"];
    let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{}/{}/{}", part(&object["kind"]), part(&metadata["namespace"]), part(&metadata["name"]))
}

/// What may differ: (part, object or its kind, path or its beginning).
const MAY_DIFFER: [(&str, &str, &str); 28] = [
    (".", "", "/metadata/labels/mlplatform.dev~1environment"),
    (".", "ConfigMap/mlp-system/mlp-config", "/data/MLP_ENVIRONMENT"),
    (".", "ConfigMap/mlp-system/mlp-config", "/data/AWS_"),
    (".", "ConfigMap/mlp-system/mlp-config", "/data/MLP_AWS_"),
    (".", "ConfigMap/mlp-system/nats-config", "/data/cluster.conf"),
    (".", "Deployment/", "/spec/replicas"),
    (".", "Deployment/", "/spec/template/spec/containers/0/resources/"),
    (".", "Deployment/mlp-system/prometheus", "/spec/template/spec/containers/0/args/2"),
    (".", "Deployment/mlp-system/prometheus", "/spec/template/spec/containers/0/args/3"),
    (".", "StatefulSet/mlp-system/nats", "/spec/replicas"),
    (".", "StatefulSet/mlp-system/nats", "/spec/volumeClaimTemplates/0/spec/resources/requests/storage"),
    (".", "PersistentVolumeClaim/mlp-system/prometheus", "/spec/resources/requests/storage"),
    ("teams", "", "/metadata/labels/mlplatform.dev~1environment"),
    ("teams", "Team/", "/spec/quota/requests/"),
    ("teams", "Team/", "/spec/quota/limits/"),
    ("teams", "Team/", "/spec/podSecurity/enforce"),
    ("teams", "PriceSheet/", ""),
    ("examples", "", "/metadata/labels/mlplatform.dev~1environment"),
    ("examples", "Database/", "/spec/class"),
    ("examples", "Database/", "/spec/storage"),
    ("examples", "Database/", "/spec/backup/retentionDays"),
    ("examples", "Database/", "/spec/highAvailability"),
    ("examples", "Database/", "/spec/deletionProtection"),
    ("examples", "Cache/", "/spec/class"),
    ("examples", "Cache/", "/spec/replicas"),
    ("examples", "Cache/", "/spec/highAvailability"),
    ("examples", "Application/", "/spec/syncPolicy/"),
    ("examples", "Application/", "/spec/revisionHistoryLimit"),
];
/// Two more that only the larger environments set, and what kind has not: the network of EKS and its audit log.
const MAY_DIFFER_TOO: [(&str, &str, &str); 4] = [
    (".", "ConfigMap/mlp-system/mlp-config", "/data/MLP_NETWORK_POLICY_ENFORCER"),
    (".", "ConfigMap/mlp-system/mlp-config", "/data/MLP_AUDIT_CLOUDWATCH"),
    ("examples", "Cache/", "/spec/snapshotRetentionDays"),
    ("examples", "Cache/", "/spec/deletionProtection"),
];

#[test]
fn overlays_differ_in_scale_and_provider_only() {
    let mut wrong = vec![];
    for part in PARTS {
        let model = flat(built("prod", part));
        for environment in ["local", "dev", "staging"] {
            let other = flat(built(environment, part));
            let places: BTreeSet<_> = model.keys().chain(other.keys()).collect();
            for (object, path) in places.into_iter().filter(|place| model.get(*place) != other.get(*place)) {
                let allowed = MAY_DIFFER.iter().chain(&MAY_DIFFER_TOO);
                let known = |(p, o, begin): &(&str, &str, &str)| {
                    *p == part && object.starts_with(o) && path.starts_with(begin)
                };
                if !allowed.into_iter().any(known) {
                    wrong.push(format!("{environment}/{part} {object} {path}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "overlays differ in more than scale and provider: {wrong:#?}");
}

fn flat(objects: &Objects) -> BTreeMap<(String, String), Value> {
    let mut out = BTreeMap::new();
    for (name, object) in objects {
        flatten(name, object, String::new(), &mut out);
    }
    out
}

fn flatten(name: &str, value: &Value, path: String, out: &mut BTreeMap<(String, String), Value>) {
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                flatten(name, child, format!("{path}/{}", key.replace('/', "~1")), out);
            }
        }
        Value::Array(items) => {
            for (index, child) in items.iter().enumerate() {
                flatten(name, child, format!("{path}/{index}"), out);
            }
        }
        scalar => drop(out.insert((name.to_owned(), path), scalar.clone())),
    }
}

fn workloads(objects: &Objects) -> impl Iterator<Item = (&String, &Value)> {
    objects.iter().filter(|(name, _)| name.starts_with("Deployment/") || name.starts_with("StatefulSet/"))
}

#[test]
fn workloads_are_restricted_bounded_and_pinned() {
    for environment in ENVIRONMENTS {
        for (name, workload) in workloads(built(environment, ".")) {
            let pod = &workload["spec"]["template"]["spec"];
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            for container in pod["containers"].as_array().unwrap() {
                let context = &container["securityContext"];
                assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
                assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
                assert_eq!(context["capabilities"]["drop"][0], "ALL", "{name}");
                for kind in ["requests", "limits"] {
                    assert!(container["resources"][kind]["cpu"].is_string(), "{name} {kind}.cpu");
                    assert!(container["resources"][kind]["memory"].is_string(), "{name} {kind}.memory");
                }
                assert!(
                    container["readinessProbe"].is_object() && container["livenessProbe"].is_object(),
                    "{name}"
                );
                let image = container["image"].as_str().unwrap();
                let tag = image.rsplit_once(':').map(|(_, tag)| tag).unwrap_or("latest");
                assert_ne!(tag, "latest", "{name} {image}");
            }
        }
    }
}

#[test]
fn every_service_has_all_its_parts() {
    let objects = built("prod", ".");
    for service in SERVICES {
        for kind in [
            "ServiceAccount",
            "Deployment",
            "Service",
            "PodDisruptionBudget",
            "NetworkPolicy",
            "Role",
            "RoleBinding",
        ] {
            assert!(objects.contains_key(&format!("{kind}/mlp-system/{service}")), "{kind} {service}");
        }
        for kind in ["ClusterRole", "ClusterRoleBinding"] {
            assert!(objects.contains_key(&format!("{kind}//{service}")), "{kind} {service}");
        }
        let deployment = &objects[&format!("Deployment/mlp-system/{service}")];
        assert_eq!(deployment["spec"]["template"]["spec"]["serviceAccountName"], service);
        let replicas = deployment["spec"]["replicas"].as_i64().unwrap();
        if service == "cost-attribution" {
            // Its ledger is one file on one volume, which two replicas cannot share.
            let spec = &deployment["spec"];
            assert_eq!((replicas, &spec["strategy"]["type"]), (1, &Value::from("Recreate")), "{service}");
            assert!(spec["template"]["spec"]["volumes"].to_string().contains("persistentVolumeClaim"));
        } else {
            assert!(replicas >= 2, "{service}");
        }
        // Kustomize must not have put the service's own name over that of its peers.
        let egress = objects[&format!("NetworkPolicy/mlp-system/{service}")]["spec"]["egress"].to_string();
        for peer in ["nats", "otel-collector"] {
            assert!(egress.contains(&format!("[\"{peer}\"]")), "{service} may not reach {peer}: {egress}");
        }
        let ports = objects[&format!("Service/mlp-system/{service}")]["spec"]["ports"].to_string();
        assert!(ports.contains("\"grpc\"") && ports.contains("\"admin\""), "{service}");
    }
}

#[test]
fn rights_are_narrow() {
    for (name, role) in built("prod", ".").iter().filter(|(name, _)| name.contains("Role/")) {
        for rule in role["rules"].as_array().unwrap() {
            let list = |key: &str| rule[key].as_array().cloned().unwrap_or_default();
            for (key, all) in ["apiGroups", "resources", "verbs"].map(|key| (key, list(key))) {
                assert!(!all.contains(&Value::from("*")), "{name}: `*` in {key}");
            }
            // The roles of teams may be bound by name: who may write RoleBindings holds all that they give.
            let names = list("resourceNames");
            let of_teams = |name: &Value| name.as_str().is_some_and(|name| name.starts_with("mlp-team-"));
            if list("verbs") == ["bind", "get"] && !names.is_empty() && names.iter().all(of_teams) {
                continue;
            }
            for verb in ["escalate", "bind"] {
                assert!(!list("verbs").contains(&Value::from(verb)), "{name}: {verb}");
            }
            for resource in
                ["nodes/proxy", "clusterroles", "clusterrolebindings", "certificatesigningrequests"]
            {
                // Who holds rights in the whole cluster may be looked at, and by nobody changed.
                let looks = resource == "clusterrolebindings" && list("verbs") == [Value::from("list")];
                assert!(looks || !list("resources").contains(&Value::from(resource)), "{name}: {resource}");
            }
        }
    }
}

#[test]
fn the_readme_promises_are_kept_outside_the_laptop() {
    for environment in ["dev", "staging", "prod"] {
        for (team, cpu, memory, storage, gpu) in [
            ("ml", 20, "64Gi", "500Gi", Some(4)),
            ("data", 16, "48Gi", "1Ti", None),
            ("app", 8, "24Gi", "200Gi", None),
        ] {
            let requests =
                &built(environment, "teams")[&format!("Team//{team}")]["spec"]["quota"]["requests"];
            assert_eq!(requests["cpu"], cpu, "{environment} {team}");
            assert_eq!(requests["memory"], memory, "{environment} {team}");
            assert_eq!(requests["storage"], storage, "{environment} {team}");
            assert_eq!(requests["nvidia.com/gpu"].as_i64(), gpu, "{environment} {team}");
        }
    }
    let local = &built("local", "teams")["Team//ml"]["spec"]["quota"]["requests"];
    assert_eq!((local["cpu"].as_i64(), local["memory"].as_str()), (Some(2), Some("4Gi")));
}

#[test]
fn what_is_deployed_fits_the_environment() {
    for environment in ENVIRONMENTS {
        let config = &built(environment, ".")["ConfigMap/mlp-system/mlp-config"]["data"];
        assert_eq!(config["MLP_ENVIRONMENT"], environment);
        assert_eq!(config["AWS_REGION"].is_string(), environment != "local", "{environment}");
        let broker = built(environment, ".")["StatefulSet/mlp-system/nats"]["spec"]["replicas"].as_i64();
        assert_eq!(broker, Some(if environment == "local" { 1 } else { 3 }));
    }
    let definitions =
        built("prod", ".").keys().filter(|name| name.starts_with("CustomResourceDefinition/")).count();
    let files = std::fs::read_dir(root().join("deploy/crds")).unwrap().count() - 1;
    assert_eq!(definitions, files, "deploy/crds/kustomization.yaml lists other files than there are");
}

#[test]
fn consumers_are_those_of_the_catalogue() {
    let text = std::fs::read_to_string(root().join("deploy/streams/consumers.yaml")).unwrap();
    let file: Value = serde_saphyr::from_str(&text).unwrap();
    for event in mlp_proto::EVENTS {
        let reads = |consumer: &&Value| {
            let filters = consumer["filters"].as_array().unwrap();
            filters.iter().any(|filter| covers(filter.as_str().unwrap(), &event.subject_pattern()))
        };
        let deployed: BTreeSet<String> =
            file["consumers"].as_array().unwrap().iter().filter(reads).map(service).collect();
        let catalogue: BTreeSet<String> =
            event.consumers.iter().map(|service| (*service).to_owned()).collect();
        let fact = event.fact;
        assert_eq!(
            deployed, catalogue,
            "{fact}: readers in deploy/streams/consumers.yaml and in proto/src/catalogue.rs"
        );
    }
}

/// A durable is named `<service>-<context>`.
fn service(consumer: &Value) -> String {
    let durable = consumer["durable"].as_str().unwrap();
    let (service, context) = durable.rsplit_once('-').unwrap();
    assert_eq!(context.to_uppercase(), consumer["stream"].as_str().unwrap(), "{durable}");
    assert!(SERVICES.contains(&service), "{durable} is of no service");
    service.to_owned()
}

/// Whether a filter takes every subject of a pattern whose last tokens are `*`.
fn covers(filter: &str, pattern: &str) -> bool {
    let mut tokens = pattern.split('.');
    for wanted in filter.split('.') {
        let token = tokens.next();
        match wanted {
            ">" => return token.is_some(),
            "*" => {}
            _ if token == Some(wanted) => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// The image's tools are those that everything here is tested with.
#[test]
fn the_image_has_the_tools_of_the_toolchain() {
    let image = std::fs::read_to_string(root().join("deploy/docker/Dockerfile")).unwrap();
    for tool in pins::RENDERERS {
        let install = match tool.name {
            "gotemplate" => format!("cd {} && go install .", tool.name),
            _ => format!("go install {}@{}", tool.package, tool.version),
        };
        assert!(image.contains(&install), "the Dockerfile should say `{install}`");
    }
}
