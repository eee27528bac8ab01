use super::*;

fn claimant(team: &str, created: &str, namespaces: &[&str]) -> Claimant {
    Claimant {
        team: team.to_owned(),
        created: created.to_owned(),
        uid: format!("uid-{team}"),
        leaving: false,
        namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn existing(name: &str, team: Option<&str>, terminating: bool) -> BTreeMap<String, Existing> {
    let found = Existing {
        uid: "n-1".to_owned(),
        team: team.map(str::to_owned),
        made_by: Some("kubectl-create".to_owned()),
        terminating,
        offered_to: None,
        owner: None,
    };
    [(name.to_owned(), found)].into()
}

#[test]
fn a_free_namespace_goes_to_the_older_team() {
    let older = claimant("a", "2026-01-01T00:00:00Z", &["shared"]);
    let newer = claimant("b", "2026-01-02T00:00:00Z", &["own", "shared"]);
    assert_eq!(obstacles(&older, std::slice::from_ref(&newer), &BTreeMap::new()), []);
    let found = obstacles(&newer, &[older], &BTreeMap::new());
    assert_eq!(found, [Obstacle::OtherTeam { namespace: "shared".to_owned(), team: "a".to_owned() }]);
    assert!(!found[0].passes());
}

#[test]
fn teams_of_the_same_second_are_told_apart() {
    let (a, b) = (claimant("a", "t", &["n"]), claimant("b", "t", &["n"]));
    assert!(obstacles(&a, std::slice::from_ref(&b), &BTreeMap::new()).is_empty());
    assert!(!obstacles(&b, &[a], &BTreeMap::new()).is_empty());
}

#[test]
fn a_held_namespace_is_never_taken_over_even_by_an_older_team() {
    let older = claimant("a", "2026-01-01T00:00:00Z", &["shared"]);
    let found = obstacles(&older, &[], &existing("shared", Some("b"), false));
    assert_eq!(found, [Obstacle::OtherTeam { namespace: "shared".to_owned(), team: "b".to_owned() }]);
}

#[test]
fn a_namespace_of_somebody_else_is_named_with_its_maker() {
    let team = claimant("a", "t", &["legacy"]);
    let found = obstacles(&team, &[], &existing("legacy", None, false));
    assert!(found[0].to_string().contains("was made by kubectl-create"), "{}", found[0]);
}

#[test]
fn a_leaving_team_claims_nothing_new() {
    let mut leaving = claimant("a", "2026-01-01T00:00:00Z", &["shared"]);
    leaving.leaving = true;
    assert!(
        obstacles(&claimant("b", "2026-01-02T00:00:00Z", &["shared"]), &[leaving], &BTreeMap::new())
            .is_empty()
    );
}

#[test]
fn ones_own_namespace_on_its_way_out_is_waited_for() {
    let team = claimant("a", "t", &["a-team"]);
    let found = obstacles(&team, &[], &existing("a-team", Some("a"), true));
    assert!(found[0].passes());
    assert!(obstacles(&team, &[], &existing("a-team", Some("a"), false)).is_empty());
}

#[test]
fn a_namespace_is_adopted_by_the_team_that_it_is_offered_to_and_by_no_other() {
    let team = claimant("a", "t", &["legacy"]);
    let mut there = existing("legacy", None, false);
    there.get_mut("legacy").unwrap().offered_to = Some("a/uid-a".to_owned());
    assert_eq!(obstacles(&team, &[], &there), []);
    let leaving = Claimant { leaving: true, ..team.clone() };
    assert!(matches!(obstacles(&leaving, &[], &there)[..], [Obstacle::Foreign { .. }]), "on its way out");
    let again = Claimant { uid: "uid-2".to_owned(), ..team.clone() };
    assert!(
        matches!(obstacles(&again, &[], &there)[..], [Obstacle::Foreign { .. }]),
        "another Team of the name"
    );
    assert!(matches!(
        obstacles(&claimant("b", "t", &["legacy"]), &[], &there)[..],
        [Obstacle::Foreign { .. }]
    ));
    there.get_mut("legacy").unwrap().owner = Some("Profile a".to_owned());
    let found = obstacles(&team, &[], &there);
    assert!(found[0].to_string().contains("owned by Profile a"), "{}", found[0]);
    let mut taken = existing("legacy", Some("b"), false);
    taken.get_mut("legacy").unwrap().offered_to = Some("a/uid-a".to_owned());
    assert!(
        matches!(obstacles(&team, &[], &taken)[..], [Obstacle::OtherTeam { .. }]),
        "an offer takes nothing away"
    );
}
