//! The subscriber examples in Rust, Python and Go: with a team's credentials they read the facts of
//! that team and of the platform, and none of another's.

use std::fs;
use std::path::PathBuf;

use mlp_bus::accounts::Keyring;
use mlp_harness::subscribers::Example;
use mlp_model::Fact;
use serde_json::{Value, json};

use crate::accounts::{Platform, platform_with_accounts, team};
use crate::support::*;

fn sorted(lines: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut lines: Vec<Value> = lines.collect();
    lines.sort_by_key(|line| line["id"].to_string());
    lines
}

fn expected(facts: &[Fact]) -> Vec<Value> {
    sorted(facts.iter().map(|fact| {
        json!({ "id": fact.id.as_str(), "type": fact.message_type, "team": fact.team,
            "subject": fact.subject, "version": fact.version })
    }))
}

impl Platform {
    fn credentials(&self, keyring: &Keyring, name: &str) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.creds"));
        let credentials = keyring.team_credentials(&team(name).uid, "reader", 1_700_000_000, None);
        fs::write(&path, credentials.expose()).unwrap();
        path
    }
}

#[tokio::test]
async fn examples_read_the_facts_of_their_team_and_none_of_another() {
    let platform = platform_with_accounts().await;
    let accounts = platform.accounts().await;
    accounts.ensure(&team("ml")).await.unwrap();
    accounts.ensure(&team("data")).await.unwrap();
    let mut special = fact_of("ml", "özil", 3);
    special.aggregate = "special".into();
    special.subject = "teams/ml 100 % ü".into();
    let public = fact_of("_platform", "public", 1);
    let ml = [fact_of("ml", "a", 1), fact_of("ml", "a", 2), special, public.clone()];
    let data = [fact_of("data", "b", 1), public];
    publish_all(&platform.bus, &ml).await;
    publish_all(&platform.bus, &data[..1]).await;
    let (ml_credentials, data_credentials) =
        (platform.credentials(&platform.keyring, "ml"), platform.credentials(&platform.keyring, "data"));
    let url = platform.server.url();
    for example in Example::all().await.unwrap() {
        let language = example.language;
        // In an order that does not depend on arrival.
        let read = async |credentials, limit| {
            sorted(example.facts(&url, credentials, limit).await.unwrap().into_iter())
        };
        let all = read(&ml_credentials, ml.len()).await;
        assert_eq!(all, expected(&ml), "{language}: the facts of ml");
        let more = read(&ml_credentials, 1).await;
        assert!(more.is_empty(), "{language}: what is acknowledged does not come again: {more:?}");
        let all = read(&data_credentials, ml.len() + 1).await;
        assert_eq!(all, expected(&data), "{language}: none of ml with the credentials of data");
    }
}

#[tokio::test]
async fn examples_end_with_one_clear_line_when_the_credentials_are_wrong() {
    let platform = platform_with_accounts().await;
    platform.accounts().await.ensure(&team("ml")).await.unwrap();
    let stranger = platform.credentials(&Keyring::generate(), "ml");
    let missing = platform.folder.path().join("missing.creds");
    let url = platform.server.url();
    for example in Example::all().await.unwrap() {
        for credentials in [&stranger, &missing] {
            let output = example.run(&url, credentials, 1).await.unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{}: {said}", example.language);
            assert!(output.stdout.is_empty(), "{}", example.language);
            let file = credentials.display().to_string();
            let last = said.trim().lines().last().unwrap_or_default();
            assert!(last.starts_with("subscribe: ") && last.contains(&file), "{}: {said}", example.language);
        }
    }
}
