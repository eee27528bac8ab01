use std::collections::BTreeSet;

use serde_json::json;

use super::*;

fn now() -> Timestamp {
    "2026-12-01T12:00:00Z".parse().unwrap()
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn demands(tier: &str, lists: &[(&str, &str)]) -> Option<Demands> {
    Demands::of(&texts(&[("mlplatform.dev/policy-tier", tier)]), &texts(lists), now())
}

/// Production, as team-isolation annotates it.
fn strictest() -> Option<Demands> {
    let denied = "image-registry,image-tag,image-pull-always,resources,job-ttl,read-only-root";
    let lists = [
        ("isolation.mlplatform.dev/denied-rules", denied),
        ("isolation.mlplatform.dev/audited-rules", "probes"),
        ("isolation.mlplatform.dev/registries", "docker.io,ghcr.io"),
    ];
    demands("strictest", &lists)
}

fn good() -> Value {
    json!({"name": "main", "image": "ghcr.io/acme/web:v1", "imagePullPolicy": "Always",
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "readinessProbe": {}, "livenessProbe": {},
        "securityContext": {"readOnlyRootFilesystem": true, "runAsNonRoot": true, "allowPrivilegeEscalation": false,
            "seccompProfile": {"type": "RuntimeDefault"},
            "capabilities": {"drop": ["ALL"]}}})
}

fn deployment(container: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "ml"},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"serviceAccountName": "web", "containers": [container]}}}})
}

fn budget(labels: Value) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web", "namespace": "ml"},
        "spec": {"selector": {"matchLabels": labels}}})
}

fn found_by(
    objects: &[Value],
    demands: impl Fn(&str) -> Option<Demands>,
    exemptions: &[PolicyExemptionSpec],
) -> Vec<Finding> {
    let ids: Vec<ObjectId> = objects.iter().map(|object| ObjectId::of(object).unwrap()).collect();
    let judged =
        objects.iter().zip(&ids).map(|(object, id)| Judged { id, object, file: "app/web.yaml", line: 3 });
    let exemptions: Vec<&PolicyExemptionSpec> = exemptions.iter().collect();
    let asker = Asker { application: ("ml", "shop"), exemptions: &exemptions, now: now() };
    judge(asker, &judged.collect::<Vec<_>>(), demands)
}

fn rules(objects: &[Value]) -> BTreeSet<&'static str> {
    found_by(objects, |_| strictest(), &[]).iter().map(|finding| finding.rule).collect()
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut container = good();
    match container.pointer_mut(pointer) {
        Some(found) => *found = value,
        None => container[&pointer[1..]] = value,
    }
    container
}

#[test]
fn each_rule_finds_what_it_is_for_and_nothing_else() {
    let guarded = |container: Value| [deployment(container), budget(json!({"app": "web"}))];
    assert_eq!(rules(&guarded(good())), [].into());
    for (pointer, value, rule) in [
        ("/image", json!("quay.io/acme/web:v1"), "image-registry"),
        ("/image", json!("ghcr.io/acme/web"), "image-tag"),
        ("/image", json!("ghcr.io/acme/web:latest"), "image-tag"),
        ("/imagePullPolicy", json!("IfNotPresent"), "image-pull-always"),
        ("/resources/limits", json!({"cpu": "1"}), "resources"),
        ("/securityContext/readOnlyRootFilesystem", json!(false), "read-only-root"),
        ("/livenessProbe", json!(null), "probes"),
        ("/securityContext/runAsNonRoot", json!(false), "run-as-root"),
        ("/securityContext/capabilities", json!({"drop": ["NET_RAW"]}), "privilege-escalation"),
        ("/env", json!([{"name": "DB_PASSWORD", "value": "changeme123"}]), "clear-text-env"),
    ] {
        let mut container = changed(pointer, value.clone());
        if value.is_null() {
            container.as_object_mut().unwrap().remove(&pointer[1..]);
        }
        assert_eq!(rules(&guarded(container)), [rule].into(), "{pointer}: {value}");
    }
    let mut root = good();
    root["securityContext"]["runAsUser"] = json!(0);
    root["securityContext"]["privileged"] = json!(true);
    assert_eq!(rules(&guarded(root)), ["privileged", "run-as-root"].into());
    for (pointer, value, rule) in [
        (
            "/securityContext/capabilities",
            json!({"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
            "privilege-escalation",
        ),
        ("/securityContext/seccompProfile", json!({"type": "Unconfined"}), "seccomp"),
        ("/ports", json!([{"containerPort": 80, "hostPort": 80}]), "privileged"),
        ("/resources/limits", json!({"cpu": "1", "memory": null}), "resources"),
    ] {
        assert_eq!(rules(&guarded(changed(pointer, value))), [rule].into(), "{pointer}");
    }
    let mut limited = good();
    limited["resources"].as_object_mut().unwrap().remove("requests");
    assert_eq!(rules(&guarded(limited)), [].into(), "limits are requests, too");
    // `nginx` is of docker.io; a digest is a version; a reference to a Secret is no clear text.
    assert_eq!(rules(&guarded(changed("/image", json!("nginx@sha256:0123")))), [].into());
    let reference = json!([{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]);
    assert_eq!(rules(&guarded(changed("/env", reference))), [].into());
}

#[test]
fn pods_are_judged_wherever_they_are_templates() {
    let pod = json!({"hostNetwork": true, "volumes": [{"name": "v", "hostPath": {"path": "/"}}], "serviceAccountName": "a", "containers": [good()]});
    for (kind, spec, more) in [
        ("v1/Pod", pod.clone(), None),
        ("apps/v1/DaemonSet", json!({"template": {"spec": pod}}), None),
        ("batch/v1/CronJob", json!({"jobTemplate": {"spec": {"template": {"spec": pod}}}}), None),
        ("batch/v1/Job", json!({"template": {"spec": pod}}), Some("job-ttl")),
        ("kubeflow.org/v1/Notebook", json!({"template": {"spec": pod}}), None),
        (
            "kubeflow.org/v1/PyTorchJob",
            json!({"pytorchReplicaSpecs": {"Worker": {"template": {"spec": pod}}}}),
            None,
        ),
        (
            "jobset.x-k8s.io/v1/JobSet",
            json!({"replicatedJobs": [{"template": {"spec": {"template": {"spec": pod}}}}]}),
            None,
        ),
    ] {
        let (api_version, name) = kind.rsplit_once('/').unwrap();
        let object = json!({"apiVersion": api_version, "kind": name, "metadata": {"name": "x", "namespace": "ml"}, "spec": spec});
        let wanted: BTreeSet<&str> = ["privileged"].into_iter().chain(more).collect();
        assert_eq!(rules(&[object]), wanted, "{kind}");
    }
    let words = found_by(
        &[
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "ml"}, "spec": pod}),
        ],
        |_| strictest(),
        &[],
    );
    assert_eq!(words[0].message, "hostNetwork, a hostPath volume: it reaches into the node; remove it");
}

#[test]
fn what_lies_beside_counts() {
    let mut one = deployment(good());
    one["spec"]["replicas"] = json!(1);
    assert_eq!(rules(&[one.clone()]), ["single-replica"].into());
    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web", "namespace": "ml"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}}});
    assert_eq!(rules(&[one, scaler, budget(json!({"app": "web"}))]), [].into());
    assert_eq!(
        rules(&[deployment(good()), budget(json!({"app": "other"}))]),
        ["no-disruption-budget"].into()
    );
    let secret = |data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "ml"}, "stringData": data});
    assert_eq!(rules(&[secret(json!({"token": "hunter2"}))]), ["clear-text-secret"].into());
    assert_eq!(rules(&[secret(json!({"token": ""}))]), [].into());
    assert_eq!(
        rules(&[secret(json!("token: hunter2"))]),
        ["clear-text-secret"].into(),
        "a slip tells it, too"
    );
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "ml"}, "spec": {}});
    assert_eq!(rules(&[claim]), ["claim-class"].into());
}

#[test]
fn how_strict_it_is_follows_the_namespace() {
    let objects = [deployment(changed("/image", json!("ghcr.io/acme/web")))];
    let verdicts = |demands: Option<Demands>| {
        let found = found_by(&objects, |_| demands.clone(), &[]);
        found.iter().map(|finding| (finding.rule, finding.verdict)).collect::<Vec<_>>()
    };
    assert_eq!(verdicts(None), [], "a namespace without a tier");
    let demands_of_strictest = verdicts(demands("strictest", &[]));
    assert_eq!(verdicts(demands("unheard-of", &[])), demands_of_strictest);
    let denied = ("isolation.mlplatform.dev/denied-rules", "image-tag");
    assert_eq!(
        verdicts(demands("strictest", &[denied])),
        [("image-tag", Deny), ("no-disruption-budget", Audit)]
    );
    let audited = ("isolation.mlplatform.dev/audited-rules", "image-tag");
    assert_eq!(verdicts(demands("relaxed", &[audited])), [("image-tag", Audit)]);
    // An IsolationExemption, as long as it lasts.
    let ends = |end| [denied, ("exempt.mlplatform.dev/image-tag", end)];
    assert_eq!(verdicts(demands("strict", &ends("2026-12-01T12:00:01Z"))), [("no-disruption-budget", Audit)]);
    assert_eq!(
        verdicts(demands("strict", &ends("2026-12-01T12:00:00Z"))).first(),
        Some(&("image-tag", Deny))
    );
    // A team whose policy only audits is refused nothing.
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "ml"}, "data": {"a": "eA=="}});
    let found = found_by(&[secret], |_| demands("strictest", &[audited]), &[]);
    assert_eq!(found.iter().map(|one| one.verdict).collect::<Vec<_>>(), [Audit]);
    for (rule, tiers) in OWN {
        let rank =
            |verdict: &Option<Verdict>| verdict.map_or(0, |verdict| if verdict == Audit { 1 } else { 2 });
        assert!(tiers.is_sorted_by_key(rank), "{rule}");
    }
}

#[test]
fn an_exemption_lifts_its_rules_for_its_applications_until_it_ends() {
    let secret = [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "ml"}, "data": {"a": "eA=="}}),
    ];
    let exemption = |change: &dyn Fn(&mut PolicyExemptionSpec)| {
        let mut spec = PolicyExemptionSpec {
            namespace: "ml".into(),
            rules: vec!["clear-text-secret".into()],
            expires: "2026-12-02T00:00:00Z".into(),
            ..PolicyExemptionSpec::default()
        };
        change(&mut spec);
        found_by(&secret, |_| strictest(), &[spec]).is_empty()
    };
    assert!(exemption(&|_| {}));
    assert!(exemption(&|spec| spec.applications = vec!["other".into(), "shop".into()]));
    assert!(!exemption(&|spec| spec.applications = vec!["other".into()]));
    assert!(!exemption(&|spec| spec.namespace = "data".into()));
    assert!(!exemption(&|spec| spec.rules = vec!["privileged".into()]));
    assert!(!exemption(&|spec| spec.expires = "2026-12-01T12:00:00Z".into()));
    let named = |rule: &str| {
        misnamed(&PolicyExemptionSpec {
            rules: vec!["privileged".into(), rule.into()],
            ..PolicyExemptionSpec::default()
        })
    };
    assert_eq!(named("run-as-root"), None);
    assert!(named("image-tag").unwrap().starts_with("spec.rules[1]: the API server asks `image-tag` too"));
    assert!(named("image-tags").unwrap().contains("there is no rule `image-tags`"));
}

#[test]
fn a_condition_names_the_first_and_counts_the_rest() {
    let finding = Finding {
        rule: "probes",
        verdict: Audit,
        id: ObjectId { kind: "Pod".into(), namespace: "ml".into(), name: "x".into(), ..ObjectId::default() },
        file: "a.yaml".into(),
        line: 7,
        message: "main: set them".into(),
    };
    assert_eq!(words(&[&finding]), "probes: Pod ml/x (a.yaml:7): main: set them");
    let many = words(&[&finding; 7]);
    assert!(many.ends_with("; and 2 more; `mlp app findings` lists them"), "{many}");
}

#[test]
fn what_mlp_app_new_writes_breaks_no_rule() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../mlp/src/commands/app/template");
    let files = ["account.yaml", "deployment.yaml", "service.yaml", "budget.yaml"].map(|name| {
        let text = std::fs::read_to_string(format!("{folder}/{name}")).unwrap();
        let text = text
            .replace("{{name}}", "web")
            .replace("{{image}}", "ghcr.io/acme/web:v1")
            .replace("{{port}}", "80");
        (name.to_owned(), text)
    });
    let manifests =
        crate::domain::manifest::parse_all(&files, crate::domain::manifest::Limits::default()).unwrap();
    let objects: Vec<Value> = manifests
        .into_iter()
        .map(|mut one| {
            one.object["metadata"]["namespace"] = json!("ml");
            one.object
        })
        .collect();
    assert_eq!(found_by(&objects, |_| strictest(), &[]), []);
}

#[test]
fn what_is_live_and_breaks_the_rule_already_bars_nothing() {
    let root = changed("/securityContext/runAsNonRoot", json!(false));
    let live = found_by(&[deployment(root.clone())], |_| strictest(), &[]);
    let bars = |object: Value| {
        let found = found_by(&[object], |_| strictest(), &[]);
        found
            .iter()
            .filter(|finding| finding.is_barring(&live))
            .map(|finding| finding.rule)
            .collect::<Vec<_>>()
    };
    let mut scaled = deployment(root.clone());
    scaled["spec"]["replicas"] = json!(3);
    assert_eq!(bars(scaled.clone()), [""; 0], "it may be worked with");
    scaled["metadata"]["name"] = json!("another");
    assert_eq!(bars(scaled), ["run-as-root"]);
    let mut worse = root;
    worse["securityContext"]["privileged"] = json!(true);
    assert_eq!(bars(deployment(worse)), ["privileged"]);
}

#[test]
fn the_words_are_those_of_team_isolation() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../team-isolation/src/domain");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).unwrap();
    let (tier, lists, namespace) = (read("tier.rs"), read("admission.rs"), read("objects/namespace.rs"));
    let has = |text: &str, word: &str| assert!(text.contains(&format!("\"{word}\"")), "{word}");
    TIERS.iter().chain(&SHARED).for_each(|word| has(&tier, word));
    [LISTS, EXEMPT, "denied-rules", "audited-rules", "registries"].iter().for_each(|word| has(&lists, word));
    has(&namespace, TIER);
}
