//! The pins agree with the Go modules, and what hinders a build is said.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn modules() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("toolchain")
}

#[test]
fn every_pin_is_what_its_go_mod_requires() {
    for tool in pins::TOOLS {
        let go_mod = fs::read_to_string(modules().join(tool.folder).join("go.mod")).unwrap();
        let required = format!("{} {}", tool.module, tool.version);
        let requires = go_mod.lines().any(|line| {
            let line = line.trim().trim_start_matches("require ").trim_end_matches("// indirect").trim();
            line == required
        });
        assert!(requires || is_own(tool, &go_mod), "{}: go.mod does not require `{required}`", tool.name);
        assert!(
            go_mod.lines().any(|line| line.trim().trim_start_matches("tool ").trim() == tool.package),
            "{}: go.mod has no tool directive for {}",
            tool.name,
            tool.package
        );
    }
}

/// A program of ours says its version itself.
fn is_own(tool: &pins::Tool, go_mod: &str) -> bool {
    let main = fs::read_to_string(modules().join(tool.folder).join("main.go")).unwrap_or_default();
    go_mod.starts_with(&format!("module {}\n", tool.module))
        && main.contains(&format!("const version = \"{}\"\n", tool.version))
}

/// Asks for etcd where `go` (a script, if any) is the only program; gives the error's line.
async fn refusal(go: Option<&str>, modules: PathBuf) -> String {
    let root = tempfile::tempdir().unwrap();
    if let Some(script) = go {
        let path = root.path().join("go");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let places =
        Places { cache: root.path().join("cache"), path: vec![root.path().into()], ..Places::default() };
    let toolchain = Toolchain::with_places(places, modules);
    toolchain.find_or_build(&pins::ETCD, &Progress::quiet()).await.unwrap_err().to_string()
}

#[tokio::test]
async fn what_hinders_a_build_is_said_with_the_remedy() {
    const GOOD: &str = "echo go version go1.26.8 linux/amd64";
    let missing = refusal(None, modules()).await;
    assert!(missing.contains("install Go 1.26 or newer") && missing.contains("--assets"), "{missing}");
    let old = refusal(Some("echo go version go1.20.1 linux/amd64"), modules()).await;
    assert!(old.contains("go1.20.1") && old.contains("too old"), "{old}");
    let elsewhere = refusal(Some(GOOD), PathBuf::from("/nowhere")).await;
    assert!(elsewhere.contains("run inside a complete checkout"), "{elsewhere}");
    let fails = format!("[ \"$1\" = version ] && {GOOD} && exit; echo no such host >&2; exit 1");
    let failed = refusal(Some(&fails), modules()).await;
    assert!(failed.contains("no such host") && failed.contains("network"), "{failed}");
}
