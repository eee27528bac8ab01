//! Instruments of the bus. Labels are streams, durables, facts and classes, never aggregates.

use opentelemetry::metrics::{Counter, Gauge, Histogram, UpDownCounter};
use opentelemetry::{KeyValue, global};

/// Bucket bounds in seconds, as the semantic conventions ask for messaging durations.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

#[derive(Debug)]
pub(crate) struct Metrics {
    /// Facts stored by the broker, duplicates included.
    pub(crate) published: Counter<u64>,
    /// Of these, the ones the broker had already.
    pub(crate) duplicates: Counter<u64>,
    /// Time from send to acknowledgement, retries included.
    pub(crate) publish_duration: Histogram<f64>,
    /// Messages handed to a handler.
    pub(crate) consumed: Counter<u64>,
    /// Time a handler took.
    pub(crate) process_duration: Histogram<f64>,
    /// Messages acknowledged.
    pub(crate) acked: Counter<u64>,
    /// Deliveries after the first.
    pub(crate) redelivered: Counter<u64>,
    /// Messages refused with a delay.
    pub(crate) refused: Counter<u64>,
    /// Messages given up.
    pub(crate) dead: Counter<u64>,
    /// Messages skipped because a newer one was handled.
    pub(crate) stale: Counter<u64>,
    /// Messages that a consumer has not finished: waiting in the stream, or delivered and not settled.
    pub(crate) lag: Gauge<u64>,
    /// Messages held in lanes.
    pub(crate) lane_depth: UpDownCounter<i64>,
    /// Pulls made anew because nothing came.
    pub(crate) recreated: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let meter = global::meter("mlp-bus");
        let counter =
            |name, what| meter.u64_counter(name).with_description(what).with_unit("{message}").build();
        let seconds = |name, what| {
            let histogram = meter.f64_histogram(name).with_description(what).with_unit("s");
            histogram.with_boundaries(SECONDS.to_vec()).build()
        };
        Self {
            published: counter("messaging.client.sent.messages", "Facts stored by the broker"),
            duplicates: counter("mlp.bus.duplicates", "Facts the broker had already"),
            publish_duration: seconds("messaging.client.operation.duration", "Send to acknowledgement"),
            consumed: counter("messaging.client.consumed.messages", "Messages handed to a handler"),
            process_duration: seconds("messaging.process.duration", "Time a handler took"),
            acked: counter("mlp.bus.acked", "Messages acknowledged"),
            redelivered: counter("mlp.bus.redelivered", "Deliveries after the first"),
            refused: counter("mlp.bus.refused", "Messages refused with a delay"),
            dead: counter("mlp.bus.dead", "Messages given up"),
            stale: counter("mlp.bus.stale", "Messages skipped because a newer one was handled"),
            lag: meter
                .u64_gauge("mlp.bus.lag")
                .with_description("Messages a consumer has not finished")
                .with_unit("{message}")
                .build(),
            lane_depth: meter
                .i64_up_down_counter("mlp.bus.lane.depth")
                .with_description("Messages held in lanes")
                .with_unit("{message}")
                .build(),
            recreated: meter
                .u64_counter("mlp.bus.pull.recreated")
                .with_description("Pulls made anew because nothing came")
                .build(),
        }
    }
}

/// Labels of a consumer's instruments.
pub(crate) fn consumer(stream: &str, durable: &str) -> [KeyValue; 3] {
    [
        KeyValue::new("messaging.system", "nats"),
        KeyValue::new("messaging.destination.name", stream.to_owned()),
        KeyValue::new("messaging.consumer.group.name", durable.to_owned()),
    ]
}

/// Labels of a publisher's instruments.
pub(crate) fn publisher(stream: &str, template: &str) -> [KeyValue; 3] {
    [
        KeyValue::new("messaging.system", "nats"),
        KeyValue::new("messaging.destination.name", stream.to_owned()),
        KeyValue::new("messaging.destination.template", template.to_owned()),
    ]
}
