//! A pinned tool is really built, and runs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::Command;

use mlp_tilt::toolchain::{Found, Places, pins};
use mlp_tilt::{Progress, Toolchain};

#[tokio::test]
async fn a_missing_tool_is_built_once_and_prints_its_pinned_version() {
    let modules = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("toolchain");
    let cache = tempfile::tempdir().unwrap();
    let path = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
    let places = Places { cache: cache.path().into(), path, ..Places::default() };
    // Only Go is wanted from PATH, where the server itself may be as well.
    let go = places.go().expect("tests of the toolchain need Go on PATH: https://go.dev/dl");
    std::os::unix::fs::symlink(go, cache.path().join("go")).unwrap();
    let places = Places { path: vec![cache.path().into()], ..places };
    let toolchain = Toolchain::with_places(places, modules);
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
