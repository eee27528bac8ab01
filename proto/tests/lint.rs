//! Buf's STANDARD rules over the descriptor set, plus two of our own: everything is commented, and
//! every event says which team it concerns.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "shared by several test binaries")]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, ServiceDescriptorProto};

fn ours() -> Vec<FileDescriptorProto> {
    support::compile(true).file.into_iter().filter(|file| file.package().starts_with("mlp.")).collect()
}

fn is_snake(name: &str) -> bool {
    let inner = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    inner
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('_')
        && !name.contains("__")
}

fn is_pascal(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn upper_snake(pascal: &str) -> String {
    let mut out = String::new();
    for c in pascal.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

#[test]
fn files_and_packages() {
    let mut faults = vec![];
    for file in ours() {
        let (name, package) = (file.name(), file.package());
        let (folder, base) = name.rsplit_once('/').unwrap();
        if folder.replace('/', ".") != package {
            faults.push(format!("{name}: package {package} is not its folder"));
        }
        let version = package.rsplit('.').next().unwrap();
        if version.strip_prefix('v').is_none_or(|number| number.parse::<u32>().is_err()) {
            faults.push(format!("{name}: package {package} has no version at its end"));
        }
        if !package.split('.').all(is_snake) || !is_snake(base.strip_suffix(".proto").unwrap()) {
            faults.push(format!("{name}: file and package names are lower_snake_case"));
        }
        if file.syntax() != "proto3" {
            faults.push(format!("{name}: syntax is not proto3"));
        }
        if !file.public_dependency.is_empty() || !file.weak_dependency.is_empty() {
            faults.push(format!("{name}: imports are neither public nor weak"));
        }
        let text = format!("{:?} {:?}", file.message_type, file.service);
        for import in &file.dependency {
            let package = import.rsplit_once('/').unwrap().0.replace('/', ".");
            if !text.contains(&format!(".{package}.")) {
                faults.push(format!("{name}: import {import} is not used"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn messages_and_enums() {
    let mut faults = vec![];
    for file in ours() {
        file.message_type.iter().for_each(|message| lint_message(file.package(), message, &mut faults));
        file.enum_type.iter().for_each(|one| lint_enum(file.package(), one, &mut faults));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn lint_message(scope: &str, message: &DescriptorProto, faults: &mut Vec<String>) {
    let path = format!("{scope}.{}", message.name());
    let is_map_entry = message.options.as_ref().is_some_and(|options| options.map_entry());
    if !is_map_entry && !is_pascal(message.name()) {
        faults.push(format!("{path}: message names are PascalCase"));
    }
    for name in message.field.iter().map(|f| f.name()).chain(message.oneof_decl.iter().map(|o| o.name())) {
        if !is_snake(name) {
            faults.push(format!("{path}.{name}: field and oneof names are lower_snake_case"));
        }
    }
    message.nested_type.iter().for_each(|nested| lint_message(&path, nested, faults));
    message.enum_type.iter().for_each(|nested| lint_enum(&path, nested, faults));
}

fn lint_enum(scope: &str, one: &EnumDescriptorProto, faults: &mut Vec<String>) {
    let (path, prefix) = (format!("{scope}.{}", one.name()), upper_snake(one.name()));
    if !is_pascal(one.name()) {
        faults.push(format!("{path}: enum names are PascalCase"));
    }
    if one.options.as_ref().is_some_and(|options| options.allow_alias()) {
        faults.push(format!("{path}: values have no aliases"));
    }
    let zero = one.value.first().map(|value| (value.number(), value.name().to_owned()));
    if zero != Some((0, format!("{prefix}_UNSPECIFIED"))) {
        faults.push(format!("{path}: the first value is {prefix}_UNSPECIFIED = 0"));
    }
    for value in &one.value {
        let rest = value.name().strip_prefix(&format!("{prefix}_"));
        if !rest.is_some_and(|rest| is_snake(&rest.to_ascii_lowercase()) && rest == rest.to_ascii_uppercase())
        {
            faults.push(format!(
                "{path}.{}: values are UPPER_SNAKE_CASE and start with {prefix}_",
                value.name()
            ));
        }
    }
}

#[test]
fn services() {
    let (mut faults, mut users) = (vec![], BTreeMap::<String, usize>::new());
    for file in ours() {
        for service in &file.service {
            lint_service(file.package(), service, &mut faults, &mut users);
        }
    }
    faults.extend(
        users.into_iter().filter(|(_, n)| *n > 1).map(|(name, _)| format!("{name}: used by two methods")),
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn lint_service(
    package: &str,
    service: &ServiceDescriptorProto,
    faults: &mut Vec<String>,
    users: &mut BTreeMap<String, usize>,
) {
    let path = format!("{package}.{}", service.name());
    if !is_pascal(service.name()) || !service.name().ends_with("Service") {
        faults.push(format!("{path}: service names are PascalCase and end in Service"));
    }
    for method in &service.method {
        let name = method.name();
        if !is_pascal(name) {
            faults.push(format!("{path}.{name}: method names are PascalCase"));
        }
        for (found, suffix) in [(method.input_type(), "Request"), (method.output_type(), "Response")] {
            *users.entry(found.to_owned()).or_default() += 1;
            if found != format!(".{package}.{name}{suffix}") {
                faults.push(format!("{path}.{name}: {found} is not {name}{suffix}"));
            }
        }
    }
}

#[test]
fn everything_is_commented() {
    for file in ours() {
        let info = file.source_code_info.clone().unwrap_or_default();
        let commented: BTreeSet<Vec<i32>> =
            info.location.iter().filter(|l| l.leading_comments.is_some()).map(|l| l.path.clone()).collect();
        let check = |path: &[i32], what: &str| {
            assert!(commented.contains(path), "{}: {what} has no comment", file.name());
        };
        for (i, message) in file.message_type.iter().enumerate() {
            check(&[4, index(i)], message.name());
            for (j, field) in message.field.iter().enumerate() {
                check(&[4, index(i), 2, index(j)], &format!("{}.{}", message.name(), field.name()));
            }
        }
        for (i, one) in file.enum_type.iter().enumerate() {
            check(&[5, index(i)], one.name());
            for (j, value) in one.value.iter().enumerate() {
                check(&[5, index(i), 2, index(j)], value.name());
            }
        }
        for (i, service) in file.service.iter().enumerate() {
            check(&[6, index(i)], service.name());
            for (j, method) in service.method.iter().enumerate() {
                check(&[6, index(i), 2, index(j)], method.name());
            }
        }
    }
}

fn index(position: usize) -> i32 {
    i32::try_from(position).unwrap()
}

#[test]
fn every_event_says_team_uid_and_generation_or_hour() {
    let files = ours();
    for event in mlp_proto::EVENTS {
        let (package, name) = event.message.rsplit_once('.').unwrap();
        let file = files.iter().find(|file| file.package() == package).unwrap();
        let message = file.message_type.iter().find(|message| message.name() == name).unwrap();
        let has = |field: &str| message.field.iter().any(|f| f.name() == field);
        assert!(has("team") && has("uid") && (has("generation") || has("hour")), "{}", event.message);
    }
}
