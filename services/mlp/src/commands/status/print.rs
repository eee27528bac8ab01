//! The report as tables for a terminal.

use comfy_table::{Table, presets};

use super::report::{QUOTA_KEYS, Report};

/// All tables, in the order a person asks for them.
pub(crate) fn render(report: &Report) -> String {
    let mut sections = Vec::new();
    if report.simulated_only {
        sections.push(
            "All nodes are simulated: workloads are scheduled and nothing runs. Run as root on Linux for a real node."
                .to_owned(),
        );
    }
    sections.push(section("Teams", teams(report)));
    sections.push(section("Databases and caches", requests(report)));
    sections.push(section("Applications", applications(report)));
    if !report.incidents.is_empty() {
        sections.push(section("Open incidents", incidents(report)));
    }
    sections.push(section("Platform services", services(report)));
    sections.push(section("Endpoints", endpoints(report)));
    sections.join("\n\n")
}

fn section(title: &str, table: Table) -> String {
    if table.is_empty() {
        return format!("{title}\n  none");
    }
    let body: Vec<_> = table.lines().map(|line| format!("  {}", line.trim_end())).collect();
    format!("{title}\n{}", body.join("\n"))
}

/// An empty table with its header.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().map(|name| name.to_uppercase()));
    table
}

/// The table as text, without blanks at the ends of its lines.
pub(crate) fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn teams(report: &Report) -> Table {
    let mut header = vec!["team", "state", "namespaces"];
    header.extend(QUOTA_KEYS.map(|(_, heading)| heading));
    header.extend(["health", "usd/h", "month to date"]);
    let mut table = table(&header);
    for team in &report.teams {
        let mut row = vec![team.name.clone(), team.ready.word().to_owned(), team.namespaces.join(" ")];
        row.extend(QUOTA_KEYS.map(|(key, _)| team.quota.get(key).cloned().unwrap_or_else(|| "-".to_owned())));
        let money = |amount: &Option<String>| amount.clone().unwrap_or_else(|| "-".to_owned());
        row.extend([team.health.clone(), money(&team.usd_per_hour), money(&team.usd_month_to_date)]);
        table.add_row(row);
    }
    table
}

fn requests(report: &Report) -> Table {
    let mut table = table(&["kind", "namespace", "name", "state", "provider", "endpoint", "secret"]);
    for request in &report.requests {
        table.add_row([
            request.kind,
            &request.namespace,
            &request.name,
            request.ready.word(),
            &request.provider,
            &request.endpoint,
            &request.secret,
        ]);
    }
    table
}

fn applications(report: &Report) -> Table {
    let mut table = table(&["namespace", "name", "sync", "health", "revision"]);
    for application in &report.applications {
        let revision: String = application.revision.chars().take(8).collect();
        table.add_row([
            &application.namespace,
            &application.name,
            &application.sync,
            &application.health,
            &revision,
        ]);
    }
    table
}

fn incidents(report: &Report) -> Table {
    let mut table = table(&["team", "since", "reason", "what"]);
    for incident in &report.incidents {
        table.add_row([&incident.team, &incident.opened_at, &incident.reason, &incident.title]);
    }
    table
}

fn services(report: &Report) -> Table {
    let mut table = table(&["service", "state", "grpc"]);
    for service in &report.platform_services {
        let state = if service.ready { "ready" } else { "NOT READY" };
        table.add_row([service.name.as_str(), state, service.grpc.trim_start_matches("http://")]);
    }
    table
}

fn endpoints(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, address) in &report.endpoints {
        table.add_row([name, address]);
    }
    table
}
