//! Compiles the contracts without protoc, and says where things are.

use std::fs;
use std::path::{Path, PathBuf};

use prost_types::FileDescriptorSet;

/// The folder `proto/`.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Whether goldens are to be accepted as they come out.
pub(crate) fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// All `.proto` files, relative to `proto/`, sorted.
pub(crate) fn proto_files() -> Vec<PathBuf> {
    let mut found = vec![];
    let mut folders = vec![root().join("mlp")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The contracts, compiled; with comments where asked.
pub(crate) fn compile(comments: bool) -> FileDescriptorSet {
    let mut compiler = protox::Compiler::new([root()]).unwrap();
    compiler.include_imports(true).include_source_info(comments);
    for file in proto_files() {
        compiler.open_file(&file).unwrap_or_else(|error| panic!("{}: {error:?}", file.display()));
    }
    compiler.file_descriptor_set()
}

/// Compares with a golden file, or writes it when goldens are accepted.
#[track_caller]
pub(crate) fn golden(path: &Path, wanted: &[u8]) {
    if updating() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, wanted).unwrap();
    }
    let found = fs::read(path).unwrap_or_default();
    assert!(
        found == wanted,
        "{} differs; UPDATE_GOLDEN=1 cargo test -p mlp-proto accepts it",
        path.display()
    );
}
