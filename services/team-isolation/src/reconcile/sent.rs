//! Facts that are out while a status still carries them.
//!
//! To take a fact out of a status costs the API server four times what another write costs it, and in a burst of
//! teams the others wait for it. There it is put off: it goes with the next write of the status, or when the
//! burst is over. A restart in between publishes the fact once more under the same id.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use mlp_model::{Fact, FactId, OutboxStore};
use mlp_reconcile::Error;

/// Ids of facts that the broker has, by team; as many as the statuses of these teams carry.
#[derive(Default)]
pub(super) struct Sent(Mutex<HashMap<String, HashSet<FactId>>>);

impl Sent {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, HashSet<FactId>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The facts as an outbox that is not trimmed: what is published is noted here.
    pub(super) fn outbox<'a>(&'a self, team: &'a str, facts: &'a [Fact]) -> Untrimmed<'a> {
        Untrimmed { sent: self, team, facts }
    }

    /// Whether facts of the team are to be taken out of its status.
    pub(super) fn has(&self, team: &str) -> bool {
        self.with(|teams| teams.contains_key(team))
    }

    /// Takes what is out from among the facts of a status.
    pub(super) fn take_from(&self, team: &str, facts: &mut Vec<Fact>) {
        self.with(|teams| {
            if let Some(sent) = teams.get(team) {
                facts.retain(|fact| !sent.contains(&fact.id));
            }
        });
    }

    /// The status carries none of them any more, or the team has gone.
    pub(super) fn forget(&self, team: &str) {
        self.with(|teams| teams.remove(team));
    }
}

/// See [`Sent::outbox`].
pub(super) struct Untrimmed<'a> {
    sent: &'a Sent,
    team: &'a str,
    facts: &'a [Fact],
}

impl OutboxStore for Untrimmed<'_> {
    type Error = Error;

    async fn pending(&self, limit: usize) -> Result<Vec<Fact>, Error> {
        let mut waiting = self.facts.to_vec();
        self.sent.take_from(self.team, &mut waiting);
        waiting.truncate(limit);
        Ok(waiting)
    }

    async fn trim(&self, published: &[FactId]) -> Result<(), Error> {
        let ids = published.iter().cloned();
        self.sent.with(|teams| teams.entry(self.team.to_owned()).or_default().extend(ids));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mlp_crds::Team;
    use serde_json::json;

    use super::*;

    fn facts(count: i64) -> Vec<Fact> {
        let team = json!({"metadata": {"name": "ml", "uid": "u"}, "spec": {}});
        let team: Team = serde_json::from_value(team).unwrap();
        let mut outbox = mlp_model::Outbox::default();
        for _ in 0..count {
            let draft = crate::events::publish::draft(
                crate::domain::outcome::Happened::Isolated,
                &team,
                &crate::domain::outcome::InForce::default(),
                &crate::events::publish::Told::default(),
                mlp_model::Environment::Local,
            );
            outbox.record(draft, "2026-01-01T00:00:00Z".to_owned(), None).unwrap();
        }
        outbox.pending
    }

    #[tokio::test]
    async fn what_is_out_is_not_published_again_and_leaves_with_the_next_write() {
        let (sent, mut carried) = (Sent::default(), facts(2));
        let first = sent.outbox("ml", &carried).pending(1).await.unwrap();
        assert_eq!(first.len(), 1);
        sent.outbox("ml", &carried).trim(&[first[0].id.clone()]).await.unwrap();
        let rest = sent.outbox("ml", &carried).pending(9).await.unwrap();
        assert_eq!(rest, carried[1..]);
        assert!(sent.has("ml") && !sent.has("app"));
        sent.take_from("app", &mut carried);
        assert_eq!(carried.len(), 2, "another team's are another's");
        sent.take_from("ml", &mut carried);
        assert_eq!(carried, rest);
        sent.forget("ml");
        assert!(!sent.has("ml"));
    }
}
