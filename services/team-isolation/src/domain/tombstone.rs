//! What stays of a team that has gone: its names, for a time.

use jiff::{SignedDuration, Timestamp};
use mlp_crds::{Team, TeamTombstoneSpec};
use mlp_model::Environment;

use super::claims::{Claimant, Obstacle};

/// How long the names of a team are kept from others after it has gone: not on a laptop, where teams come and
/// go; a day in dev; a month where people and programs elsewhere know them.
pub const fn reservation(environment: Environment) -> SignedDuration {
    SignedDuration::from_hours(match environment {
        Environment::Local => 0,
        Environment::Dev => 24,
        Environment::Staging | Environment::Prod => 720,
    })
}

/// The tombstone of a team that goes at `now`; nothing where names are not kept.
pub fn of(team: &Team, reserved: SignedDuration, now: Timestamp) -> Option<TeamTombstoneSpec> {
    if !reserved.is_positive() {
        return None;
    }
    let second =
        |moment: Timestamp| Timestamp::from_second(moment.as_second()).map(|moment| moment.to_string());
    // What it had, which is not always what it declared last.
    let held = team
        .status
        .iter()
        .flat_map(|status| &status.namespaces)
        .map(|one| one.name.clone())
        .collect::<Vec<_>>();
    Some(TeamTombstoneSpec {
        team_uid: team.metadata.uid.clone().unwrap_or_default(),
        cost_center: team.cost_center().to_owned(),
        namespaces: if held.is_empty() { team.namespace_names() } else { held },
        removed: second(now).ok()?,
        reserved_until: second(now.checked_add(reserved).unwrap_or(Timestamp::MAX)).ok()?,
    })
}

/// Until when the names are kept; nothing where it is over, or cannot be read.
pub fn kept_until(stone: &TeamTombstoneSpec, now: Timestamp) -> Option<Timestamp> {
    let until: Timestamp = stone.reserved_until.parse().ok()?;
    (until > now).then_some(until)
}

/// What of `team`'s wishes is still another's who has gone: namespaces in `free`, which are not there yet, and
/// where none is, the team's own name.
pub fn obstacles<'a>(
    team: &Claimant,
    free: &[&String],
    stones: impl Iterator<Item = (&'a str, &'a TeamTombstoneSpec)>,
    now: Timestamp,
) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    for (name, stone) in stones.filter(|(_, stone)| stone.team_uid != team.uid) {
        if kept_until(stone, now).is_none() {
            continue;
        }
        let reserved = |what: String| Obstacle::Reserved {
            what,
            stone: name.to_owned(),
            until: stone.reserved_until.clone(),
        };
        if name == team.team && free.len() == team.namespaces.len() {
            obstacles.push(reserved(format!("the name {name}")));
        }
        let wanted = free.iter().filter(|one| stone.namespaces.contains(**one));
        obstacles.extend(wanted.map(|one| reserved(format!("namespace {one}"))));
    }
    obstacles
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-06-01T10:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn gone() -> Team {
        serde_json::from_value(json!({
            "apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": {"name": "ml", "uid": "u-1"},
            "spec": {"costCenter": "research"},
        }))
        .unwrap()
    }

    fn claimant(team: &str, uid: &str, namespace: &str) -> Claimant {
        Claimant {
            team: team.to_owned(),
            created: NOW.to_owned(),
            uid: uid.to_owned(),
            leaving: false,
            namespaces: vec![namespace.to_owned()],
        }
    }

    #[test]
    fn a_laptop_keeps_no_names() {
        assert!(of(&gone(), reservation(Environment::Local), now()).is_none());
        let stone = of(&gone(), reservation(Environment::Prod), now()).unwrap();
        assert_eq!((stone.removed.as_str(), stone.reserved_until.as_str()), (NOW, "2026-07-01T10:00:00Z"));
        assert_eq!(
            (stone.cost_center.as_str(), stone.namespaces.as_slice()),
            ("research", &["ml-team".to_owned()][..])
        );
    }

    #[test]
    fn what_the_team_had_is_kept_however_long() {
        let mut team = gone();
        team.status = Some(serde_json::from_value(json!({"namespaces": [{"name": "ml-lab"}]})).unwrap());
        let stone = of(&team, SignedDuration::MAX, now()).unwrap();
        assert_eq!(stone.namespaces, ["ml-lab"]);
        assert!(stone.reserved_until.starts_with("9999-"), "{}", stone.reserved_until);
    }

    #[test]
    fn nobody_else_gets_the_names_until_they_are_free() {
        let stone = of(&gone(), reservation(Environment::Dev), now()).unwrap();
        let namespace = "ml-team".to_owned();
        let found = |claimant: &Claimant, free: &[&String], now| {
            let stones = [("ml", &stone)].into_iter();
            obstacles(claimant, free, stones, now).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let again = found(&claimant("ml", "u-2", "ml-team"), &[&namespace], now());
        assert_eq!(again.len(), 2, "{again:?}");
        assert!(again[0].contains("the name ml") && again[0].contains("2026-06-02T10:00:00Z"), "{again:?}");
        assert!(again[1].contains("namespace ml-team") && again[1].contains("TeamTombstone ml"), "{again:?}");
        let other = found(&claimant("other", "u-3", "ml-team"), &[&namespace], now());
        assert_eq!(other.len(), 1, "another team that names the namespace: {other:?}");
        assert!(found(&claimant("other", "u-3", "ml-team"), &[], now()).is_empty(), "it has it already");
        assert!(
            found(&claimant("ml", "u-2", "ml-team"), &[], now()).is_empty(),
            "a team that has what it wants"
        );
        assert!(found(&claimant("ml", "u-1", "ml-team"), &[&namespace], now()).is_empty(), "the very team");
        let later = "2026-06-02T10:00:00Z".parse().unwrap();
        assert!(found(&claimant("ml", "u-2", "ml-team"), &[&namespace], later).is_empty(), "it is over");
    }
}
