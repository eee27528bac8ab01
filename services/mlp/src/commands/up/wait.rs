//! Waits until everything that was applied is as it was asked for, on conditions and with a limit.

use std::time::Duration;

use crate::commands::status::gather;
use crate::commands::status::report::{ApplicationRow, Report, RequestRow};
use crate::exit::Failure;
use crate::platform::Platform;

/// How long the examples may take. Without a real node nothing has to start, with one a database has to.
const LIMIT: Duration = Duration::from_secs(180);
/// How often the report is looked at.
const INTERVAL: Duration = Duration::from_millis(300);

/// Waits for what was applied; fails with what of it is not as it should be.
pub(super) async fn until_as_asked(platform: &Platform, expected: &Expected) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        // A look that fails is no reason to give up before the time is over.
        let missing = match gather(platform).await {
            Ok(report) => missing(&report, expected),
            Err(failure) => vec![failure.to_string()],
        };
        if missing.is_empty() {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            let limit = LIMIT.as_secs();
            return Err(Failure::not_ready(format!(
                "not ready within {limit} s:\n  {}",
                missing.join("\n  ")
            )));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// What was applied: kind, namespace (empty where it has none) and name. What else is in the cluster is
/// not waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected(Vec<(String, String, String)>);

impl Expected {
    /// The objects in a stream of manifests, as kustomize writes them.
    pub(super) fn of(manifests: &str) -> Self {
        let field = |document: &str, prefix: &str| {
            let found = document.lines().find_map(|line| line.strip_prefix(prefix));
            found.map(|value| value.trim_matches(['"', '\'']).to_owned()).unwrap_or_default()
        };
        let documents = manifests.split("\n---\n");
        Self(
            documents
                .map(|document| {
                    // Kustomize indents by two and sorts keys: the first such line is that of `metadata`.
                    let metadata = document.split("\nmetadata:\n").nth(1).unwrap_or_default();
                    (field(document, "kind: "), field(metadata, "  namespace: "), field(metadata, "  name: "))
                })
                .collect(),
        )
    }
}

/// What of the expected is not as it should be, one line each.
fn missing(report: &Report, expected: &Expected) -> Vec<String> {
    expected.0.iter().filter_map(|(kind, namespace, name)| problem(report, kind, namespace, name)).collect()
}

fn problem(report: &Report, kind: &str, namespace: &str, name: &str) -> Option<String> {
    let absent = || Some(format!("{kind} {name} is not there"));
    match kind {
        "Team" => {
            let Some(team) = report.teams.iter().find(|team| team.name == name) else { return absent() };
            let state = &team.ready;
            (!state.ready).then(|| format!("team {name}: {}: {}", state.reason, state.message))
        }
        "Database" | "Cache" => {
            let is_it = |request: &&RequestRow| {
                request.kind == kind && request.namespace == namespace && request.name == name
            };
            let Some(request) = report.requests.iter().find(is_it) else { return absent() };
            let state = &request.ready;
            // On simulated nodes nothing can become ready; saying so is the most that can be waited for.
            let line = || format!("{kind} {namespace}/{name}: {}: {}", state.reason, state.message);
            (!state.ready && !state.simulated).then(line)
        }
        "Application" => {
            let is_it = |row: &&ApplicationRow| row.namespace == namespace && row.name == name;
            let Some(row) = report.applications.iter().find(is_it) else { return absent() };
            (row.sync != "Synced").then(|| format!("application {namespace}/{name}: {}", row.sync))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_applied_is_read_from_the_manifests() {
        let manifests = "apiVersion: mlplatform.dev/v1alpha1\nkind: Team\nmetadata:\n  labels:\n    name: x\n  name: ml\nspec:\n  displayName: ML\n---\n\
            apiVersion: mlplatform.dev/v1alpha1\nkind: Cache\nmetadata:\n  name: sessions\n  namespace: app-team\nspec: {}\n";
        let row = |kind: &str, namespace: &str, name: &str| {
            (kind.to_owned(), namespace.to_owned(), name.to_owned())
        };
        let expected = Expected(vec![row("Team", "", "ml"), row("Cache", "app-team", "sessions")]);
        assert_eq!(Expected::of(manifests), expected);
    }
}
