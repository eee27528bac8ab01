//! Answers as text for people.

use std::collections::BTreeMap;

use mlp_proto::team::api::v1 as proto;
use serde::Serialize;

use crate::commands::status::print::{table, trimmed};

pub(super) fn namespaces(answer: &proto::ListNamespacesResponse) -> String {
    if answer.namespaces.is_empty() {
        return "you are a member of no team; a Team lists its members at spec.access".to_owned();
    }
    let mut rows = table(&["namespace", "team", "role", "environment"]);
    for namespace in &answer.namespaces {
        rows.add_row([&namespace.name, &namespace.team, &namespace.role, &namespace.environment]);
    }
    trimmed(&rows)
}

pub(super) fn opened(answer: &proto::OpenNamespaceResponse) -> String {
    format!("open; {}", all_of(answer.team.as_ref()))
}

pub(super) fn closed(answer: &proto::CloseNamespaceResponse) -> String {
    format!("closed; it goes when it is empty. {}", all_of(answer.team.as_ref()))
}

/// The namespaces that a team holds at the moment; a new one follows within seconds.
fn all_of(team: Option<&proto::Team>) -> String {
    let team = team.cloned().unwrap_or_default();
    let names: Vec<_> = team.namespaces.into_iter().map(|namespace| namespace.name).collect();
    format!("team {} holds {} at the moment", team.name, names.join(", "))
}

pub(super) fn usage(answer: &proto::GetUsageResponse) -> String {
    let total = answer.total.clone().unwrap_or_default();
    let mut header = vec!["key", "total"];
    header.extend(answer.namespaces.keys().map(String::as_str));
    let mut rows = table(&header);
    for key in total.hard.keys() {
        let cell = |usage: &proto::Usage| {
            let amount =
                |of: &BTreeMap<String, String>| of.get(key).cloned().unwrap_or_else(|| "-".to_owned());
            format!("{}/{}", amount(&usage.used), amount(&usage.hard))
        };
        let cells = [key.clone(), cell(&total)];
        rows.add_row(cells.into_iter().chain(answer.namespaces.values().map(cell)));
    }
    trimmed(&rows)
}

pub(super) fn denials(answer: &proto::ListDenialsResponse) -> String {
    if answer.denials.is_empty() {
        return "nothing was refused of late".to_owned();
    }
    let said = answer.denials.iter().rev().map(|denial| {
        let verdict = if denial.admitted { "noted" } else { "refused" };
        let object = if denial.name.is_empty() { String::new() } else { format!(" {}", denial.name) };
        let times = if denial.count > 1 { format!(", {} times", denial.count) } else { String::new() };
        format!(
            "{} {verdict}: {} in {}{object} by {}{times}\n  {} ({})\n  {}",
            denial.last,
            denial.action,
            denial.namespace,
            denial.user,
            denial.rule,
            denial.control,
            denial.message
        )
    });
    said.collect::<Vec<_>>().join("\n")
}

pub(super) fn rights(answer: &proto::CanIResponse) -> String {
    let mut rows = table(&["namespace", "resource", "verbs"]);
    for right in &answer.rights {
        let resource = if right.group.is_empty() {
            right.resource.clone()
        } else {
            format!("{}.{}", right.resource, right.group)
        };
        let verbs = if right.verbs.is_empty() { "none".to_owned() } else { right.verbs.join(" ") };
        rows.add_row([right.namespace.clone(), resource, verbs]);
    }
    trimmed(&rows)
}

pub(super) fn reach(answer: &proto::ReachResponse) -> String {
    let decision = |maybe: &Option<proto::ReachDecision>| {
        let decision = maybe.clone().unwrap_or_default();
        match decision.kind.as_str() {
            "admitted" => format!("admitted by {}, rule {}", decision.policies.join(", "), decision.rule),
            "denied" => format!("denied: no rule of {} admits it", decision.policies.join(", ")),
            "open" => "open: no policy selects the pod".to_owned(),
            _ => "not concerned".to_owned(),
        }
    };
    let verdict = if answer.arrives { "arrives" } else { "does not arrive" };
    format!(
        "{verdict}\n  out of the sender    {}\n  into the receiver    {}",
        decision(&answer.egress),
        decision(&answer.ingress)
    )
}

pub(super) fn plan(answer: &proto::PlanTeamResponse) -> String {
    if !answer.problems.is_empty() {
        return format!("cannot be made true:\n  {}", answer.problems.join("\n  "));
    }
    let mut text = if answer.steps.is_empty() { "nothing to do".to_owned() } else { answer.steps.join("\n") };
    if !answer.offers.is_empty() {
        let names = answer.offers.join(", ");
        text.push_str(&format!("\n\nafter {names} was offered to the team: nobody made it for the team"));
    }
    if !answer.kept.is_empty() {
        text.push_str("\n\nstays as others made it:\n  ");
        text.push_str(&answer.kept.join("\n  "));
    }
    text
}

pub(super) fn compliance(answer: &proto::GetComplianceResponse) -> String {
    let mut rows = table(&["", "id", "namespace", "check", "found"]);
    for check in &answer.checks {
        let mark = if check.holds { "✓" } else { "✗" };
        rows.add_row([mark, &check.id, &check.namespace, &check.title, &check.detail]);
    }
    format!("{}\n\n{} % of {} checks hold", trimmed(&rows), answer.percent, answer.checks.len())
}

/// The report for programs.
#[derive(Debug, Serialize)]
pub(super) struct ComplianceJson {
    percent: i32,
    checks: Vec<CheckJson>,
}

#[derive(Debug, Serialize)]
struct CheckJson {
    id: String,
    title: String,
    namespace: String,
    holds: bool,
    detail: String,
}

impl ComplianceJson {
    pub(super) fn of(answer: &proto::GetComplianceResponse) -> Self {
        let checks = answer.checks.iter().map(|check| CheckJson {
            id: check.id.clone(),
            title: check.title.clone(),
            namespace: check.namespace.clone(),
            holds: check.holds,
            detail: check.detail.clone(),
        });
        Self { percent: answer.percent, checks: checks.collect() }
    }
}
