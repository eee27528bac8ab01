//! What generators find and templates come to, by Argo CD's documented examples and by what its users run into.

use std::sync::Arc;

use mlp_crds::Application;
use mlp_crds::argocd::ApplicationSet;
use serde_json::{Value, json};

use super::made::{SET, applications};
use super::plan::{Policy, plan, stranger, surplus};
use super::*;

fn set(spec: Value) -> ApplicationSet {
    let mut spec = spec;
    spec.as_object_mut().unwrap().entry("template").or_insert_with(|| {
        json!({"metadata": {"name": "{{name}}"}, "spec": {"project": "default", "destination": {"server": "{{server}}"},
            "source": {"repoURL": "https://git.example/x", "path": "{{path}}"}}})
    });
    serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet",
        "metadata": {"name": "all", "namespace": "mlp-system", "uid": "u"}, "spec": spec,
    }))
    .unwrap()
}

fn made_with(spec: Value, known: &Known, clusters: &[Cluster]) -> Result<Vec<Application>, Halt> {
    applications(&set(spec), known, clusters)
}

fn made(spec: Value) -> Result<Vec<Application>, Halt> {
    made_with(spec, &Known::new(), &[])
}

/// Name and folder of each.
fn words(made: Result<Vec<Application>, Halt>) -> Vec<String> {
    let word = |one: &Application| {
        let source = one.spec.source.clone().unwrap_or_default();
        format!("{} {}", one.metadata.name.as_ref().unwrap(), source.path.unwrap_or_default())
    };
    made.unwrap().iter().map(word).collect()
}

fn refusal(made: Result<Vec<Application>, Halt>) -> String {
    match made {
        Err(Halt::Refused(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// What was listed is what is read, whatever is pushed in between.
const COMMIT: &str = "0123456789012345678901234567890123456789";

fn repository(folders: &[&str], files: &[(&str, &str)]) -> Known {
    let listing = Need::Listing { repository: "https://git.example/x".into(), revision: "HEAD".into() };
    let names = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect();
    let found = Found::Listing {
        revision: COMMIT.into(),
        folders: names(folders.to_vec()),
        files: names(files.iter().map(|(path, _)| *path).collect()),
    };
    let texts = Need::Files {
        repository: "https://git.example/x".into(),
        revision: COMMIT.into(),
        paths: names(files.iter().map(|(path, _)| *path).collect()),
    };
    let contents = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    Known::from([(listing, found), (texts, Found::Files(contents))])
}

fn git(more: Value) -> Value {
    let mut git = json!({"repoURL": "https://git.example/x"});
    git.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "git": git })
}

#[test]
fn a_list_makes_one_for_each_element() {
    let generators = json!([{"list": {"elements": [{"name": "b", "path": "y"}, {"name": "a", "path": "x", "server": "s"}]}}]);
    let all = made(json!({ "generators": generators })).unwrap();
    assert_eq!(all[0].spec.destination.server.as_deref(), Some("s"));
    assert_eq!(all[1].spec.destination.server.as_deref(), Some("{{server}}"), "what is not known stays");
    let meta = &all[0].metadata;
    assert_eq!(meta.labels.as_ref().unwrap().get(SET).unwrap(), "all");
    assert_eq!(meta.finalizers.as_ref().unwrap(), &["resources-finalizer.argocd.argoproj.io"]);
    let owner = &meta.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.uid.as_str(), owner.controller), ("u", Some(true)));
    let yaml = json!([{"list": {"elementsYaml": "- {name: c, path: z}\n"}}]);
    assert_eq!(words(made(json!({ "generators": yaml }))), ["c z"]);
    let number = json!([{"list": {"elements": [{"name": "a", "replicas": 3}]}}]);
    let said = refusal(made(json!({ "generators": number })));
    assert!(said.contains("spec.generators[0].list.elements[0].replicas"), "{said}");
}

#[test]
fn folders_are_found_by_patterns_that_stop_at_slashes() {
    let known = repository(&["apps", "apps/a_1", "apps/b", "apps/b/deep", "apps/.hidden"], &[]);
    let spec = |directories: Value| {
        json!({"generators": [git(json!({ "directories": directories }))], "template":
            {"metadata": {"name": "{{path.basenameNormalized}}-{{path[0]}}"}, "spec": {"project": "default", "destination": {},
                "source": {"repoURL": "x", "path": "{{path}}"}}}})
    };
    let all = made_with(spec(json!([{"path": "apps/*"}])), &known, &[]);
    assert_eq!(words(all), ["a-1-apps apps/a_1", "b-apps apps/b"]);
    let all = made_with(spec(json!([{"path": "apps/*"}, {"path": "apps/b", "exclude": true}])), &known, &[]);
    assert_eq!(words(all), ["a-1-apps apps/a_1"]);
}

#[test]
fn files_say_what_they_hold_by_paths_with_dots() {
    let known = repository(
        &[],
        &[
            ("envs/dev/config.json", r#"{"name": "dev", "cluster": {"address": "s1", "nodes": [3]}}"#),
            ("envs/prod/more.json", "- name: one\n- name: two\n"),
        ],
    );
    let spec = json!({"generators": [git(json!({"files": [{"path": "envs/*.json"}], "values": {"where": "{{cluster.address}}"}}))], "template":
        {"metadata": {"name": "{{name}}-{{path.basename}}"}, "spec": {"project": "default", "destination": {"server": "{{values.where}}"},
            "source": {"repoURL": "x", "path": "{{cluster.nodes.0}}/{{path.filename}}"}}}});
    let all = made_with(spec, &known, &[]).unwrap();
    assert_eq!(all[0].metadata.name.as_deref(), Some("dev-dev"));
    assert_eq!(all[0].spec.destination.server.as_deref(), Some("s1"));
    assert_eq!(all[0].spec.source.as_ref().unwrap().path.as_deref(), Some("3/config.json"));
    assert_eq!(all[2].metadata.name.as_deref(), Some("two-prod"));
}

#[test]
fn the_local_cluster_counts_where_nothing_is_selected() {
    let staging = Cluster {
        name: "Staging_1".into(),
        server: "https://1.2.3.4".into(),
        labels: BTreeMap::from([("tier".into(), "staging".into())]),
        ..Cluster::default()
    };
    let spec = |clusters: Value| {
        json!({"generators": [{ "clusters": clusters }], "template": {"metadata": {"name": "x-{{nameNormalized}}"},
            "spec": {"project": "default", "destination": {"server": "{{server}}"}, "source": {"repoURL": "x", "path": "{{metadata.labels.tier}}"}}}})
    };
    let all = made_with(spec(json!({})), &Known::new(), std::slice::from_ref(&staging));
    assert_eq!(words(all), ["x-in-cluster {{metadata.labels.tier}}", "x-staging-1 staging"]);
    let chosen = spec(
        json!({"selector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["staging"]}]}}),
    );
    assert_eq!(words(made_with(chosen, &Known::new(), &[staging])), ["x-staging-1 staging"]);
    let wrong = spec(json!({"selector": {"matchExpressions": [{"key": "tier", "operator": "In"}]}}));
    assert!(refusal(made(wrong)).contains("spec.generators[0].clusters.selector: In of `tier` needs values"));
}

#[test]
fn a_matrix_is_every_pair_and_its_second_may_ask_the_first() {
    let known = repository(&["apps/a", "apps/b", "infra/c"], &[]);
    let first =
        json!({"list": {"elements": [{"kind": "apps", "name": "n"}, {"kind": "infra", "name": "n"}]}});
    let second = git(json!({"directories": [{"path": "{{kind}}/*"}]}));
    let spec = json!({"generators": [{"matrix": {"generators": [first, second]}, "selector": {"matchLabels": {"kind": "apps"}}}],
        "template": {"metadata": {"name": "{{name}}-{{path.basename}}"}, "spec": {"project": "default", "destination": {},
            "source": {"repoURL": "x", "path": "{{path}}"}}}});
    assert_eq!(words(made_with(spec, &known, &[])), ["n-a apps/a", "n-b apps/b"]);
    let clash = json!({"generators": [{"matrix": {"generators": [
        {"list": {"elements": [{"name": "a"}]}}, {"list": {"elements": [{"name": "b"}]}}]}}]});
    assert!(refusal(made(clash)).contains("both generators say `name`"));
}

#[test]
fn a_merge_changes_those_that_have_the_same_keys() {
    let base = json!({"list": {"elements": [{"name": "a", "path": "x"}, {"name": "b", "path": "x"}]}});
    let over = json!({"list": {"elements": [{"name": "b", "path": "y"}, {"name": "c", "path": "z"}]}});
    let spec = |keys: Value, over: &Value| json!({"generators": [{"merge": {"mergeKeys": keys, "generators": [base, over]}}]});
    assert_eq!(words(made(spec(json!(["name"]), &over))), ["a x", "b y"]);
    assert!(refusal(made(spec(json!([]), &over))).contains("merge.mergeKeys"));
    let twice = json!({"list": {"elements": [{"name": "b"}, {"name": "b"}]}});
    assert!(
        refusal(made(spec(json!(["name"]), &twice))).contains("two sets of parameters have the merge keys")
    );
}

#[test]
fn go_templates_are_asked_for_at_once_and_all_together() {
    let spec = json!({"goTemplate": true, "goTemplateOptions": ["missingkey=error"],
        "generators": [{"list": {"elements": [{"name": "a", "n": 3}, {"name": "b"}]}}],
        "templatePatch": "spec: {syncPolicy: {automated: {prune: {{ .prune }}}}}",
        "template": {"metadata": {"name": "{{.name}}"}, "spec": {"project": "default", "destination": {}}}});
    let Err(Halt::Needs(Need::Filled(input))) = made(spec.clone()) else { panic!("asks for nothing") };
    let asked: Value = serde_json::from_str(&input).unwrap();
    assert_eq!(asked["parameters"], json!([{"name": "a", "n": 3}, {"name": "b"}]));
    assert_eq!(asked["options"], json!(["missingkey=error"]));
    let filled = |name: &str| {
        json!({"template": {"metadata": {"name": name}, "spec": {"project": "default", "destination": {}}},
            "patch": "spec: {syncPolicy: {automated: {prune: true}}}\nmetadata: {labels: {a: b}}"})
    };
    let known = Known::from([(Need::Filled(input), Found::Filled(vec![filled("a"), filled("b")]))]);
    let all = made_with(spec, &known, &[]).unwrap();
    let automated = all[0].spec.sync_policy.as_ref().unwrap().automated.as_ref().unwrap();
    assert_eq!(automated.prune, Some(true));
    assert_eq!(all[1].metadata.labels.as_ref().unwrap().get("a").unwrap(), "b");
}

#[test]
fn pull_requests_are_filtered_by_labels_and_patterns() {
    let query = pull_requests::Query {
        forge: pull_requests::Forge::GitHub,
        api: "https://api.github.com".into(),
        repository: "o/r".into(),
        token: None,
    };
    let one = |number: i64, branch: &str, label: &str| pull_requests::PullRequest {
        number,
        branch: branch.into(),
        target_branch: "main".into(),
        head: "0123456789abcdef".into(),
        labels: vec![label.into()],
        ..pull_requests::PullRequest::default()
    };
    let open =
        vec![one(7, "feat/Some Thing", "preview"), one(3, "fix/x", "preview"), one(1, "feat/y", "other")];
    let known = Known::from([(Need::PullRequests(query), Found::PullRequests(open))]);
    let spec = |filters: Value| {
        json!({"generators": [{"pullRequest": {"github": {"owner": "o", "repo": "r", "labels": ["preview"]}, "filters": filters}}],
            "template": {"metadata": {"name": "pr-{{number}}"}, "spec": {"project": "default", "destination": {},
                "source": {"repoURL": "x", "path": "{{branch_slug}}/{{head_short_sha}}"}}}})
    };
    assert_eq!(
        words(made_with(spec(json!([])), &known, &[])),
        ["pr-3 fix-x/01234567", "pr-7 feat-some-thing/01234567"]
    );
    assert_eq!(
        words(made_with(spec(json!([{"branchMatch": "^feat/"}])), &known, &[])),
        ["pr-7 feat-some-thing/01234567"]
    );
    let said = refusal(made_with(spec(json!([{"branchMatch": "("}])), &known, &[]));
    assert!(said.contains("spec.generators[0].pullRequest.filters[0].branchMatch"), "{said}");
}

#[test]
fn what_cannot_be_is_refused_by_its_field() {
    let list = json!({"list": {"elements": [{"name": "a"}]}});
    for (spec, words) in [
        (
            json!({"generators": [{"plugin": {}}]}),
            "spec.generators[0]: the generator `plugin` is not supported",
        ),
        (json!({"generators": [{}]}), "spec.generators[0]: must hold one generator"),
        (json!({"generators": [list, list]}), "two sets of parameters make `a`"),
        (
            json!({"generators": [{"list": {"elements": [{"name": "A!"}]}}]}),
            "comes to `A!`, which is no name",
        ),
        (
            json!({"generators": [{"list": {"elements": [{"x": "y"}]}}]}),
            "comes to `{{name}}`: there is no such parameter",
        ),
        (json!({"generators": [list], "strategy": {"type": "RollingSync"}}), "spec.strategy.type"),
        (json!({"generators": [list], "templatePatch": "x"}), "spec.templatePatch: needs spec.goTemplate"),
        (json!({"generators": [git(json!({}))]}), "names neither directories nor files"),
        (
            json!({"generators": [git(json!({"files": [{"path": "x"}], "revison": "v1"}))]}),
            "spec.generators[0].git.revison",
        ),
        (
            json!({"generators": [git(json!({"files": [{"path": "x", "exclud": true}]}))]}),
            "unknown field `exclud`",
        ),
        (
            json!({"generators": [{"git": {"repoURL": "/srv/secret.git", "files": [{"path": "x"}]}}]}),
            "git.repoURL: has an unsupported scheme",
        ),
        (
            json!({"generators": [{"git": {"repoURL": "https://me:token@git.example/x", "files": [{"path": "x"}]}}]}),
            "git.repoURL: holds credentials",
        ),
        (json!({"generators": [{"clusters": {"flatList": true}}]}), "clusters.flatList: is not supported"),
        (json!({"generators": [list], "ignored": 1}), "spec.ignored"),
        (
            json!({"generators": [list], "template": {"metadata": {"name": "a", "annotations": {"argocd.argoproj.io/refresh": "normal"}}, "spec": {"project": "x", "destination": {}}}}),
            "spec.template.metadata.annotations",
        ),
        (
            json!({"generators": [{"pullRequest": {"bitbucket": {}}}]}),
            "pullRequest.bitbucket: is not supported",
        ),
        (
            json!({"generators": [list], "template": {"metadata": {"name": "a", "namespace": "other"}, "spec": {"project": "x", "destination": {}}}}),
            "spec.template.metadata.namespace",
        ),
    ] {
        let said = refusal(made(spec));
        assert!(said.contains(words), "{said} has not: {words}");
    }
}

#[test]
fn a_generators_own_template_counts_before_the_sets() {
    let own = json!({"metadata": {"labels": {"own": "yes"}}, "spec": {"project": "", "source": {"repoURL": "https://other", "path": "p"}, "destination": {}}});
    let spec = json!({"generators": [{"list": {"elements": [{"name": "a"}], "template": own}}]});
    let all = made(spec).unwrap();
    assert_eq!(all[0].spec.project, "default", "what it leaves empty, it does not say");
    assert_eq!(all[0].spec.source.as_ref().unwrap().repo_url, "https://other");
    assert_eq!(all[0].metadata.labels.as_ref().unwrap().get("own").unwrap(), "yes");
}

#[test]
fn a_set_that_comes_to_nothing_deletes_nothing() {
    let list = |names: &[&str]| {
        let elements: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
        json!({"generators": [{"list": { "elements": elements }}]})
    };
    let live: BTreeMap<_, _> = made(list(&["a", "b"]))
        .unwrap()
        .into_iter()
        .map(|one| (one.metadata.name.clone().unwrap(), Arc::new(one)))
        .collect();
    let of = |spec: Value, annotated: bool| {
        let mut set = set(spec.clone());
        if annotated {
            set.metadata.annotations =
                Some(BTreeMap::from([(plan::ALLOW_EMPTY.to_owned(), "true".to_owned())]));
        }
        plan(&set, Policy::of(&set).unwrap(), made(spec).unwrap(), &live)
    };
    assert_eq!(of(list(&["a"]), false).delete, ["b"]);
    let none = of(list(&[]), false);
    assert!(none.delete.is_empty() && none.held[0].contains("2 Applications stay"));
    assert_eq!(of(list(&[]), true).delete, ["a", "b"]);
    let mut kept = list(&["a", "c"]);
    kept["syncPolicy"] = json!({"applicationsSync": "create-only"});
    let kept = of(kept, false);
    assert!(kept.delete.is_empty() && kept.held.is_empty());
    assert_eq!(kept.apply.len(), 1, "the one that is there is left alone");
    let mut wrong = list(&["a"]);
    wrong["syncPolicy"] = json!({"applicationsSync": "create"});
    assert!(Policy::of(&set(wrong)).unwrap_err().contains("spec.syncPolicy.applicationsSync"));
}

#[test]
fn what_somebody_adds_to_a_spec_is_taken_away_and_anothers_application_is_left_alone() {
    let wanted = json!({"project": "a", "syncPolicy": {"syncOptions": ["x"]}});
    let live = json!({"project": "a", "syncPolicy": {"syncOptions": ["y"], "automated": {}}, "info": []});
    assert_eq!(surplus(&wanted, &live), Some(json!({"syncPolicy": {"automated": null}, "info": null})));
    assert_eq!(surplus(&wanted, &wanted), None);
    let ours = set(json!({"generators": []}));
    let mut one = made(json!({"generators": [{"list": {"elements": [{"name": "a"}]}}]})).unwrap().remove(0);
    assert_eq!(stranger(&ours, &one), None);
    one.metadata.owner_references.as_mut().unwrap()[0].uid = "v".into();
    assert_eq!(stranger(&ours, &one).as_deref(), Some("ApplicationSet all"));
    one.metadata.owner_references = None;
    assert_eq!(stranger(&ours, &one), None, "one without an owner may be taken");
    one.metadata.labels = Some(BTreeMap::from([(SET.to_owned(), "other".to_owned())]));
    assert_eq!(stranger(&ours, &one).as_deref(), Some("ApplicationSet other"));
}

#[test]
fn what_would_take_too_much_is_refused_before_it_does() {
    let elements: Vec<_> = (0..4_000).map(|number| json!({"name": format!("a{number}")})).collect();
    let mut template = set(json!({"generators": []})).spec.template;
    template["spec"]["source"]["helm"] = json!({"values": "x".repeat(700_000)});
    let spec = json!({"generators": [{"list": { "elements": elements }}], "template": template});
    assert!(refusal(made(spec)).contains("more than 64 MiB"));
    let folders: Vec<String> = (0..20_000).map(|number| format!("apps/{number}")).collect();
    let known = repository(&folders.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let pattern = format!("{}{}", "{a,b}".repeat(8), "?".repeat(200));
    let spec = json!({"generators": [git(json!({"directories": [{"path": pattern}]}))]});
    assert!(refusal(made_with(spec, &known, &[])).contains("take too long"));
}

#[test]
fn selectors_see_what_is_within_objects_too() {
    let elements = json!([{"name": "a", "on": true, "env": {"tier": "prod"}}, {"name": "b", "on": false, "env": {"tier": "prod"}}]);
    let spec = json!({"goTemplate": true, "template": {"metadata": {"name": "x"}, "spec": {"project": "default", "destination": {}}},
        "generators": [{"list": { "elements": elements }, "selector": {"matchLabels": {"on": "true", "env.tier": "prod"}}}]});
    assert_eq!(made(spec).unwrap().len(), 1);
}

#[test]
fn a_copy_with_the_label_is_not_deleted() {
    let list = |names: &[&str]| {
        let elements: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
        json!({"generators": [{"list": { "elements": elements }}]})
    };
    let mut copy = made(list(&["copy"])).unwrap().remove(0);
    copy.metadata.owner_references = None;
    let live = BTreeMap::from([("copy".to_owned(), Arc::new(copy))]);
    let set = set(list(&["a"]));
    let plan = plan(&set, Policy::of(&set).unwrap(), made(list(&["a"])).unwrap(), &live);
    assert!(
        plan.delete.is_empty() && plan.held[0].contains("Application copy has the set's label"),
        "{plan:?}"
    );
}

#[test]
fn what_would_take_objects_along_goes_whoever_wrote_it_and_a_set_that_deletes_nothing_owns_nothing() {
    let list = json!({"generators": [{"list": {"elements": [{"name": "a"}]}}], "syncPolicy": {"preserveResourcesOnDeletion": true}});
    let wanted = made(list.clone()).unwrap().remove(0);
    let mut live = wanted.clone();
    live.metadata.finalizers =
        Some(vec!["resources-finalizer.argocd.argoproj.io".into(), "example.org/own".into()]);
    assert_eq!(plan::finalizers_that_stay(&wanted, &live), Some(vec!["example.org/own".to_owned()]));
    assert_eq!(plan::finalizers_that_stay(&live, &live), None);
    assert_eq!(plan::without_owner(&set(list), &live), Some(json!([])));
    let kept = json!({"generators": [{"list": {"elements": [{"name": "a"}]}}], "syncPolicy": {"applicationsSync": "create-update"}});
    assert_eq!(made(kept).unwrap()[0].metadata.owner_references, None);
}

#[test]
fn a_teams_set_sees_no_clusters_and_slugs_are_cut_between_words() {
    use crate::domain::project::Tenant;
    let all = vec![Cluster { name: "prod".into(), ..Cluster::default() }];
    assert!(visible(all.clone(), Some(&Tenant::Team("ml".into()))).is_empty());
    assert!(visible(all.clone(), None).is_empty());
    assert_eq!(visible(all.clone(), Some(&Tenant::Platform)), all);
    assert_eq!(parameters::slug("feat/Größe & co_x"), "feat-grosse-and-co-x");
    let long = format!("{}-{}", "a".repeat(40), "b".repeat(20));
    assert_eq!(parameters::slug(&long), "a".repeat(40));
    assert_eq!(parameters::slug(&"c".repeat(60)), "c".repeat(50));
}
