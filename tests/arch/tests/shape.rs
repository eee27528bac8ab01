//! Rooms of the services, purity of their domains, sizes of files, words that must not be there.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;

use mlp_arch::{SERVICES, Source, code, names, root, sources};

/// Rooms that every service has.
const ROOMS: [&str; 9] =
    ["api", "app.rs", "config.rs", "domain", "error.rs", "events", "lib.rs", "main.rs", "reconcile"];
/// Rooms that a service may have.
const MORE_ROOMS: [&str; 9] =
    ["store", "store.rs", "telemetry.rs", "provider", "git", "audit", "render", "forge.rs", "webhook.rs"];

#[test]
fn the_five_services_have_the_same_rooms() {
    let mut wrong = vec![];
    for service in SERVICES {
        let folder = root().join("services").join(service);
        let entries = fs::read_dir(folder.join("src")).unwrap();
        let found: BTreeSet<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let missing = ROOMS.iter().filter(|room| !found.contains(**room));
        wrong.extend(missing.map(|room| format!("{service}: src/{room} is missing")));
        let strange = found
            .iter()
            .filter(|room| !ROOMS.contains(&room.as_str()) && !MORE_ROOMS.contains(&room.as_str()));
        wrong.extend(strange.map(|room| format!("{service}: src/{room} is no room")));
        for (file, most) in [
            ("src/main.rs", 40),
            ("src/lib.rs", 60),
            ("src/config.rs", 200),
            ("src/app.rs", 200),
            ("README.md", 150),
        ] {
            match fs::read_to_string(folder.join(file)) {
                Err(_) => wrong.push(format!("{service}: {file} is missing")),
                Ok(text) if text.lines().count() > most => {
                    wrong.push(format!(
                        "{service}: {file} has {} lines, more than {most}",
                        text.lines().count()
                    ));
                }
                Ok(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a pure file does not name: I/O, clocks, chance, the environment, waiting.
const IMPURE: [&str; 20] = [
    "kube::",
    "tonic::",
    "async_nats::",
    "tokio::",
    "prost::",
    "prost_types::",
    "sqlx::",
    "gix::",
    "reqwest::",
    "rand::",
    "std::env",
    "std::fs",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "ToSocketAddrs",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "async",
];

fn domains() -> Vec<Source> {
    let mut all = vec![];
    for service in SERVICES {
        all.extend(sources(&format!("services/{service}/src/domain"), &["rs"]).unwrap());
    }
    all
}

#[test]
fn domains_are_pure() {
    let mut wrong = vec![];
    for source in domains() {
        for (number, line) in code(&source.text).iter().enumerate() {
            for word in IMPURE.iter().filter(|word| names(line, word)) {
                // Golden files of tests are read where they are compared.
                let test = source.path.ends_with("/tests.rs") && ["std::fs", "std::env"].contains(word);
                if !test {
                    wrong.push(format!("{}:{}: {word}", source.path, number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "domains that reach outside: {wrong:#?}");
}

#[test]
fn domains_do_not_name_other_rooms() {
    let mut wrong = vec![];
    for source in domains() {
        for (number, line) in code(&source.text).iter().enumerate() {
            for room in ["reconcile", "events", "api", "store", "app", "config"] {
                if names(line, &format!("crate::{room}")) {
                    wrong.push(format!("{}:{}: crate::{room}", source.path, number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn all_rust() -> Vec<Source> {
    ["proto", "services", "tilt", "tests"]
        .iter()
        .flat_map(|folder| sources(folder, &["rs"]).unwrap())
        .collect()
}

#[test]
fn files_are_of_a_readable_size() {
    let mut sizes: Vec<(usize, String)> =
        all_rust().into_iter().map(|source| (source.text.lines().count(), source.path)).collect();
    sizes.sort();
    let at = |share: usize| sizes[(sizes.len() - 1) * share / 100].0;
    let (median, ninth) = (at(50), at(90));
    let long: Vec<_> = sizes.iter().filter(|(lines, _)| *lines > 500).collect();
    assert!(long.is_empty(), "above 500 lines; split: {long:#?}");
    assert!(median <= 180, "the median file has {median} lines; 180 at most");
    assert!(ninth <= 400, "one file in ten has more than {ninth} lines; 400 at most");
}

#[test]
fn words_that_must_not_be_there() {
    let joined = |parts: &[&str]| parts.concat();
    let banned = [
        joined(&["TO", "DO"]),
        joined(&["FIX", "ME"]),
        joined(&["to", "do!("]),
        joined(&["un", "implemented!("]),
        joined(&["d", "bg!("]),
        joined(&["/work", "/main"]),
        joined(&["/work", "/shared"]),
        joined(&["/tmp/", "brief"]),
    ];
    let mut wrong = vec![];
    let documents = ["proto", "services", "deploy", "tilt", "tests"].iter().flat_map(|folder| {
        sources(folder, &["rs", "md", "yaml", "toml", "proto", "sh", "tiltfile", "py"]).unwrap()
    });
    for source in documents {
        for (number, line) in source.text.lines().enumerate() {
            for word in banned.iter().filter(|word| names(line, word)) {
                wrong.push(format!("{}:{}: {word}", source.path, number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = |source: &Source| {
        let generated = source.text.starts_with("// @generated");
        let test_of_a_file = source.path.ends_with("/tests.rs");
        !(generated || test_of_a_file || source.text.trim_start().starts_with("//!"))
    };
    let wrong: Vec<_> = all_rust().into_iter().filter(silent).map(|source| source.path).collect();
    assert!(wrong.is_empty(), "files without a header comment: {wrong:#?}");
}

#[test]
fn the_top_level_is_what_was_agreed() {
    let agreed = [
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "README.md",
        "Tiltfile",
        "rust-toolchain.toml",
        "deploy",
        "proto",
        "services",
        "target",
        "tests",
        "tilt",
    ];
    let entries =
        fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let strange: Vec<_> =
        entries.filter(|name| !name.starts_with('.') && !agreed.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "{strange:?} at the top level; the list is fixed");
    assert!(root().join("LICENSE").exists() && root().join("README.md").exists());
}
