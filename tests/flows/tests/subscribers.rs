//! The subscriber examples with the credentials that a team finds in its namespace.

use std::path::PathBuf;

use mlp_flows::cli::with_kubectl;
use mlp_flows::{Tested, variable};
use mlp_harness::subscribers::Example;
use serde_json::Value;

/// More than any example team has facts in a run of the tests.
const ALL: usize = 10_000;

/// The team's credentials, as the README tells to get them.
fn credentials(team: &str) -> PathBuf {
    let file = PathBuf::from(variable("MLP_STATE")).join(format!("subscriber-{team}.creds"));
    let script = format!(
        "(umask 077; kubectl get secret mlp-events-credentials -n {team}-team \
         -o jsonpath='{{.data.nats\\.creds}}' | base64 -d > '{}')",
        file.display()
    );
    with_kubectl(&script, "");
    file
}

#[tokio::test]
async fn each_team_reads_its_own_facts_in_three_languages_and_none_of_another() -> Tested {
    let server = variable("NATS_URL");
    let of = |facts: &[Value], team: &str| facts.iter().filter(|fact| fact["team"] == team).count();
    let (ml, data) = (credentials("ml"), credentials("data"));
    for example in Example::all().await? {
        let language = example.language;
        let facts = example.facts(&server, &ml, ALL).await?;
        let isolated = |fact: &Value| {
            fact["team"] == "ml" && fact["type"].as_str().is_some_and(|kind| kind.ends_with(".TeamIsolated"))
        };
        assert!(facts.iter().any(isolated), "{language}: ml does not read that it is isolated: {facts:?}");
        assert_eq!(of(&facts, "ml") + of(&facts, "_platform"), facts.len(), "{language}: {facts:?}");
        let facts = example.facts(&server, &data, ALL).await?;
        assert!(of(&facts, "data") > 0, "{language}: data reads its own: {facts:?}");
        assert_eq!(of(&facts, "ml"), 0, "{language}: data reads what is ml's: {facts:?}");
    }
    Ok(())
}
