use serde_json::json;

use super::*;

fn only(text: &str) -> Manifest {
    let mut all = parse("app/a.yaml", text).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn refusal(text: &str) -> String {
    parse("app/a.yaml", text).unwrap_err().to_string()
}

#[test]
fn scalars_are_read_as_kubernetes_reads_them() {
    let found = only(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n\
         spec: {yes: yes, mode: 0644, text: '0644', one: 1.0, exp: 1e3, half: 0.5, big: 12345678901234567890}\n",
    );
    let expected = json!({"yes": true, "mode": 420, "text": "0644", "one": 1, "exp": 1000, "half": 0.5,
                          "big": 12_345_678_901_234_567_890_u64});
    assert_eq!(found.object["spec"], expected);
}

#[test]
fn documents_and_lists_are_unrolled_and_empty_ones_skipped() {
    let text = "# nothing\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: ns}\n---\n---\n\
                apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: b}}\n\
                - {apiVersion: apps/v1, kind: DeploymentList, items: [{apiVersion: apps/v1, kind: Deployment, metadata: {name: c}}]}\n";
    let found = parse("app/a.yaml", text).unwrap();
    let ids: Vec<_> = found.iter().map(|manifest| (manifest.id.to_string(), manifest.line)).collect();
    let expected =
        [("ConfigMap ns/a".to_owned(), 3), ("Secret b".to_owned(), 8), ("Deployment.apps c".to_owned(), 8)];
    assert_eq!(ids, expected);
}

#[test]
fn json_is_read_too() {
    assert_eq!(only(r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}}"#).id.kind, "Pod");
}

#[test]
fn errors_name_file_line_and_fix() {
    assert_eq!(refusal("a: [1,\n"), "app/a.yaml:1: unclosed bracket '['");
    assert_eq!(refusal("a: 1\nb: 2\na: 3\n"), "app/a.yaml:3: duplicate mapping key: a");
    assert!(refusal("- a\n").starts_with("app/a.yaml:1: the document is no object"));
    assert!(refusal("apiVersion: v1\nmetadata: {name: a}\n").contains("`kind` is missing"));
    assert!(refusal("apiVersion: v1\nkind: Pod\n").contains("`metadata.name` is missing"));
    assert!(
        refusal("---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: a}\n")
            .starts_with("app/a.yaml:2: ")
    );
    assert!(refusal("kind: List\nitems: 5\n").contains("`items`"));
}

#[test]
fn a_secret_does_not_reach_the_message() {
    let text =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {password: \"hunter2\" oops}\n";
    assert!(!refusal(text).contains("hunter2"), "{}", refusal(text));
}

#[test]
fn one_object_in_two_files_is_refused() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let files = [("a.yaml".to_owned(), text.to_owned()), ("b.yaml".to_owned(), text.to_owned())];
    let all = parse_all(&files, Limits::default()).unwrap();
    assert_eq!(
        refuse_repeats(&all).unwrap_err().to_string(),
        "b.yaml:1: ConfigMap a is already at a.yaml:1; keep one of the two"
    );
    assert!(parse_all(&files, Limits { objects: 1, ..Limits::default() }).is_err());
}
