use serde_json::{Value, json};

use super::*;

/// What the project of a name says of a repository.
fn check_source(scope: Scope<'_>, url: &str) -> Option<Refusal> {
    check_sources(scope, "shop", &[("spec.source.repoURL".to_owned(), url)])
}

fn project(value: Value) -> AppProjectSpec {
    serde_json::from_value(value).unwrap()
}

fn team(name: &str) -> Tenant {
    Tenant::Team(name.into())
}

#[test]
fn sources_are_globs_and_a_deny_wins() {
    let project =
        project(json!({"sourceRepos": ["https://git.example/**", "!https://git.example/secret/*"]}));
    let scope = Scope { namespace: "mlp-system", tenant: &Tenant::Platform, project: Some(&project) };
    assert_eq!(check_source(scope, "https://GIT.example/a/b.git"), None);
    assert_eq!(check_source(scope, "https://git.example/secret/x").unwrap().field, "spec.source.repoURL");
    assert!(check_source(scope, "https://other.example/a").is_some());
    assert_eq!(check_source(Scope { project: None, ..scope }, "https://other.example/a"), None);
}

#[test]
fn a_team_uses_a_project_only_where_it_is_listed() {
    let mut spec = project(json!({"sourceRepos": ["*"]}));
    let ml = team("ml");
    let listed = |spec: &AppProjectSpec| {
        let scope = Scope { namespace: "ml-team", tenant: &ml, project: Some(spec) };
        check_source(scope, "https://git.example/a").map(|refusal| refusal.field)
    };
    assert_eq!(listed(&spec), Some("spec.project".into()));
    spec.source_namespaces = vec!["ml-*".into()];
    assert_eq!(listed(&spec), None);
}

#[test]
fn namespaces_never_cross_a_team() {
    let ml = team("ml");
    let scope = Scope { namespace: "ml-team", tenant: &ml, project: None };
    assert!(check_namespace(scope, "default", "ml-team", &team("ml")).is_ok());
    assert!(check_namespace(scope, "default", "data-team", &team("data")).is_err());
    assert!(check_namespace(scope, "default", "mlp-system", &Tenant::Platform).is_err());
    assert!(check_namespace(scope, "default", "kube-system", &Tenant::Nobody).is_err());
    let platform = Scope { namespace: "mlp-system", tenant: &Tenant::Platform, project: None };
    assert!(check_namespace(platform, "default", "data-team", &team("data")).is_ok());
    assert!(check_namespace(platform, "default", "kube-system", &Tenant::Nobody).is_err());
    let open = project(json!({"destinations": [{"server": "*", "namespace": "*"}]}));
    assert!(
        check_namespace(Scope { project: Some(&open), ..scope }, "p", "data-team", &team("data")).is_err()
    );
}

#[test]
fn destinations_of_a_project_bind_and_a_deny_wins() {
    let spec = project(json!({"destinations": [
        {"server": "https://kubernetes.default.svc", "namespace": "ml-*"}, {"name": "in-cluster", "namespace": "!ml-secret"},
    ]}));
    let scope = Scope { namespace: "mlp-system", tenant: &Tenant::Platform, project: Some(&spec) };
    let may = |namespace: &str| check_namespace(scope, "p", namespace, &team("ml")).is_ok();
    assert_eq!((may("ml-team"), may("ml-secret"), may("data-team")), (true, false, false));
}

#[test]
fn kinds() {
    let id =
        |group: &str, kind: &str| ObjectId { group: group.into(), kind: kind.into(), ..ObjectId::default() };
    let none = Scope { namespace: "", tenant: &Tenant::Platform, project: None };
    assert!(check_kind(none, &id("apps", "Deployment"), true).is_ok());
    assert!(check_kind(none, &id("", "Namespace"), false).is_err());
    let spec = project(json!({
        "clusterResourceWhitelist": [{"group": "", "kind": "Namespace"}],
        "namespaceResourceBlacklist": [{"group": "rbac.authorization.k8s.io", "kind": "*"}],
    }));
    let scope = Scope { project: Some(&spec), ..none };
    assert!(check_kind(scope, &id("", "Namespace"), false).is_ok());
    assert!(check_kind(scope, &id("", "Node"), false).is_err());
    assert!(check_kind(scope, &id("rbac.authorization.k8s.io", "Role"), true).is_err());
    assert!(check_kind(scope, &id("", "Secret"), true).is_ok());
}

#[test]
fn objects_of_a_cluster_scoped_kind_may_be_named() {
    let id = |name: &str| ObjectId { kind: "Namespace".into(), name: name.into(), ..ObjectId::default() };
    let spec = project(json!({
        "clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": "team-*"}],
        "clusterResourceBlacklist": [{"group": "", "kind": "Namespace", "name": "team-secret"}],
    }));
    let scope = Scope { namespace: "", tenant: &Tenant::Platform, project: Some(&spec) };
    let may = |name: &str| check_kind(scope, &id(name), false).is_ok();
    assert_eq!((may("team-a"), may("team-secret"), may("kube-system")), (true, false, false));
}

#[test]
fn what_would_narrow_and_is_not_done_is_refused_by_name() {
    let says = |spec: Value| {
        let project = project(spec);
        let scope = Scope { namespace: "mlp-system", tenant: &Tenant::Platform, project: Some(&project) };
        check_source(scope, "https://git.example/a").map(|refusal| refusal.message)
    };
    assert_eq!(says(json!({"sourceRepos": ["*"], "signatureKeys": []})), None);
    let said = says(json!({"sourceRepos": ["*"], "signatureKeys": [{"keyID": "4AEE18F83AFDEB23"}]})).unwrap();
    assert!(said.contains("`shop` has spec.signatureKeys, which is not supported"), "{said}");
}
