//! The outbox: a fact is recorded in the same write as its transition, then published, then trimmed.
//!
//! A crash between any two of these leaves the fact to the next scan, which publishes it again
//! under the same id. The outbox lives in the resource's status (or in a store's transaction); this
//! type is its content, and [`OutboxStore`] is how a relay reads and trims it.

use std::future::Future;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::class::Classified;
use crate::fact::{Fact, FactDraft, FactId};

/// How many facts may wait. A full outbox stops further transitions of the object until the
/// broker is back: back-pressure instead of growth.
pub const OUTBOX_LIMIT: usize = 32;

/// Facts recorded and not yet known to be published, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outbox {
    /// Number of the last transition recorded; never decreases.
    #[serde(default)]
    pub sequence: u64,
    /// Waiting facts; at most [`OUTBOX_LIMIT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<Fact>,
}

/// The outbox holds [`OUTBOX_LIMIT`] facts that the broker has not taken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{OUTBOX_LIMIT} facts wait for the event broker; the object changes again once it has taken them")]
pub struct OutboxFull;

impl Outbox {
    /// Records a fact. `time` is the transition's RFC 3339 time, `cause` the active span.
    ///
    /// # Errors
    /// [`OutboxFull`] when [`OUTBOX_LIMIT`] facts wait; nothing is recorded then.
    pub fn record(
        &mut self,
        draft: FactDraft,
        time: String,
        cause: Option<String>,
    ) -> Result<(), OutboxFull> {
        if self.pending.len() >= OUTBOX_LIMIT {
            return Err(OutboxFull);
        }
        self.sequence += 1;
        self.pending.push(Fact {
            id: FactId::derive(draft.kind, &draft.uid, self.sequence, draft.message_type),
            context: draft.context,
            name: draft.name.to_owned(),
            message_type: draft.message_type.to_owned(),
            team: draft.team,
            aggregate: draft.uid,
            version: self.sequence,
            subject: draft.subject,
            time,
            data: draft.data,
            flow: draft.flow,
            cause,
        });
        Ok(())
    }

    /// Removes facts that are published; unknown ids are ignored, so trimming twice is harmless.
    pub fn trim(&mut self, published: &[FactId]) {
        self.pending.retain(|fact| !published.contains(&fact.id));
    }
}

/// Where an outbox is kept. Implemented over a resource's status (`mlp-reconcile`) and over a
/// database (`cost-attribution`); read by the relay in `mlp-bus`.
pub trait OutboxStore: Send + Sync {
    /// Why reading or trimming failed.
    type Error: Classified + Send + Sync + 'static;

    /// The waiting facts in the order they were recorded, at most `limit`.
    fn pending(&self, limit: usize) -> impl Future<Output = Result<Vec<Fact>, Self::Error>> + Send;

    /// Forgets facts that the broker has stored. Idempotent.
    fn trim(&self, published: &[FactId]) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Context;

    fn draft() -> FactDraft {
        FactDraft {
            context: Context::Team,
            name: "team-isolated",
            message_type: "mlp.team.events.v1.TeamIsolated",
            kind: "Team",
            uid: "u-1".into(),
            team: "ml".into(),
            subject: "teams/ml".into(),
            data: vec![1, 2, 255],
            flow: String::new(),
        }
    }

    #[test]
    fn the_same_transition_gives_the_same_id_on_every_attempt() {
        let (mut first, mut again) = (Outbox::default(), Outbox::default());
        assert!(first.record(draft(), "t1".into(), None).is_ok());
        assert!(again.record(draft(), "t2".into(), None).is_ok());
        assert_eq!(first.pending[0].id, again.pending[0].id);
        assert!(first.record(draft(), "t3".into(), None).is_ok());
        assert_ne!(first.pending[0].id, first.pending[1].id);
        assert_eq!(first.pending[1].version, 2);
    }

    #[test]
    fn a_full_outbox_refuses_and_trimming_makes_room() {
        let mut outbox = Outbox::default();
        for _ in 0..OUTBOX_LIMIT {
            assert!(outbox.record(draft(), String::new(), None).is_ok());
        }
        let before = outbox.clone();
        assert_eq!(outbox.record(draft(), String::new(), None), Err(OutboxFull));
        assert_eq!(outbox, before);
        let first = outbox.pending[0].id.clone();
        outbox.trim(&[first.clone(), first]);
        assert_eq!(outbox.pending.len(), OUTBOX_LIMIT - 1);
        assert!(outbox.record(draft(), String::new(), None).is_ok());
        assert_eq!(outbox.sequence, OUTBOX_LIMIT as u64 + 1);
    }

    #[test]
    fn json_keeps_bytes_and_subject() {
        let mut outbox = Outbox::default();
        assert!(outbox.record(draft(), "t".into(), None).is_ok());
        let read: Outbox = serde_json::from_str(&serde_json::to_string(&outbox).unwrap()).unwrap();
        assert_eq!(read, outbox);
        assert_eq!(read.pending[0].nats_subject(), "mlp.team.team-isolated.v1.ml.u-1");
    }
}
