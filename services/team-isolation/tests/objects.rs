//! Golden: everything that the seed's three teams get, and the roles of all teams. `UPDATE_GOLDEN=1 cargo test -p
//! mlp-team-isolation --test objects` accepts a change.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mlp_crds::Team;
use mlp_team_isolation::domain::model::{self, Site};
use mlp_team_isolation::domain::objects::{self, Surroundings};
use mlp_team_isolation::domain::{exemption, rights, tier};
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

/// The roles of all teams as a file of `deploy/admission`.
fn installed_roles() -> String {
    let list = |texts: &[String]| {
        let texts = texts.iter().map(|text| if text.is_empty() { "''" } else { text.as_str() });
        texts.collect::<Vec<_>>().join(", ")
    };
    let mut file = "# What members of teams may do, the same in each namespace: a RoleBinding there says who. Generated from\n\
        # services/team-isolation/src/domain/rights.rs; UPDATE_GOLDEN=1 cargo test -p mlp-team-isolation --test objects\n\
        # accepts a change.\n"
        .to_owned();
    for (number, role) in rights::cluster_roles().into_iter().enumerate() {
        let name = role.metadata.name.unwrap();
        let start = if number == 0 { "" } else { "---\n" };
        file += &format!(
            "{start}apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: {name}\nrules:\n"
        );
        for rule in role.rules.unwrap() {
            let (groups, resources) = (rule.api_groups.unwrap(), rule.resources.unwrap());
            file += &format!("- apiGroups: [{}]\n  resources: [{}]\n", list(&groups), list(&resources));
            file += &format!("  verbs: [{}]\n", list(&rule.verbs));
        }
    }
    file
}

#[test]
fn the_roles_of_teams_are_those_that_are_installed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/admission/team-roles.yaml");
    let wanted = installed_roles();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{} differs; UPDATE_GOLDEN=1 accepts the change", path.display());
}

/// The rules that `deploy/admission` lets an exemption lift.
fn lifted_by_policies() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/admission");
    let mut rules = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for (before, _) in text.match_indices("' in variables.exempt").map(|(at, _)| text.split_at(at)) {
            rules.extend(before.rsplit_once('\'').map(|(_, rule)| rule.to_owned()));
        }
    }
    rules
}

#[test]
fn what_an_exemption_can_lift_is_what_the_policies_let_it_lift() {
    let tiered = tier::RULES.iter().map(|(rule, _)| (*rule).to_owned());
    let wanted: BTreeSet<_> = lifted_by_policies().into_iter().chain(tiered).collect();
    let known: BTreeSet<_> = exemption::LIFTABLE.iter().map(|rule| (*rule).to_owned()).collect();
    assert_eq!(known, wanted);
}
