//! The check for breaking changes, against changes that do and do not break.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "shared by several test binaries")]
#[path = "support/breaking.rs"]
mod breaking;

use prost_types::FileDescriptorSet;

const BEFORE: &str = r#"
syntax = "proto3";
package mlp.sample.events.v1;
message Sampled { string team = 1; int64 size = 2; oneof way { string a = 3; string b = 4; } repeated string tags = 5; }
enum Mood { MOOD_UNSPECIFIED = 0; MOOD_GOOD = 1; }
service SampleService { rpc Get(Sampled) returns (Sampled); }
"#;

fn compile(text: &str) -> FileDescriptorSet {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mlp/sample/events/v1");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("events.proto"), text).unwrap();
    protox::compile(["mlp/sample/events/v1/events.proto"], [folder.path()]).unwrap()
}

fn breaks(from: &str, to: &str) -> Vec<String> {
    assert!(BEFORE.contains(from), "{from}");
    breaking::check(&compile(BEFORE), &compile(&BEFORE.replace(from, to)))
}

#[test]
fn additions_and_reserved_removals_pass() {
    for (from, to) in [
        ("string team = 1;", "string team = 1; string note = 9;"),
        ("int64 size = 2;", "reserved 2; reserved \"size\";"),
        ("MOOD_GOOD = 1;", "MOOD_GOOD = 1; MOOD_BAD = 2;"),
        ("enum Mood", "message More { } enum Mood"),
        (
            "rpc Get(Sampled) returns (Sampled);",
            "rpc Get(Sampled) returns (Sampled); rpc Put(Sampled) returns (Sampled);",
        ),
    ] {
        assert_eq!(breaks(from, to), Vec::<String>::new(), "{to}");
    }
}

#[test]
fn everything_else_fails() {
    for (from, to) in [
        ("int64 size = 2;", ""),
        ("int64 size = 2;", "reserved 2;"),
        ("int64 size = 2;", "int32 size = 2;"),
        ("int64 size = 2;", "int64 size = 7;"),
        ("int64 size = 2;", "int64 length = 2;"),
        ("repeated string tags = 5;", "string tags = 5;"),
        ("string b = 4; }", "} string b = 4;"),
        ("MOOD_GOOD = 1;", "MOOD_GOOD = 2;"),
        ("MOOD_GOOD = 1;", ""),
        ("enum Mood", "enum Temper"),
        ("package mlp.sample.events.v1;", "package mlp.sample.events.v2;"),
        ("rpc Get(Sampled) returns (Sampled);", ""),
        ("returns (Sampled)", "returns (stream Sampled)"),
    ] {
        assert!(!breaks(from, to).is_empty(), "{from} -> {to}");
    }
    let gone = breaking::check(&compile(BEFORE), &FileDescriptorSet::default());
    assert_eq!(gone.len(), 1);
}
