//! A team's health: the worst of its objects, with counts, and which object decided.

use std::collections::BTreeMap;

use super::Health;

/// One object's part in its team's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Kind, namespace and name, as people write them.
    pub object: String,
    /// The object's health.
    pub health: Health,
    /// Why.
    pub reason: String,
}

/// What a team's objects add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamHealth {
    /// The worst health among the objects; `Unknown` where there are none.
    pub health: Health,
    /// How many objects have each health.
    pub counts: BTreeMap<Health, usize>,
    /// The first object, by name, with the worst health.
    pub decided_by: Option<Part>,
}

/// Adds up the parts; their order does not matter.
pub fn add_up<'a>(parts: impl IntoIterator<Item = &'a Part>) -> TeamHealth {
    let mut counts = BTreeMap::new();
    let mut decided_by: Option<&Part> = None;
    for part in parts {
        *counts.entry(part.health).or_insert(0) += 1;
        let decides = decided_by.is_none_or(|so_far| {
            (part.health, std::cmp::Reverse(&part.object))
                > (so_far.health, std::cmp::Reverse(&so_far.object))
        });
        if decides {
            decided_by = Some(part);
        }
    }
    let health = decided_by.map_or(Health::Unknown, |part| part.health);
    TeamHealth { health, counts, decided_by: decided_by.cloned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(object: &str, health: Health) -> Part {
        Part { object: object.into(), health, reason: String::new() }
    }

    #[test]
    fn the_worst_decides_and_a_team_without_objects_is_unknown() {
        let parts = [part("b", Health::Degraded), part("a", Health::Degraded), part("c", Health::Healthy)];
        let team = add_up(&parts);
        assert_eq!((team.health, team.decided_by.unwrap().object.as_str()), (Health::Degraded, "a"));
        assert_eq!(team.counts, BTreeMap::from([(Health::Healthy, 1), (Health::Degraded, 2)]));
        assert_eq!(add_up([]).health, Health::Unknown);
    }

    proptest! {
        #[test]
        fn order_does_not_matter(seed in proptest::collection::vec((0_usize..6, 0_usize..4), 0..12)) {
            let healths = [Health::Healthy, Health::Suspended, Health::Progressing, Health::Missing,
                Health::Unknown, Health::Degraded];
            let mut parts: Vec<_> =
                seed.iter().map(|(name, health)| part(&format!("o{name}"), healths[*health])).collect();
            let forward = add_up(&parts);
            parts.reverse();
            prop_assert_eq!(forward, add_up(&parts));
        }
    }
}
