//! The command line's surface: the help of `mlp` and of every subcommand, as golden files.
//!
//! `UPDATE_GOLDEN=1 cargo test -p mlp --test help` writes them anew after an intended change.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

/// Depth of subcommands that is looked into; `mlp events tail` has 2.
const DEEPEST: usize = 4;

/// What `mlp WORDS --help` prints.
fn help(words: &[String]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mlp"));
    // What a terminal or a person's environment adds is no part of the surface.
    command.args(words).arg("--help").env_clear();
    let output = command.output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && errors.is_empty(), "mlp {} --help: {errors}", words.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// The subcommands that a help text lists.
fn subcommands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    // Longer descriptions go on at a deeper indentation.
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

/// Every command with its help, `mlp` first.
fn surface() -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![Vec::new()];
    while let Some(words) = waiting.pop() {
        let text = help(&words);
        for name in subcommands(&text).into_iter().filter(|name| name != "help") {
            assert!(words.len() < DEEPEST, "{words:?} {name}");
            waiting.push([&words[..], &[name]].concat());
        }
        found.push((words, text));
    }
    found.sort();
    found
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help")
}

#[test]
fn the_help_of_every_command_is_as_written_down() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut expected_files = BTreeSet::new();
    let mut differing = Vec::new();
    for (words, text) in surface() {
        let name =
            std::iter::once("mlp").chain(words.iter().map(String::as_str)).collect::<Vec<_>>().join("-");
        let file = folder().join(format!("{name}.txt"));
        expected_files.insert(format!("{name}.txt"));
        if update {
            std::fs::create_dir_all(folder()).unwrap();
            std::fs::write(&file, &text).unwrap();
        } else if std::fs::read_to_string(&file).ok().as_deref() != Some(text.as_str()) {
            differing.push(format!("{name}:\n{text}"));
        }
    }
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !expected_files.contains(&name) {
            if update {
                std::fs::remove_file(folder().join(&name)).unwrap();
            } else {
                differing.push(format!("{name}: there is no such command"));
            }
        }
    }
    assert!(
        differing.is_empty(),
        "help has changed; if that is meant, run UPDATE_GOLDEN=1 cargo test -p mlp --test help\n{}",
        differing.join("\n")
    );
}

#[test]
fn every_flag_and_command_has_its_sentence() {
    let mut bare = Vec::new();
    for (words, text) in surface() {
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let entry = line.strip_prefix("  ").map(str::trim_start).filter(|entry| {
                let is_flag = entry.starts_with('-');
                let is_argument = line.starts_with("  <") || line.starts_with("  [");
                is_flag || is_argument
            });
            let Some(entry) = entry else { continue };
            let described_here = entry.split_once("  ").is_some_and(|(_, words)| !words.trim().is_empty());
            let described_below = lines.peek().is_some_and(|next| next.starts_with("      "));
            if !described_here && !described_below {
                bare.push(format!("mlp {}: {entry}", words.join(" ")));
            }
        }
    }
    assert!(bare.is_empty(), "without a description: {bare:#?}");
}

#[test]
fn an_unknown_word_is_wrong_usage() {
    let output = Command::new(env!("CARGO_BIN_EXE_mlp")).arg("upp").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "as `mlp --help` promises");
    assert!(String::from_utf8_lossy(&output.stderr).contains("'up'"), "the nearest word is offered");
}
