//! Answers to the server: each message gets exactly one, confirmed where it matters.

use std::time::{Duration, Instant};

use async_nats::Subject;
use async_nats::jetstream::AckKind;
use tracing::{Span, debug, warn};

use super::worker::{Job, Key, Shared, Verdict};
use crate::backoff;
use crate::deadletter::{self, Burial};
use crate::fault::FaultPoint;
use crate::trace;

/// A message that is put back at shutdown comes again after this.
const AFTER_SHUTDOWN: Duration = Duration::from_secs(1);

impl Shared {
    /// Carries a verdict out and lets the message go.
    pub(super) async fn settle(&self, key: &Key, job: Job, verdict: Verdict) {
        match verdict {
            Verdict::Ack => self.acknowledge(&job).await,
            Verdict::PutBack { delay, excused } => self.put_back(key, &job, delay, excused).await,
            Verdict::Bury { reason, detail } => self.bury(key, &job, &reason, &detail).await,
        }
        self.inflight.remove(job.sequence);
        drop(job.permit);
    }

    async fn acknowledge(&self, job: &Job) {
        self.bus.faults().hit(FaultPoint::Handled);
        if self.confirm(job, AckKind::Ack).await {
            self.bus.metrics().acked.add(1, &self.labels);
            self.order().settled(job.sequence);
            self.bus.faults().hit(FaultPoint::Acked);
        }
    }

    pub(super) async fn put_back(&self, key: &Key, job: &Job, delay: Duration, excused: bool) {
        {
            let mut order = self.order();
            if excused {
                order.excuse(job.sequence);
            }
            order.put_back(key.clone(), job.sequence, Instant::now(), delay, self.spec.ack_wait);
        }
        self.bus.metrics().refused.add(1, &self.labels);
        self.tell(job.message.reply.clone(), AckKind::Nak(Some(delay))).await;
        self.bus.faults().hit(FaultPoint::Refused);
    }

    async fn bury(&self, key: &Key, job: &Job, reason: &str, detail: &str) {
        let burial = Burial {
            consumer: &self.spec.durable,
            stream: &self.spec.stream,
            sequence: job.sequence,
            deliveries: job.delivered,
            reason,
            detail,
            traceparent: trace::traceparent(&Span::current()),
            flow: job.event.as_ref().ok().and_then(|event| event.flow.clone()),
        };
        if let Err(error) = deadletter::bury(&self.bus, &burial, Some(&job.message)).await {
            warn!(%error, reason, detail, "dead letter not stored, the message is put back");
            let delay = backoff::redelivery(&self.spec.back_off, job.delivered);
            self.put_back(key, job, delay, true).await;
            return;
        }
        warn!(reason, detail, durable = self.spec.durable, sequence = job.sequence, "message given up");
        self.bus.faults().hit(FaultPoint::DeadLetterStored);
        let cause = opentelemetry::KeyValue::new("error.type", reason.to_owned());
        let [system, stream, durable] = self.labels.clone();
        self.bus.metrics().dead.add(1, &[system, stream, durable, cause]);
        if self.confirm(job, AckKind::Term).await {
            self.order().settled(job.sequence);
            self.bus.faults().hit(FaultPoint::Terminated);
        }
    }

    /// Answers and waits for the server's word. Without it the message comes again, and the fence
    /// or the dead letter's id makes that harmless.
    async fn confirm(&self, job: &Job, kind: AckKind) -> bool {
        let Some(reply) = job.message.reply.clone() else { return false };
        let confirmed = self.bus.client().request(reply, kind.into()).await;
        if let Err(error) = &confirmed {
            debug!(%error, sequence = job.sequence, "answer not confirmed, the message may come again");
        }
        confirmed.is_ok()
    }

    pub(super) async fn tell(&self, reply: Option<Subject>, kind: AckKind) {
        let Some(reply) = reply else { return };
        if let Err(error) = self.bus.client().publish(reply, kind.into()).await {
            debug!(%error, "answer not sent, the message comes again");
        }
    }

    /// After the workers are gone: whatever is still held is delivered again, soon.
    pub(super) async fn put_back_rest(&self) {
        for job in self.lanes().clear() {
            self.bus.metrics().lane_depth.add(-1, &self.labels);
            drop(job);
        }
        for reply in self.inflight.take() {
            self.tell(Some(reply), AckKind::Nak(Some(AFTER_SHUTDOWN))).await;
        }
        let flushed = self.bus.client().flush();
        if tokio::time::timeout(crate::connection::REQUEST_TIMEOUT, flushed).await.is_err() {
            warn!(durable = self.spec.durable, "answers not flushed in time");
        }
    }
}
