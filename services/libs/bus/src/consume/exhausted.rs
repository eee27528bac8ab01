//! The last net: messages that the server gave up on, because nobody ever answered.
//!
//! The workers bury what fails. What never reaches them (a process that dies on each delivery,
//! headers that the client cannot read) ends at the server's own limit, with an advisory that the
//! AUDIT stream keeps. This loop reads the advisories of its consumer and buries those messages.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::AckKind;
use serde::Deserialize;
use tracing::{debug, warn};

use super::pull::{Pull, Pulled};
use super::worker::Shared;
use crate::backoff::Backoff;
use crate::deadletter::{self, Burial};
use crate::ensure;
use crate::topology::ConsumerSpec;

/// The stream that keeps advisories.
const AUDIT: &str = "AUDIT";
/// Delays between attempts where the stream is absent or nobody answers.
const RETRY: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60) };
/// Advisories asked for at once.
const BATCH: usize = 16;

#[derive(Debug, Deserialize)]
struct Advisory {
    stream_seq: u64,
    deliveries: u64,
}

/// Buries what the server gave up on; runs until aborted.
pub(super) async fn sweep(shared: Arc<Shared>) {
    let (stream, durable) = (&shared.spec.stream, &shared.spec.durable);
    let subject = format!("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{stream}.{durable}");
    let mut spec = ConsumerSpec::new(&format!("{durable}-exhausted"), AUDIT, &[&subject]);
    spec.max_deliver = 1000;
    let mut failures = 0;
    loop {
        if let Err(error) = read(&shared, &spec).await {
            failures += 1;
            debug!(%error, durable, "advisories not read");
        }
        tokio::time::sleep(RETRY.delay(failures)).await;
    }
}

async fn read(shared: &Shared, spec: &ConsumerSpec) -> Result<(), crate::error::Source> {
    ensure::advisory_consumer(&shared.bus, spec).await?;
    let mut pull = Pull::new(&shared.bus, spec).await?;
    loop {
        if !pull.is_open() {
            pull.request(BATCH).await?;
        }
        match pull.next().await {
            Pulled::Message(message) => {
                let answer = match bury(shared, &message.payload).await {
                    Ok(()) => AckKind::Ack,
                    Err(error) => {
                        warn!(%error, "given-up message not buried yet");
                        AckKind::Nak(Some(RETRY.longest))
                    }
                };
                shared.tell(message.reply.clone(), answer).await;
            }
            Pulled::Ended => (),
            Pulled::ConsumerGone | Pulled::Closed => return Ok(()),
            Pulled::NoResponders => return Err("nobody answers".into()),
        }
    }
}

async fn bury(shared: &Shared, advisory: &[u8]) -> Result<(), crate::error::Source> {
    let advisory: Advisory = serde_json::from_slice(advisory)?;
    let burial = Burial {
        consumer: &shared.spec.durable,
        stream: &shared.spec.stream,
        sequence: advisory.stream_seq,
        deliveries: advisory.deliveries,
        reason: "NeverAnswered",
        detail: "the broker delivered the message to its limit and no answer came",
        traceparent: None,
        flow: None,
    };
    deadletter::bury(&shared.bus, &burial, None).await?;
    let cause = opentelemetry::KeyValue::new("error.type", "NeverAnswered");
    let [system, stream, durable] = shared.labels.clone();
    shared.bus.metrics().dead.add(1, &[system, stream, durable, cause]);
    Ok(())
}
