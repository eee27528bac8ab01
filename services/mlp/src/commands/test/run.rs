//! Runs a rung's commands, echoing and counting what they print.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::Ran;
use super::rungs::Rung;
use super::tally::Tally;
use crate::exit::Failure;

/// No rung may run longer; CI's whole budget is an hour.
const RUNG_LIMIT: Duration = Duration::from_secs(40 * 60);

/// The folder with the workspace's `Cargo.toml`: the one this command was built from.
pub(super) fn repository_root() -> Result<PathBuf, Failure> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.ancestors().nth(2).map(Path::to_path_buf);
    root.filter(|root| root.join("Cargo.lock").is_file()).ok_or_else(|| {
        Failure::missing("`mlp test` runs in a checkout of the repository; use `cargo mlp test` there")
    })
}

/// Runs one rung to its first failing command.
pub(super) async fn run(
    rung: &'static Rung,
    root: &Path,
    environment: &BTreeMap<String, String>,
) -> Result<Ran, Failure> {
    println!("\n== {}: {}", rung.name, rung.finds);
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut succeeded = true;
    for command in rung.commands {
        println!("$ {}", command.join(" "));
        let work = run_command(command, root, environment, &mut tally);
        let outcome = tokio::time::timeout(RUNG_LIMIT, work).await;
        succeeded = match outcome {
            Ok(result) => result?,
            Err(_elapsed) => {
                eprintln!("{}: not done within {}", rung.name, crate::progress::seconds(RUNG_LIMIT));
                false
            }
        };
        if !succeeded {
            break;
        }
    }
    // A check without a test runner (fmt, clippy, deny) counts as one test.
    if tally == Tally::default() {
        tally.passed = u64::from(succeeded);
    }
    if !succeeded && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(Ran { name: rung.name, took: begun.elapsed(), tally, succeeded })
}

async fn run_command(
    command: &[&str],
    root: &Path,
    environment: &BTreeMap<String, String>,
    tally: &mut Tally,
) -> Result<bool, Failure> {
    let Some((program, arguments)) = command.split_first() else { return Ok(true) };
    let mut child = mlp_tilt::cargo::without_our_package(program)
        .args(arguments)
        .current_dir(root)
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            Failure::missing(format!("cannot run {program}: {error}; see `cargo mlp doctor`"))
        })?;
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            println!("{line}");
            tally.read_line(&line);
        }
    }
    let status = child
        .wait()
        .await
        .map_err(|error| Failure::while_doing(&format!("waiting for {program}"), &error))?;
    Ok(status.success())
}
