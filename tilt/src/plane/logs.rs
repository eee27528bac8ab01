//! Bounding the logs of everything that runs: by whoever stays in the foreground, or by a small
//! shell beside a detached plane.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::PlaneError;
use crate::layout::Layout;
use crate::process::{self, LOG_LIMIT, Process, Spec};

/// Name of the shell's process.
const NAME: &str = "log-keeper";

/// How often the shell looks, in seconds.
const INTERVAL: u32 = 30;

/// Does what [`process::trim`] does, for every `*.log` in the folder, again and again.
const SCRIPT: &str = r#"
cd "$1" || exit 1
while sleep "$3"; do
    for log in *.log; do
        [ "$log" != audit.log ] && [ -f "$log" ] && [ "$(wc -c < "$log")" -gt "$2" ] || continue
        tail -c "$2" "$log" > "$log.1" && : > "$log"
    done
done
"#;

/// Trims every log that grew past the limit. The audit log is left to the API server, which
/// rotates it itself.
pub(super) fn trim_all(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        if !is_log || path.file_name().is_some_and(|name| name == "audit.log") {
            continue;
        }
        if let Err(error) = process::trim(&path) {
            tracing::warn!(path = %path.display(), %error, "log was not trimmed");
        }
    }
}

/// Starts the shell unless it runs.
pub(super) fn keep(layout: &Layout) -> Result<(), PlaneError> {
    if attach(layout).is_some() {
        return Ok(());
    }
    let words = ["-c", SCRIPT, NAME, &layout.logs().display().to_string()].map(String::from);
    let mut arguments = words.to_vec();
    arguments.extend([LOG_LIMIT.to_string(), INTERVAL.to_string()]);
    Process::spawn(&Spec {
        name: NAME.into(),
        program: "sh".into(),
        arguments,
        environment: BTreeMap::new(),
        log: layout.log(NAME),
        record: Some(record(layout)),
    })?;
    Ok(())
}

/// Ends the shell; harmless when it does not run.
pub(super) async fn stop(layout: &Layout) -> Result<(), PlaneError> {
    if let Some(mut keeper) = attach(layout) {
        keeper.stop(Duration::from_secs(1)).await?;
    }
    Ok(())
}

fn attach(layout: &Layout) -> Option<Process> {
    Process::attach(NAME, &record(layout), &layout.log(NAME))
}

fn record(layout: &Layout) -> std::path::PathBuf {
    layout.run().join(format!("{NAME}.json"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_shell_trims_what_is_too_long_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("long.log"), "0123456789").unwrap();
        fs::write(file("short.log"), "0123").unwrap();
        fs::write(file("audit.log"), "0123456789").unwrap();
        let once = SCRIPT.replace("while sleep \"$3\"; do", "for once in 1; do");
        let folder_name = folder.path().display().to_string();
        assert!(Command::new("sh").args(["-c", &once, NAME, &folder_name, "6"]).status().unwrap().success());
        let read = |name: &str| fs::read_to_string(file(name)).unwrap();
        assert_eq!((read("long.log").as_str(), read("long.log.1").as_str()), ("", "456789"));
        assert_eq!((read("short.log").as_str(), read("audit.log").as_str()), ("0123", "0123456789"));
    }
}
