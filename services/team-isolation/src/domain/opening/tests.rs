use serde_json::json;

use super::*;

fn team(spec: serde_json::Value) -> Team {
    serde_json::from_value(json!({
        "apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": {"name": "ml"}, "spec": spec,
    }))
    .unwrap()
}

fn open_team() -> Team {
    team(json!({"selfService": {"namespaces": 2, "environments": ["dev"], "share": 20}}))
}

fn wish(name: &str) -> Wish {
    Wish { name: name.to_owned(), environment: None, share: 0, by: "ana".to_owned() }
}

fn objections(team: &Team, wish: &Wish) -> Vec<(&'static str, String)> {
    let teams = ["ml".to_owned(), "ml-data".to_owned(), "app".to_owned()];
    let objected = open(team, wish, &teams).unwrap_err();
    objected.into_iter().map(|one| (one.field, one.why)).collect()
}

#[test]
fn an_opened_namespace_comes_beside_the_default_one() {
    let mut team = open_team();
    team.spec.namespaces = open(&team, &wish("ml-scratch"), &[]).unwrap();
    assert_eq!(team.namespace_names(), ["ml-team", "ml-scratch"]);
    team.spec.namespaces = open(&team, &wish("ml-lab"), &[]).unwrap();
    assert_eq!(team.namespace_names(), ["ml-team", "ml-scratch", "ml-lab"]);
    team.spec.namespaces = close(&team, "ml-scratch").unwrap();
    assert_eq!(team.namespace_names(), ["ml-team", "ml-lab"]);
    assert_eq!(close(&team, "ml-scratch").unwrap(), team.spec.namespaces, "twice is no error");
}

#[test]
fn opening_twice_is_once() {
    let mut team = open_team();
    team.spec.namespaces = open(&team, &wish("ml-scratch"), &[]).unwrap();
    let again = Wish { share: 10, ..wish("ml-scratch") };
    let opened = open(&team, &again, &[]).unwrap();
    assert_eq!(opened.len(), 1);
    assert_eq!(opened[0].share, Some(10));
}

#[test]
fn what_the_team_does_not_grant_is_refused_by_field() {
    let team = open_team();
    for (wish, field, says) in [
        (wish("scratch"), "name", "such as ml-scratch"),
        (wish("ml-"), "name", "such as ml-scratch"),
        (wish("ml-Lab"), "name", "such as ml-scratch"),
        (wish(&format!("ml-{}", "x".repeat(61))), "name", "63 in all"),
        (wish("mlx"), "name", "such as ml-scratch"),
        (wish("ml-other-team"), "name", "ends in -team"),
        (wish("ml-data-lab"), "name", "are of team ml-data"),
        (Wish { environment: Some(Environment::Prod), ..wish("ml-x") }, "environment", "choose one of dev"),
        (Wish { share: 21, ..wish("ml-x") }, "share", "(20)"),
    ] {
        let found = objections(&team, &wish);
        assert_eq!(found.len(), 1, "{wish:?}: {found:?}");
        assert_eq!(found[0].0, field);
        assert!(found[0].1.contains(says), "{wish:?}: {found:?}");
    }
}

#[test]
fn all_objections_are_said_at_once() {
    let wish = Wish { environment: Some(Environment::Prod), share: 50, ..wish("x") };
    let fields: Vec<_> = objections(&open_team(), &wish).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["name", "environment", "share"]);
}

#[test]
fn no_more_are_opened_than_the_team_grants() {
    let mut team = open_team();
    for name in ["ml-a", "ml-b"] {
        team.spec.namespaces = open(&team, &wish(name), &[]).unwrap();
    }
    let found = objections(&team, &wish("ml-c"));
    assert!(found[0].1.contains("2 of 2 namespaces (ml-a, ml-b)"), "{found:?}");
    assert!(open(&team, &Wish { share: 5, ..wish("ml-b") }, &[]).is_ok(), "one that is open may change");
    team.spec.namespaces = close(&team, "ml-b").unwrap();
    let status = json!({"namespaces": [{"name": "ml-team"}, {"name": "ml-a"}, {"name": "ml-b"}]});
    team.status = Some(serde_json::from_value(status).unwrap());
    let found = objections(&team, &wish("ml-c"));
    assert!(found[0].1.contains("2 of 2 namespaces (ml-a, ml-b)"), "closed and still there: {found:?}");
    assert!(open(&team, &wish("ml-b"), &[]).is_ok(), "it may be opened again");
}

#[test]
fn shares_never_add_up_to_more_than_all() {
    let team = team(json!({
        "namespaces": [{"name": "ml-team", "share": 90}],
        "selfService": {"namespaces": 2, "share": 20},
    }));
    let found = objections(&team, &Wish { share: 20, ..wish("ml-x") });
    assert!(found[0].1.contains("10 percent are left"), "{found:?}");
    assert!(open(&team, &Wish { share: 10, ..wish("ml-x") }, &[]).is_ok());
}

#[test]
fn a_declared_namespace_is_neither_opened_nor_closed() {
    let team = team(json!({"namespaces": [{"name": "ml-dev"}], "selfService": {"namespaces": 2}}));
    assert!(objections(&team, &wish("ml-dev"))[0].1.contains("declared in the Team"));
    assert!(close(&team, "ml-dev").unwrap_err()[0].why.contains("declared in the Team"));
    assert!(close(&open_team(), "ml-team").is_err(), "nor is the default one closed");
}

#[test]
fn nobody_opens_where_it_is_not_granted_or_the_team_leaves() {
    assert!(objections(&team(json!({})), &wish("ml-x"))[0].1.contains("spec.selfService"));
    let leaving = team(json!({"selfService": {"namespaces": 1}, "offboarding": {"phase": "Suspended"}}));
    assert_eq!(objections(&leaving, &wish("ml-x"))[0].1, "the team is on its way out");
}
