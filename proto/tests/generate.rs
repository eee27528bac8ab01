//! `src/gen` and `descriptor.bin` are what the contracts say, and a contract only grows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "shared by several test binaries")]
mod support;

#[path = "support/breaking.rs"]
mod breaking;

use std::collections::BTreeMap;
use std::fs;

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// Names and contents of the generated files.
fn generate(set: FileDescriptorSet) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut config = prost_build::Config::new();
    config.enable_type_names().btree_map(["."]).include_file("mod.rs").out_dir(folder.path());
    tonic_prost_build::configure()
        .out_dir(folder.path())
        .include_file("mod.rs")
        .compile_fds_with_config(set, config)
        .unwrap();
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
    files
        .map(|file| (file.file_name().into_string().unwrap(), fs::read_to_string(file.path()).unwrap()))
        .filter(|(name, _)| !name.starts_with("google."))
        .collect()
}

#[test]
fn generated_code_is_what_the_contracts_say() {
    let wanted = generate(support::compile(true));
    let folder = support::root().join("src/gen");
    for (name, content) in &wanted {
        support::golden(&folder.join(name), content.as_bytes());
    }
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if support::updating() && !wanted.contains_key(&name) {
            fs::remove_file(folder.join(&name)).unwrap();
        } else {
            assert!(wanted.contains_key(&name), "src/gen/{name} belongs to no contract; delete it");
        }
    }
}

#[test]
fn the_descriptor_only_grows() {
    let path = support::root().join("descriptor.bin");
    let new = support::compile(false);
    if let Ok(bytes) = fs::read(&path)
        && !bytes.is_empty()
    {
        let old = FileDescriptorSet::decode(bytes.as_slice()).unwrap();
        let breaks = breaking::check(&old, &new);
        assert!(breaks.is_empty(), "the contracts break their users:\n{}", breaks.join("\n"));
    }
    support::golden(&path, &new.encode_to_vec());
}
