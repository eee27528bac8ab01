//! From an outbox to the broker, in order, trimming what the broker has stored.
//!
//! A crash between any two steps leaves the fact in the outbox; the next flush publishes it under
//! the same id, and trimming twice is harmless.

use std::collections::HashSet;

use mlp_model::{OutboxStore, outbox::OUTBOX_LIMIT};

use crate::error::RelayError;
use crate::fault::FaultPoint;
use crate::publish::Publisher;

/// Publishes what an outbox holds.
#[derive(Clone, Debug)]
pub struct Relay {
    publisher: Publisher,
}

impl Relay {
    /// A relay over the publisher.
    pub fn new(publisher: Publisher) -> Self {
        Self { publisher }
    }

    /// Publishes all waiting facts in the order they were recorded; returns how many. One trim per
    /// batch; what was published before an error is trimmed too.
    ///
    /// A fact that cannot be put on the wire at all is logged, counted as dead and trimmed.
    ///
    /// # Errors
    /// [`RelayError`] when the store or the broker fails; the rest waits for the next flush.
    pub async fn flush<S: OutboxStore>(&self, store: &S) -> Result<usize, RelayError<S::Error>> {
        let mut flushed = 0;
        let mut last = HashSet::new();
        loop {
            let mut waiting = store.pending(OUTBOX_LIMIT).await.map_err(RelayError::Store)?;
            // A store that reads behind its writes may show what was just trimmed.
            waiting.retain(|fact| !last.contains(&fact.id));
            if waiting.is_empty() {
                return Ok(flushed);
            }
            let faults = self.publisher.bus().faults();
            faults.hit(FaultPoint::OutboxRead);
            let mut published = Vec::with_capacity(waiting.len());
            let mut failure = None;
            for fact in &waiting {
                match self.publisher.publish(fact).await {
                    Ok(_) => published.push(fact.id.clone()),
                    Err(error) if error.is_the_facts_own() => {
                        // No broker will ever take it, and it would hold back all later facts of its object.
                        self.publisher.gave_up(fact, &error);
                        published.push(fact.id.clone());
                    }
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
            if !published.is_empty() {
                store.trim(&published).await.map_err(RelayError::Store)?;
                faults.hit(FaultPoint::OutboxTrimmed);
            }
            flushed += published.len();
            last = published.into_iter().collect();
            if let Some(error) = failure {
                return Err(error.into());
            }
        }
    }
}
