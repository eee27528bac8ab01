//! Arrows between crates point down only:
//! model ← crds, proto ← bus, reconcile, host ← services and mlp ← tests.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use mlp_arch::{SERVICES, code, dependencies, names, sources};

const CONTRACTS: [&str; 3] = ["mlp-model", "mlp-proto", "mlp-crds"];
const LIBRARIES: [&str; 5] = ["mlp-health", "mlp-aws", "mlp-bus", "mlp-reconcile", "mlp-host"];
const TESTS: [&str; 4] = ["mlp-harness", "mlp-arch", "mlp-flows", "mlp-bench"];

/// What a crate may use of ours; nothing else.
fn allowed(member: &str) -> Vec<&'static str> {
    match member {
        "mlp-model" | "mlp-proto" => vec![],
        "mlp-crds" | "mlp-tilt" => vec!["mlp-model"],
        _ if LIBRARIES.contains(&member) => CONTRACTS.to_vec(),
        "mlp" => [&CONTRACTS[..], &["mlp-health", "mlp-bus", "mlp-host", "mlp-tilt"]].concat(),
        "mlp-harness" => vec!["mlp-model", "mlp-crds", "mlp-tilt"],
        _ if TESTS.contains(&member) => {
            [&CONTRACTS[..], &LIBRARIES, &["mlp-harness", "mlp-tilt", "mlp-arch"]].concat()
        }
        service => {
            let name = service.strip_prefix("mlp-").unwrap_or_default();
            assert!(SERVICES.contains(&name), "{service} has no place in the layers; give it one here");
            [&CONTRACTS[..], &LIBRARIES].concat()
        }
    }
}

fn ours(kinds: &BTreeMap<String, BTreeSet<String>>, kind: &str) -> Vec<String> {
    let all = kinds.get(kind).into_iter().flatten();
    all.filter(|name| *name == "mlp" || name.starts_with("mlp-")).cloned().collect()
}

#[test]
fn dependencies_point_down() {
    let mut wrong = vec![];
    for (member, kinds) in dependencies().unwrap() {
        let may = allowed(&member);
        for used in ours(&kinds, "normal").into_iter().chain(ours(&kinds, "build")) {
            if !may.contains(&used.as_str()) {
                wrong.push(format!("{member} -> {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point up or aside: {wrong:#?}");
}

#[test]
fn tests_of_a_crate_add_the_harness_at_most() {
    let mut wrong = vec![];
    for (member, kinds) in dependencies().unwrap() {
        if TESTS.contains(&member.as_str()) {
            continue;
        }
        for used in ours(&kinds, "dev") {
            let service = SERVICES.iter().any(|service| used == format!("mlp-{service}"));
            if service && used != member {
                wrong.push(format!("{member} -> {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "tests that reach into a service: {wrong:#?}");
}

#[test]
fn no_service_is_anyones_library() {
    let members = dependencies().unwrap();
    for service in SERVICES {
        let name = format!("mlp-{service}");
        assert!(members.contains_key(&name), "{name} is no member");
        let users: Vec<_> = members
            .iter()
            .filter(|(_, kinds)| ours(kinds, "normal").contains(&name))
            .map(|(user, _)| user)
            .collect();
        assert!(users.is_empty(), "{name} is used by {users:?}; share by contract or by a library");
    }
}

#[test]
fn every_library_has_two_users() {
    let members = dependencies().unwrap();
    for library in CONTRACTS.iter().chain(&LIBRARIES) {
        let users =
            members.values().filter(|kinds| ours(kinds, "normal").iter().any(|used| used == library)).count();
        assert!(users >= 2, "{library} has {users} users; move it to the one");
    }
}

/// Crates that only some members may name.
const KEPT: [(&str, &[&str]); 6] = [
    ("async-nats", &["mlp-bus", "mlp-harness"]),
    ("aws-", &["mlp-aws", "mlp-provisioner", "mlp-team-isolation"]),
    ("gix", &["mlp-gitops-sync"]),
    ("landlock", &["mlp-gitops-sync"]),
    ("mlua", &["mlp-health"]),
    ("sqlx", &["mlp-cost-attribution"]),
];

#[test]
fn each_kind_of_io_has_one_owner() {
    let mut wrong = vec![];
    for (member, kinds) in dependencies().unwrap() {
        for (crate_name, owners) in KEPT {
            let named = kinds.iter().filter(|(kind, _)| *kind != "dev").flat_map(|(_, names)| names);
            if !owners.contains(&member.as_str())
                && named.into_iter().any(|name| name.starts_with(crate_name))
            {
                wrong.push(format!("{member} names {crate_name}; {owners:?} may"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_reconcile_names_kube_runtime() {
    let mut wrong = vec![];
    for folder in ["services", "tilt/src", "tests", "proto/src"] {
        for source in sources(folder, &["rs"]).unwrap() {
            // The node's network agent only reads; it stands below mlp-reconcile, as all of `tilt` does.
            let excused = ["services/libs/reconcile/", "tests/arch/", "tilt/src/node/policy/"]
                .iter()
                .any(|folder| source.path.starts_with(folder));
            // `reflector::ObjectRef` and the watcher's configuration come re-exported by mlp-reconcile.
            for (number, line) in code(&source.text).iter().enumerate().filter(|_| !excused) {
                if names(line, "kube::runtime") || names(line, "kube_runtime") {
                    wrong.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "kube's runtime outside services/libs/reconcile: {wrong:#?}");
}
