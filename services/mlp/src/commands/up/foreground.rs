//! The foreground: what changes is printed as it changes, until Ctrl-C; then everything is stopped.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Down, Global};
use crate::commands::down;
use crate::commands::status::gather;
use crate::commands::status::report::Report;
use crate::exit::Outcome;

use super::Running;

/// How often the platform is looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// Stays until it is told to end.
pub(super) async fn stay(running: &Running, global: &Global) -> Outcome {
    eprintln!("\nCtrl-C stops the platform; its state stays.");
    let outcome = tokio::select! {
        outcome = watch(running) => outcome,
        () = told_to_end() => Ok(()),
    };
    // The terminal may be what has gone.
    let _ = writeln!(std::io::stderr());
    // Whatever ended the watch: a person who called without --detach finds nothing left running.
    outcome.and(down::down(global, &Down { wipe: false }).await)
}

/// Waits for Ctrl-C, SIGTERM or the end of the terminal.
pub(crate) async fn told_to_end() {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let told = signals.map(|kind| {
        Box::pin(async move {
            match signal(kind) {
                Ok(mut signal) => drop(signal.recv().await),
                Err(_unavailable) => std::future::pending().await,
            }
        })
    });
    futures::future::select_all(told).await;
}

async fn watch(running: &Running) -> Outcome {
    let platform = running.record()?;
    let mut shown = BTreeMap::new();
    loop {
        tokio::time::sleep(INTERVAL).await;
        running.plane.trim_logs();
        // A look that fails is no reason to stop; the next one tells whether it lasts.
        let Ok(report) = gather(&platform).await else { continue };
        let next = lines(&report);
        for (what, state) in &next {
            if shown.get(what) != Some(state) {
                println!("{what}: {state}");
            }
        }
        for what in shown.keys().filter(|what| !next.contains_key(*what)) {
            println!("{what}: gone");
        }
        shown = next;
    }
}

/// One line per thing that a person watches.
fn lines(report: &Report) -> BTreeMap<String, String> {
    let teams = report
        .teams
        .iter()
        .map(|team| (format!("team {}", team.name), format!("{}, {}", team.ready.word(), team.health)));
    let requests = report.requests.iter().map(|request| {
        (format!("{} {}/{}", request.kind, request.namespace, request.name), request.ready.word().to_owned())
    });
    let applications = report.applications.iter().map(|application| {
        let what = format!("application {}/{}", application.namespace, application.name);
        (what, format!("{}, {}", application.sync, application.health))
    });
    let incidents = report
        .incidents
        .iter()
        .map(|incident| (format!("incident of {}", incident.team), incident.title.clone()));
    let services = report.platform_services.iter().map(|service| {
        (format!("service {}", service.name), if service.ready { "ready" } else { "NOT READY" }.to_owned())
    });
    teams.chain(requests).chain(applications).chain(incidents).chain(services).collect()
}
