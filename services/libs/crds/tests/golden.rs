//! `deploy/crds` is generated: `UPDATE_GOLDEN=1 cargo test -p mlp-crds` accepts a change.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/crds")
}

fn files() -> Vec<(String, String)> {
    let definitions = mlp_crds::all();
    let file = |definition: &CustomResourceDefinition| {
        let name = definition.metadata.name.clone().unwrap();
        let head =
            "# Generated from services/libs/crds; UPDATE_GOLDEN=1 cargo test -p mlp-crds accepts a change.\n";
        (format!("{name}.yaml"), format!("{head}{}", yaml(&serde_json::to_value(definition).unwrap())))
    };
    definitions.iter().map(file).collect()
}

#[test]
fn deploy_crds_are_what_the_types_say() {
    let wanted = files();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(folder()).unwrap();
        for (name, content) in &wanted {
            fs::write(folder().join(name), content).unwrap();
        }
    }
    for (name, content) in &wanted {
        let found = fs::read_to_string(folder().join(name)).unwrap_or_default();
        assert!(
            &found == content,
            "deploy/crds/{name} differs; UPDATE_GOLDEN=1 cargo test -p mlp-crds accepts it"
        );
    }
    let known: Vec<_> = wanted.iter().map(|(name, _)| name.as_str()).chain(["kustomization.yaml"]).collect();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name.as_str()), "deploy/crds/{name} belongs to no kind; delete it");
    }
}

/// Block-style YAML of a JSON value; strings that YAML could read as something else are quoted.
fn yaml(value: &Value) -> String {
    let mut out = String::new();
    write_node(value, 0, &mut out);
    out
}

fn write_node(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                out.push_str(&format!("{indent}{}:", scalar(key)));
                write_child(child, depth + 1, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut block = String::new();
                write_node(item, depth + 1, &mut block);
                let block = block.strip_prefix(&"  ".repeat(depth + 1)).unwrap_or(&block).to_owned();
                out.push_str(&format!("{indent}- {block}"));
            }
        }
        Value::String(text) => out.push_str(&format!("{indent}{}\n", scalar(text))),
        other => out.push_str(&format!("{indent}{other}\n")),
    }
}

fn write_child(child: &Value, depth: usize, out: &mut String) {
    match child {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            write_node(child, depth, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            write_node(child, depth - 1, out);
        }
        Value::String(text) => out.push_str(&format!(" {}\n", scalar(text))),
        other => out.push_str(&format!(" {other}\n")),
    }
}

fn scalar(text: &str) -> String {
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !words.contains(&text.to_lowercase().as_str());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[test]
fn the_reserved_names_are_the_model_s() {
    let crd = serde_json::to_string(&mlp_crds::all()[0]).unwrap();
    let list = mlp_model::name::RESERVED_TEAM_NAMES.join("|");
    assert!(crd.contains(&format!("^({list})(-.*)?$")), "the rule on metadata.name lacks one of {list}");
    assert!(crd.contains(&format!("size() <= {}", mlp_model::name::TEAM_NAME_MAX)));
}

#[test]
fn every_kind_of_ours_follows_the_rules_of_the_group() {
    for definition in mlp_crds::ours() {
        let name = definition.metadata.name.clone().unwrap();
        assert_eq!(definition.spec.names.categories, Some(vec!["mlp".to_owned()]), "{name}");
        assert!(definition.spec.names.short_names.is_some(), "{name}");
        let version = &definition.spec.versions[0];
        assert!(
            version.additional_printer_columns.as_ref().is_some_and(|columns| columns.len() >= 4),
            "{name}"
        );
        assert!(version.subresources.as_ref().is_some_and(|s| s.status.is_some()), "{name}");
        let schema = serde_json::to_value(&version.schema).unwrap();
        let status = &schema["openAPIV3Schema"]["properties"]["status"]["properties"];
        for field in ["conditions", "observedGeneration", "outbox"] {
            assert!(status.get(field).is_some(), "{name} status.{field}");
        }
        undescribed(&schema["openAPIV3Schema"]["properties"]["spec"], &format!("{name} spec"));
        assert!(!schema.to_string().contains("\"nullable\":true"), "{name}");
    }
}

fn undescribed(schema: &Value, path: &str) {
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        assert!(child["description"].is_string(), "{path} has no description for kubectl explain");
        undescribed(child, &path);
        undescribed(&child["items"], &format!("{path}[]"));
    }
}
