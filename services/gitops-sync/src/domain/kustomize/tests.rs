use super::*;

#[test]
fn images_are_read_as_argo_cd_writes_them() {
    for (text, image) in [
        ("nginx:1.2", Some(json!({"name": "nginx", "newTag": "1.2"}))),
        ("nginx=registry:5000/n", Some(json!({"name": "nginx", "newName": "registry:5000/n"}))),
        (
            "nginx=registry:5000/n:2",
            Some(json!({"name": "nginx", "newName": "registry:5000/n", "newTag": "2"})),
        ),
        ("nginx@sha256:abc", Some(json!({"name": "nginx", "digest": "sha256:abc"}))),
        ("nginx", None),
        ("=x:1", None),
        ("nginx:", None),
    ] {
        assert_eq!(image_of(text), image, "{text}");
    }
}

#[test]
fn an_unknown_option_is_refused_by_name() {
    let refused = options(
        &json!({"images": ["x"], "commonAnnotationsEnvsubst": true, "ignoreMissingComponents": false}),
    );
    let fields: Vec<_> = refused.unwrap_err().into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["commonAnnotationsEnvsubst", "images[0]"]);
    assert!(options(&json!({"namePrefix": "a-"})).is_ok());
    assert!(options(&json!({"namePrefix": 5})).is_err());
}

#[test]
fn the_kustomization_is_edited_as_the_options_say() {
    let options = options(&json!({
        "namePrefix": "p-", "namespace": "n", "images": ["web=w:2"], "replicas": [{"name": "web", "count": 3}],
        "commonLabels": {"a": "b"}, "patches": [{"path": "p.yaml"}], "components": ["../c"],
    }))
    .unwrap();
    let mut edited =
        json!({"resources": ["a.yaml"], "images": [{"name": "web", "newTag": "1"}, {"name": "db"}]});
    options.edit(&mut edited).unwrap();
    assert_eq!(
        edited,
        json!({
            "resources": ["a.yaml"], "namePrefix": "p-", "namespace": "n",
            "images": [{"name": "db"}, {"name": "web", "newName": "w", "newTag": "2"}],
            "replicas": [{"name": "web", "count": 3}], "commonLabels": {"a": "b"}, "patches": [{"path": "p.yaml"}],
            "components": ["../c"],
        })
    );
    let mut other = json!({"commonLabels": {"a": "c"}});
    assert!(options.edit(&mut other).unwrap_err().contains("commonLabels has a=c already"));
}

#[test]
fn labels_without_selector_leave_selectors_alone() {
    let options = options(&json!({"commonLabels": {"a": "b"}, "labelWithoutSelector": true})).unwrap();
    let mut edited = Value::Null;
    options.edit(&mut edited).unwrap();
    let pairs = json!([{"pairs": {"a": "b"}, "includeSelectors": false, "includeTemplates": false}]);
    assert_eq!(edited, json!({"labels": pairs}));
}

#[test]
fn everything_that_it_reads_is_named_and_nothing_else() {
    let kustomization = json!({
        "resources": ["a.yaml", "../base"], "components": ["../c"],
        "patches": [{"path": "p.yaml"}, {"patch": "- op: add"}], "patchesStrategicMerge": ["s.yaml", "kind: X\nspec: {}"],
        "configMapGenerator": [{"files": ["key=f.txt", "g.txt"], "envs": ["e.env"]}], "openapi": {"path": "o.json"},
    });
    assert_eq!(
        references(&kustomization).unwrap(),
        ["a.yaml", "../base", "../c", "s.yaml", "p.yaml", "o.json", "f.txt", "g.txt", "e.env"]
    );
    for remote in ["https://example.org/x?ref=1", "github.com/a/b", "git@example.org:a/b"] {
        assert!(references(&json!({"resources": [remote]})).unwrap_err().contains(remote));
    }
    assert!(references(&json!({"helmCharts": []})).unwrap_err().contains("helmCharts"));
}
