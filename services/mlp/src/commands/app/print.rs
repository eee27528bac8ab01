//! Answers as text for people.

use mlp_proto::common::v1::Health;
use mlp_proto::gitops::api::v1 as proto;

use crate::commands::status::print::{table, trimmed};

/// How much of a commit is shown.
const SHORT: usize = 10;

pub(super) fn list(all: &[proto::Application]) -> String {
    if all.is_empty() {
        return "there are no Applications; `kubectl apply` one, or an ApplicationSet".to_owned();
    }
    let mut rows = table(&["namespace", "name", "sync", "health", "revision", "operation"]);
    for one in all {
        let revision = if one.held_revision.is_empty() {
            short(&one.revision)
        } else {
            format!("{} (held)", short(&one.revision))
        };
        rows.add_row([
            &one.namespace,
            &one.name,
            &one.sync_status,
            health(one.health()),
            &revision,
            &one.operation_phase,
        ]);
    }
    trimmed(&rows)
}

pub(super) fn one(maybe: Option<&proto::Application>) -> String {
    let one = maybe.cloned().unwrap_or_default();
    let mut text = format!(
        "{}/{}\n  source      {} {} {}\n  sync        {} {}\n  health      {} {}\n  operation   {} {}\n",
        one.namespace,
        one.name,
        one.repo_url,
        one.path,
        one.target_revision,
        one.sync_status,
        short(&one.revision),
        health(one.health()),
        one.health_message,
        one.operation_phase,
        one.operation_message,
    );
    for condition in &one.conditions {
        text.push_str(&format!("  note        {condition}\n"));
    }
    let mut rows = table(&["kind", "namespace", "name", "sync", "health", "message"]);
    for object in &one.resources {
        let of = object.resource.clone().unwrap_or_default();
        let word = health(object.health());
        rows.add_row([&of.kind, &of.namespace, &of.name, &object.sync_status, word, &object.health_message]);
    }
    let text = format!("{text}\n{}", trimmed(&rows));
    if one.operation_results.is_empty() {
        return text;
    }
    let mut rows = table(&["last operation", "namespace", "name", "result", "message"]);
    for result in &one.operation_results {
        let of = result.resource.clone().unwrap_or_default();
        rows.add_row([&of.kind, &of.namespace, &of.name, &result.status, &result.message]);
    }
    format!("{text}\n\n{}", trimmed(&rows))
}

pub(super) fn asked(maybe: Option<&proto::Application>) -> String {
    let one = maybe.cloned().unwrap_or_default();
    format!(
        "asked for; `cargo mlp app get {} -n {}` shows how it goes, --wait waits",
        one.name, one.namespace
    )
}

pub(super) fn history(answer: &proto::GetApplicationHistoryResponse) -> String {
    if answer.entries.is_empty() {
        return "nothing was synced yet".to_owned();
    }
    let mut rows = table(&["id", "revision", "done", "asked for by"]);
    for entry in &answer.entries {
        let done =
            entry.deployed_at.as_ref().and_then(|time| jiff::Timestamp::from_second(time.seconds).ok());
        let by = if entry.initiated_by.is_empty() { "automated sync" } else { &entry.initiated_by };
        let done = done.map(|time| time.to_string()).unwrap_or_default();
        rows.add_row([&entry.id.to_string(), &short(&entry.revision), &done, by]);
    }
    trimmed(&rows)
}

pub(super) fn findings(answer: &proto::GetFindingsResponse) -> String {
    if answer.findings.is_empty() {
        return format!("{} breaks no rule", short(&answer.revision));
    }
    let mut rows = table(&["rule", "sync", "kind", "namespace", "name", "file", "message"]);
    for one in &answer.findings {
        let of = one.resource.clone().unwrap_or_default();
        let word = if one.denied { "does not begin" } else { "goes on" };
        let file = format!("{}:{}", one.file, one.line);
        rows.add_row([&one.rule, word, &of.kind, &of.namespace, &of.name, &file, &one.message]);
    }
    trimmed(&rows)
}

/// Each commit, shortened.
fn short(revision: &str) -> String {
    let each = revision.split(',').map(|commit| commit.get(..SHORT).unwrap_or(commit));
    each.collect::<Vec<_>>().join(",")
}

const fn health(health: Health) -> &'static str {
    match health {
        Health::Healthy => "Healthy",
        Health::Suspended => "Suspended",
        Health::Progressing => "Progressing",
        Health::Missing => "Missing",
        Health::Degraded => "Degraded",
        Health::Unknown => "Unknown",
        Health::Unspecified => "",
    }
}
