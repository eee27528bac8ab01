//! `cargo mlp diff` and `cargo mlp app diff|findings|manifests`: what a revision would change, breaks, and is made of.

use std::collections::BTreeSet;

use mlp_proto::common::v1::ResourceRef;
use mlp_proto::gitops::api::v1 as proto;
use serde_json::{Value, json};
use similar::TextDiff;
use tonic::Streaming;

use super::{Client, Place, print, refused};
use crate::cli::{AppDiff, AppFindings, Output};
use crate::commands::{calls, sarif};
use crate::exit::{Failure, Outcome};

/// Prints how what is live differs from what a revision wants.
pub(super) async fn diff(client: &mut Client, place: Place, flags: &AppDiff, output: Output) -> Outcome {
    let Place { namespace, name } = place;
    let request = proto::DiffApplicationRequest { namespace, name, revision: flags.revision.clone() };
    let answers = client.diff_application(request).await.map_err(refused)?.into_inner();
    let answers = collected(answers).await?;
    let (known, unknown): (Vec<_>, Vec<_>) = answers
        .iter()
        .filter(|one| one.difference() != proto::Difference::Unspecified)
        .partition(|one| one.difference() != proto::Difference::Unknown);
    match output {
        Output::Json => calls::messages(&answers)?,
        Output::Text => {
            for one in &known {
                println!("{}", shown(one)?);
            }
            let revision = answers.first().map_or("", |one| one.revision.as_str());
            let count = known.len();
            let words = if count == 1 { "object differs" } else { "objects differ" };
            println!("{count} {words} from {revision}");
        }
    }
    if !unknown.is_empty() {
        let words = unknown.iter().map(|one| one.message.as_str()).collect::<Vec<_>>().join("; ");
        return Err(Failure::not_ready(format!("not all of it could be compared: {words}")));
    }
    if flags.exit_code && !known.is_empty() {
        return Err(Failure::failed("live differs from git"));
    }
    Ok(())
}

/// Prints the objects that a revision wants, as one stream of YAML documents.
pub(super) async fn manifests(client: &mut Client, place: Place, revision: &str, output: Output) -> Outcome {
    let Place { namespace, name } = place;
    let request = proto::GetManifestsRequest { namespace, name, revision: revision.to_owned() };
    let answers = client.get_manifests(request).await.map_err(refused)?.into_inner();
    let answers = collected(answers).await?;
    if output == Output::Json {
        return calls::messages(&answers);
    }
    let documents = answers.iter().map(|one| yaml(&one.manifest)).collect::<Result<Vec<_>, _>>()?;
    print!("{}", documents.join("---\n"));
    Ok(())
}

/// Prints the rules that a revision breaks.
pub(super) async fn findings(
    client: &mut Client,
    place: Place,
    flags: &AppFindings,
    output: Output,
) -> Outcome {
    let Place { namespace, name } = place;
    let request = proto::GetFindingsRequest { namespace, name, revision: flags.revision.clone() };
    let answer = client.get_findings(request).await.map_err(refused)?.into_inner();
    match output {
        _ if flags.sarif => calls::json(&sarif(&answer))?,
        Output::Json => calls::message(&answer)?,
        Output::Text => println!("{}", print::findings(&answer)),
    }
    if flags.exit_code && answer.findings.iter().any(|one| one.denied) {
        return Err(Failure::failed("a sync would not begin"));
    }
    Ok(())
}

/// One result for each finding, at the line of its file.
fn sarif(answer: &proto::GetFindingsResponse) -> Value {
    let rules: BTreeSet<&str> = answer.findings.iter().map(|one| one.rule.as_str()).collect();
    let results = answer.findings.iter().map(|one| {
        let of = one.resource.clone().unwrap_or_default();
        let place = json!({"artifactLocation": {"uri": file(&one.file)}, "region": {"startLine": one.line.max(1)}});
        let level = if one.denied { "error" } else { "warning" };
        let object = json!([{"fullyQualifiedName": named(&of), "kind": "object"}]);
        json!({"ruleId": one.rule, "level": level, "message": {"text": format!("{}: {}", named(&of), one.message)},
            "locations": [{"physicalLocation": place, "logicalLocations": object}]})
    });
    sarif::log(
        "mlp app findings",
        rules.into_iter().map(|id| json!({ "id": id })).collect(),
        results.collect(),
    )
}

/// A file of the repository as a URI: of what a tool rendered, the file that tells it what to render.
fn file(place: &str) -> String {
    let path = match place.split_once(" of ") {
        Some((tool @ ("kustomize" | "helm"), folder)) => {
            let name = if tool == "helm" { "Chart.yaml" } else { "kustomization.yaml" };
            if folder == "the root" { name.to_owned() } else { format!("{folder}/{name}") }
        }
        _ => place.to_owned(),
    };
    path.replace('%', "%25").replace(' ', "%20")
}

async fn collected<T>(mut answers: Streaming<T>) -> Result<Vec<T>, Failure> {
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await.map_err(refused)? {
        all.push(answer);
    }
    Ok(all)
}

fn shown(one: &proto::DiffApplicationResponse) -> Result<String, Failure> {
    use proto::Difference;
    let word = match one.difference() {
        Difference::Changed => "changed",
        Difference::Missing => "made",
        Difference::Extra => "deleted where the sync prunes",
        Difference::Foreign => "left alone",
        Difference::KindMissing => "waited for",
        Difference::Refused => "refused",
        Difference::Unknown | Difference::Unspecified => "",
    };
    let of = one.resource.clone().unwrap_or_default();
    let mut text = format!("===== {} ===== would be {word}", named(&of));
    if !one.message.is_empty() {
        text.push_str(&format!(": {}", one.message));
    }
    let (live, wanted) = (yaml(&one.live)?, yaml(&one.wanted)?);
    let lines = TextDiff::from_lines(&live, &wanted);
    text.push('\n');
    text.push_str(&lines.unified_diff().header("live", "git").to_string());
    Ok(text)
}

fn named(of: &ResourceRef) -> String {
    let kind = if of.group.is_empty() { of.kind.clone() } else { format!("{}.{}", of.kind, of.group) };
    if of.namespace.is_empty() {
        format!("{kind} {}", of.name)
    } else {
        format!("{kind} {}/{}", of.namespace, of.name)
    }
}

/// JSON as YAML; nothing stays nothing.
fn yaml(json: &str) -> Result<String, Failure> {
    if json.is_empty() {
        return Ok(String::new());
    }
    let value: Value =
        serde_json::from_str(json).map_err(|error| Failure::while_doing("reading the answer", &error))?;
    let text =
        serde_saphyr::to_string(&value).map_err(|error| Failure::while_doing("writing YAML", &error))?;
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_as_lines_of_yaml() {
        let one = proto::DiffApplicationResponse {
            resource: Some(ResourceRef {
                group: "apps".into(),
                kind: "Deployment".into(),
                namespace: "ml-team".into(),
                name: "web".into(),
                ..ResourceRef::default()
            }),
            difference: proto::Difference::Changed.into(),
            live: r#"{"kind":"Deployment","spec":{"replicas":2,"paused":true}}"#.into(),
            wanted: r#"{"kind":"Deployment","spec":{"replicas":3,"paused":true}}"#.into(),
            ..proto::DiffApplicationResponse::default()
        };
        let text = shown(&one).unwrap();
        assert!(
            text.starts_with("===== Deployment.apps ml-team/web ===== would be changed\n--- live\n+++ git\n"),
            "{text}"
        );
        assert!(
            text.contains("\n-  replicas: 2\n+  replicas: 3\n") && text.contains("\n   paused: true\n"),
            "{text}"
        );
        let gone = proto::DiffApplicationResponse {
            difference: proto::Difference::Extra.into(),
            live: r#"{"kind":"ConfigMap"}"#.into(),
            ..proto::DiffApplicationResponse::default()
        };
        assert!(shown(&gone).unwrap().ends_with("-kind: ConfigMap\n"));
    }

    #[test]
    fn a_finding_stands_at_the_line_of_its_file() {
        let finding = proto::Finding {
            rule: "probes".into(),
            file: "app/web.yaml".into(),
            line: 7,
            message: "set them".into(),
            resource: Some(ResourceRef { kind: "Pod".into(), name: "x".into(), ..ResourceRef::default() }),
            ..proto::Finding::default()
        };
        let denied = proto::Finding { denied: true, line: 0, ..finding.clone() };
        let answer = proto::GetFindingsResponse { findings: vec![denied, finding], ..Default::default() };
        let run = sarif(&answer)["runs"][0].clone();
        assert_eq!(run["tool"]["driver"]["rules"], json!([{"id": "probes"}]));
        let levels: Vec<&Value> =
            run["results"].as_array().unwrap().iter().map(|one| &one["level"]).collect();
        assert_eq!(levels, ["error", "warning"]);
        let place = &run["results"][1]["locations"][0]["physicalLocation"];
        assert_eq!(*place, json!({"artifactLocation": {"uri": "app/web.yaml"}, "region": {"startLine": 7}}));
        assert_eq!(run["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"], 1);
    }

    #[test]
    fn what_a_tool_rendered_stands_where_the_tool_is_told_what_to_do() {
        assert_eq!(file("kustomize of apps/web"), "apps/web/kustomization.yaml");
        assert_eq!(file("helm of the root"), "Chart.yaml");
        assert_eq!(file("apps/my app/a.yaml"), "apps/my%20app/a.yaml");
    }
}
