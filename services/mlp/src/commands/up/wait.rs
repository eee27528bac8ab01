//! Waits until everything that was applied is as it was asked for, on conditions and with a limit.

use std::time::Duration;

use crate::commands::status::gather;
use crate::commands::status::report::Report;
use crate::exit::Failure;
use crate::platform::Platform;

/// How long the examples may take. Without a real node nothing has to start, with one a database has to.
const LIMIT: Duration = Duration::from_secs(180);
/// How often the report is looked at.
const INTERVAL: Duration = Duration::from_millis(300);

/// Waits for teams, requests and applications; fails with what is not as it should be.
pub(super) async fn until_as_asked(platform: &Platform, expected: Expected) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        let report = gather(platform).await?;
        let missing = missing(&report, expected);
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

/// How many objects were applied: fewer in the report are not there yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Expected {
    pub(super) teams: usize,
    pub(super) requests: usize,
    pub(super) applications: usize,
}

impl Expected {
    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            teams: self.teams + other.teams,
            requests: self.requests + other.requests,
            applications: self.applications + other.applications,
        }
    }

    /// Counts the kinds in a stream of manifests.
    pub(super) fn of(manifests: &str) -> Self {
        let count =
            |kind: &str| manifests.lines().filter(|line| line.strip_prefix("kind: ") == Some(kind)).count();
        Self {
            teams: count("Team"),
            requests: count("Database") + count("Cache"),
            applications: count("Application"),
        }
    }
}

/// What is not as it should be, one line each.
fn missing(report: &Report, expected: Expected) -> Vec<String> {
    let mut lines = Vec::new();
    for (what, seen, wanted) in [
        ("teams", report.teams.len(), expected.teams),
        ("databases and caches", report.requests.len(), expected.requests),
        ("applications", report.applications.len(), expected.applications),
    ] {
        if seen < wanted {
            lines.push(format!("{seen} of {wanted} {what} are there"));
        }
    }
    for team in report.teams.iter().filter(|team| !team.ready.ready) {
        lines.push(format!("team {}: {}: {}", team.name, team.ready.reason, team.ready.message));
    }
    // On simulated nodes nothing can become ready; saying so is the most that can be waited for.
    for request in report.requests.iter().filter(|request| !request.ready.ready && !request.ready.simulated) {
        let state = &request.ready;
        lines.push(format!(
            "{} {}/{}: {}: {}",
            request.kind, request.namespace, request.name, state.reason, state.message
        ));
    }
    for application in report.applications.iter().filter(|application| application.sync != "Synced") {
        lines.push(format!(
            "application {}/{}: {}",
            application.namespace, application.name, application.sync
        ));
    }
    lines
}
