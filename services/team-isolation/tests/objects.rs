//! Golden: everything that the seed's three teams get. `UPDATE_GOLDEN=1 cargo test -p
//! mlp-team-isolation --test objects` accepts a change.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use mlp_crds::Team;
use mlp_team_isolation::domain::model::{self, Site};
use mlp_team_isolation::domain::objects::{self, Surroundings};
use serde_json::Value;

fn rendered(team: &str) -> Result<String, serde_json::Error> {
    let input = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/teams/{team}.json"));
    let text = fs::read_to_string(input).unwrap_or_default();
    let team: Team = serde_json::from_str(&text)?;
    let declared = model::declare(&team, &Site::default()).unwrap_or_else(|problems| panic!("{problems:?}"));
    let objects: Vec<Value> =
        objects::of(&declared, &Surroundings::fresh(&declared)).iter().map(objects::Object::json).collect();
    Ok(format!("{}\n", serde_json::to_string_pretty(&objects)?))
}

#[test]
fn the_seeds_teams_get_what_the_seed_promises() {
    for team in ["ml", "data", "app"] {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{team}.json"));
        let wanted = rendered(team).unwrap();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &wanted).unwrap();
        }
        let found = fs::read_to_string(&golden).unwrap_or_default();
        assert!(found == wanted, "{} differs; UPDATE_GOLDEN=1 accepts the change", golden.display());
    }
}
