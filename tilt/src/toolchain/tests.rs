//! The pins agree with the Go modules, and a tool can be built and run.

use std::fs;
use std::process::Command;

use super::*;

fn modules() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("toolchain")
}

#[test]
fn every_pin_is_what_its_go_mod_requires() {
    for tool in pins::TOOLS {
        let go_mod = fs::read_to_string(modules().join(tool.folder).join("go.mod")).unwrap();
        let required = format!("{} {}", tool.module, tool.version);
        assert!(
            go_mod.lines().any(|line| {
                let line = line.trim().trim_start_matches("require ").trim_end_matches("// indirect").trim();
                line == required
            }),
            "{}: go.mod does not require `{required}`",
            tool.name
        );
        assert!(
            go_mod.lines().any(|line| line.trim().trim_start_matches("tool ").trim() == tool.package),
            "{}: go.mod has no tool directive for {}",
            tool.name,
            tool.package
        );
    }
}

#[tokio::test]
async fn a_missing_tool_is_built_once_and_prints_its_pinned_version() {
    let cache = tempfile::tempdir().unwrap();
    let places = Places { cache: cache.path().into(), ..Places::default() };
    let toolchain = Toolchain::with_places(places, modules());
    let quiet = Progress::quiet();
    let (first, second) = tokio::join!(
        toolchain.find_or_build(&pins::NATS_SERVER, &quiet),
        toolchain.find_or_build(&pins::NATS_SERVER, &quiet)
    );
    let binary = first.unwrap();
    assert_eq!(binary, second.unwrap());
    let output = Command::new(&binary).arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(pins::NATS_SERVER.version));
    assert_eq!(toolchain.find(&pins::NATS_SERVER), Some(Found::Cache(binary)));
}

#[tokio::test]
async fn a_checkout_without_the_module_says_so() {
    let root = tempfile::tempdir().unwrap();
    let places = Places { cache: root.path().into(), ..Places::default() };
    let toolchain = Toolchain::with_places(places, root.path().join("nowhere"));
    let error = toolchain.find_or_build(&pins::ETCD, &Progress::quiet()).await.unwrap_err();
    assert!(error.to_string().contains("run inside a complete checkout"), "{error}");
}
