//! Tests that hold the shape of this repository: arrows between crates, purity of domains, rooms,
//! sizes, words, and the definitions in `deploy/`. This library only finds and reads files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use serde_json::Value;

/// The five services.
pub const SERVICES: [&str; 5] =
    ["team-isolation", "provisioner", "gitops-sync", "cost-attribution", "health-monitor"];

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A source file with its path from the root.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path from the root, with `/`.
    pub path: String,
    /// Content.
    pub text: String,
}

/// Files under `folder` (from the root) with one of the extensions, sorted; what is built,
/// generated or cached is left out.
///
/// # Errors
/// A folder or file cannot be read.
pub fn sources(folder: &str, extensions: &[&str]) -> io::Result<Vec<Source>> {
    let mut found = vec![];
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        if !folder.exists() {
            continue;
        }
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                let skipped = ["target", ".git", ".mlp", "gen", "golden"].contains(&name.as_str());
                if !skipped {
                    folders.push(path);
                }
            } else if extensions.iter().any(|extension| name.ends_with(&format!(".{extension}"))) {
                let from_root =
                    path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                found.push(Source { path: from_root, text: fs::read_to_string(&path)? });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Dependencies of every workspace member, by kind (`normal`, `dev` or `build`).
///
/// # Errors
/// Cargo could not be run, or did not answer with JSON.
pub fn dependencies() -> io::Result<BTreeMap<String, BTreeMap<String, BTreeSet<String>>>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(io::Error::other)?;
    let mut members: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for package in metadata.get("packages").and_then(Value::as_array).into_iter().flatten() {
        let kinds = members.entry(text(&package["name"])).or_default();
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let kind = dependency["kind"].as_str().unwrap_or("normal").to_owned();
            kinds.entry(kind).or_default().insert(text(&dependency["name"]));
        }
    }
    Ok(members)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The code of a source without comments and without the contents of strings, line for line.
pub fn code(text: &str) -> Vec<String> {
    let mut lines = vec![];
    for line in text.lines() {
        let mut out = String::new();
        let (mut in_string, mut escaped) = (false, false);
        let mut characters = line.chars().peekable();
        while let Some(c) = characters.next() {
            if in_string {
                in_string = escaped || c != '"';
                escaped = c == '\\' && !escaped;
                continue;
            }
            match c {
                '"' => in_string = true,
                '/' if characters.peek() == Some(&'/') => break,
                _ => out.push(c),
            }
        }
        lines.push(out);
    }
    lines
}

/// Whether `line` has `word` with nothing of an identifier before it.
pub fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}
