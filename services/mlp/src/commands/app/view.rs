//! `cargo mlp diff` and `cargo mlp app diff|manifests`: what a revision would change, and what it is made of.

use mlp_proto::common::v1::ResourceRef;
use mlp_proto::gitops::api::v1 as proto;
use serde_json::Value;
use similar::TextDiff;
use tonic::Streaming;

use super::{Client, Place, refused};
use crate::cli::{AppDiff, Output};
use crate::commands::calls;
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
        return Err(Failure::failed(format!("not all of it could be compared: {words}")));
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
}
