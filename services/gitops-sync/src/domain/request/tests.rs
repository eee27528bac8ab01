use serde_json::json;

use super::*;

fn spec(change: impl FnOnce(&mut Value)) -> ApplicationSpec {
    let mut value = json!({
        "project": "default",
        "source": {"repoURL": "https://git.example/shop.git", "path": "./deploy/", "targetRevision": "main"},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "ml-team"},
    });
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn refused(change: impl FnOnce(&mut Value)) -> Vec<String> {
    validate(&spec(change)).unwrap_err().into_iter().map(|refusal| refusal.field).collect()
}

#[test]
fn a_plain_directory_is_read_with_argo_cds_defaults() {
    let request = validate(&spec(|_| {})).unwrap();
    assert_eq!((request.origins[0].path.as_str(), &*request.revision()), ("deploy", "main"));
    assert_eq!((request.namespace.as_str(), request.history), ("ml-team", 10));
    assert_eq!(request.automated, None);
    assert_eq!(request.retry, RetryRule::default());
    assert!(
        request.origins[0].rendering.files.takes("a.yaml")
            && !request.origins[0].rendering.files.takes("README.md")
    );
    let head = validate(&spec(|value| {
        value["source"].as_object_mut().unwrap().remove("targetRevision");
    }));
    assert_eq!(head.unwrap().revision(), "HEAD");
}

#[test]
fn policy_is_read() {
    let request = validate(&spec(|value| {
        value["syncPolicy"] = json!({
            "automated": {"prune": true, "selfHeal": true},
            "syncOptions": ["CreateNamespace=true", "PrunePropagationPolicy=background"],
            "retry": {"limit": -1, "backoff": {"duration": "1s", "factor": 3, "maxDuration": "1m"}},
        });
        value["source"]["directory"] =
            json!({"recurse": true, "include": "*.yaml", "exclude": "{test,dev}/*"});
    }))
    .unwrap();
    let automated = AutomatedSync { prune: true, self_heal: true, allow_empty: false };
    assert_eq!(request.automated, Some(automated));
    assert_eq!(request.pruning, Pruning { consent: Consent::Given, propagation: Propagation::Background });
    assert_eq!(request.retry.limit, None);
    let waits: Vec<u64> = (0..6).map(|retry| request.retry.wait(retry).as_secs()).collect();
    assert_eq!(waits, [1, 3, 9, 27, 60, 60]);
    assert!(
        request.origins[0].rendering.files.takes("a/b.yaml")
            && !request.origins[0].rendering.files.takes("test/b.yaml")
            && !request.origins[0].rendering.files.takes("b.yml")
    );
}

#[test]
fn options_of_deletions_and_of_ownership_are_read() {
    let with = |options: Value| {
        validate(&spec(|value| value["syncPolicy"] = json!({"syncOptions": options}))).unwrap()
    };
    let plain = with(json!(["ServerSideApply=false", "PruneLast=true", "Delete=confirm"]));
    assert!(plain.takes_over && plain.pruning.consent == Consent::Given);
    let other = with(json!(["Prune=confirm", "ClientSideApplyMigration=false"]));
    assert!(!other.takes_over && other.pruning.consent == Consent::Asked);
    assert!(!plain.replaces && with(json!(["Replace=true"])).replaces);
    let options = |text: &str| vec!["Prune=true".to_owned(), text.to_owned()];
    assert_eq!(deletion(&options("Validate=true")), Consent::Given);
    assert_eq!(deletion(&options("Delete=confirm")), Consent::Asked);
    assert_eq!(deletion(&options("Delete=maybe")), Consent::Withheld, "kept rather than deleted");
}

#[test]
fn automated_false_is_off() {
    let request = validate(&spec(|value| value["syncPolicy"] = json!({"automated": {"enabled": false}})));
    assert_eq!(request.unwrap().automated, None);
}

type Change = fn(&mut Value);

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let table: [(&str, Change); 19] = [
        ("spec.source.helm.valueFiles[0]", |v| v["source"]["helm"] = json!({"valueFiles": ["$x/v.yaml"]})),
        ("spec.source.kustomize.version", |v| v["source"]["kustomize"] = json!({"version": "v5"})),
        ("spec.source.kustomize", |v| v["source"]["kustomize"] = json!({"images": "x"})),
        ("spec.source.plugin", |v| v["source"]["plugin"] = json!({"name": "x"})),
        ("spec.source.chart", |v| v["source"]["chart"] = json!("nginx")),
        ("spec.source.ref", |v| v["source"]["ref"] = json!("values")),
        ("spec.source.tagPrefix", |v| v["source"]["tagPrefix"] = json!("v")),
        ("spec.source.directory.jsonnet", |v| v["source"]["directory"] = json!({"jsonnet": {"libs": ["x"]}})),
        ("spec.source.directory.include", |v| v["source"]["directory"] = json!({"include": "{a"})),
        ("spec.source.repoURL", |v| v["source"]["repoURL"] = json!("git@git.example:shop.git")),
        ("spec.source.repoURL", |v| v["source"]["repoURL"] = json!("https://me:secret@git.example/shop")),
        ("spec.source.path", |v| v["source"]["path"] = json!("../other")),
        ("spec.sources[0].plugin", |v| {
            v["sources"] = json!([{"repoURL": "https://git.example/a", "plugin": {"name": "x"}}]);
        }),
        ("spec.sourceHydrator", |v| v["sourceHydrator"] = json!({})),
        ("spec.destination.server", |v| v["destination"]["server"] = json!("https://other:6443")),
        ("spec.destination.namespace", |v| v["destination"]["namespace"] = json!("")),
        ("spec.syncPolicy.syncOptions", |v| v["syncPolicy"] = json!({"syncOptions": ["Replace=maybe"]})),
        ("spec.syncPolicy.retry.backoff.duration", |v| {
            v["syncPolicy"] = json!({"retry": {"backoff": {"duration": "soon"}}});
        }),
        ("spec.syncPolicy.managedNamespaceMetadata", |v| {
            v["syncPolicy"] = json!({"managedNamespaceMetadata": {"labels": {}}});
        }),
    ];
    for (field, change) in table {
        assert_eq!(refused(change), [field], "{field}");
    }
}

#[test]
fn all_refusals_come_at_once() {
    let fields = refused(|value| {
        value["source"]["helm"] = json!({"new": true});
        value["project"] = json!("");
        value["destination"] = json!({});
    });
    assert_eq!(fields, ["spec.project", "spec.destination.namespace", "spec.source.helm.new"]);
}

fn several(change: impl FnOnce(&mut Value)) -> Result<Request, Vec<Refusal>> {
    validate(&spec(|value| {
        value.as_object_mut().unwrap().remove("source");
        value["sources"] = json!([
            {"repoURL": "https://git.example/charts.git", "path": "web", "targetRevision": "v1",
                "helm": {"valueFiles": ["values.yaml", "$env/prod/web.yaml"]}},
            {"repoURL": "https://git.example/env.git", "ref": "env"},
        ]);
        change(value);
    }))
}

#[test]
fn several_sources_are_read_and_one_that_others_refer_to_needs_no_manifests() {
    let request = several(|_| {}).unwrap();
    assert!(request.several && request.origins[0].has_manifests() && !request.origins[1].has_manifests());
    assert_eq!(request.revision(), "v1,HEAD");
    assert_eq!(request.revisions(Some("abc,def")), ["abc", "def"]);
    assert_eq!(request.revisions(Some("abc,")), ["abc", "HEAD"]);
    assert_eq!(request.revisions(Some("abc")), ["v1", "HEAD"], "one of two names none");
    assert_eq!(request.revisions(None), ["v1", "HEAD"]);
    let (one, all) = request.sources();
    assert!(one.is_none() && all.len() == 2);
    let with_path = several(|value| value["sources"][1]["path"] = json!("extra")).unwrap();
    assert!(with_path.origins[1].has_manifests());
}

#[test]
fn what_is_wrong_with_one_of_several_sources_is_named_by_its_place() {
    let fields = |change: fn(&mut Value)| -> Vec<String> {
        several(change).unwrap_err().into_iter().map(|refusal| refusal.field).collect()
    };
    assert_eq!(
        fields(|value| value["sources"][1]["ref"] = json!("other")),
        ["spec.sources[0].helm.valueFiles[1]"]
    );
    assert_eq!(fields(|value| value["sources"][1]["ref"] = json!("a/b"))[0], "spec.sources[1].ref");
    assert_eq!(fields(|value| value["sources"][0]["ref"] = json!("env"))[0], "spec.sources[1].ref");
    assert_eq!(fields(|value| value["sources"][1]["chart"] = json!("x")), ["spec.sources[1].chart"]);
    assert_eq!(
        fields(|value| value["sources"] = json!(vec![value["sources"][1].clone(); 21])),
        ["spec.sources"]
    );
    assert_eq!(refused(|value| value["source"]["ref"] = json!("x")), ["spec.source.ref"]);
}
