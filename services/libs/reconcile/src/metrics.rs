//! The crate's instruments; exported by whatever meter provider the host installed.

use std::hash::Hash;
use std::sync::Weak;
use std::time::Duration;

use opentelemetry::metrics::{Counter, Histogram, Meter};
use opentelemetry::{KeyValue, global};

use crate::queue::Queue;

/// Name of the instrumentation scope.
const SCOPE: &str = "mlp.reconcile";

/// Upper bounds of the duration histogram, seconds: from a skipped reconcile to a slow provider.
const DURATION_BOUNDS: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Instruments of one controller.
pub(crate) struct Instruments {
    controller: &'static str,
    duration: Histogram<f64>,
    waited: Histogram<f64>,
    errors: Counter<u64>,
    watch_errors: Counter<u64>,
}

impl Instruments {
    pub(crate) fn new(controller: &'static str) -> Self {
        let meter = global::meter(SCOPE);
        Self {
            controller,
            duration: seconds(&meter, "mlp.reconcile.duration", "Time that one reconcile took."),
            waited: seconds(
                &meter,
                "mlp.reconcile.queue.wait",
                "Time a key was in line before its reconcile.",
            ),
            errors: meter
                .u64_counter("mlp.reconcile.errors")
                .with_description("Reconciles that ended with an error, by reason and class.")
                .build(),
            watch_errors: meter
                .u64_counter("mlp.reconcile.watch.errors")
                .with_description("Lists and watches that failed and were started again.")
                .build(),
        }
    }

    pub(crate) fn reconciled(&self, waited: Duration, took: Duration, outcome: &'static str) {
        let controller = KeyValue::new("mlp.controller", self.controller);
        self.waited.record(waited.as_secs_f64(), std::slice::from_ref(&controller));
        self.duration.record(took.as_secs_f64(), &[controller, KeyValue::new("mlp.outcome", outcome)]);
    }

    pub(crate) fn failed(&self, reason: &'static str, class: &'static str) {
        let controller = KeyValue::new("mlp.controller", self.controller);
        let reason = KeyValue::new("error.type", reason);
        self.errors.add(1, &[controller, reason, KeyValue::new("mlp.class", class)]);
    }

    pub(crate) fn watch_failed(&self, kind: &str) {
        let controller = KeyValue::new("mlp.controller", self.controller);
        self.watch_errors.add(1, &[controller, KeyValue::new("k8s.kind", kind.to_owned())]);
    }
}

/// Exports depth and age of `queue` for as long as it lives.
pub(crate) fn observe_queue<Key, Answer>(controller: &'static str, queue: Weak<Queue<Key, Answer>>)
where
    Key: Clone + Eq + Hash + Send + Sync + 'static,
    Answer: Clone + Send + Sync + 'static,
{
    let meter = global::meter(SCOPE);
    let for_age = Weak::clone(&queue);
    let _depth = meter
        .u64_observable_gauge("mlp.reconcile.queue.depth")
        .with_description("Keys in the work queue, by phase.")
        .with_callback(move |observer| {
            let Some(queue) = queue.upgrade() else { return };
            let depth = queue.depth();
            for (phase, count) in
                [("ready", depth.ready), ("running", depth.running), ("delayed", depth.delayed)]
            {
                let attributes =
                    [KeyValue::new("mlp.controller", controller), KeyValue::new("mlp.phase", phase)];
                observer.observe(count as u64, &attributes);
            }
        })
        .build();
    let _age = meter
        .f64_observable_gauge("mlp.reconcile.queue.oldest_age")
        .with_unit("s")
        .with_description("Age of the key that has been in line longest.")
        .with_callback(move |observer| {
            let Some(queue) = for_age.upgrade() else { return };
            let oldest = queue.depth().oldest.as_secs_f64();
            observer.observe(oldest, &[KeyValue::new("mlp.controller", controller)]);
        })
        .build();
}

/// Counts writes to the API server, by verb, kind of resource and field manager.
pub(crate) fn writes() -> Counter<u64> {
    global::meter(SCOPE)
        .u64_counter("mlp.kubernetes.writes")
        .with_description("Requests that could change the cluster; dry runs and reviews not counted.")
        .build()
}

fn seconds(meter: &Meter, name: &'static str, description: &'static str) -> Histogram<f64> {
    meter
        .f64_histogram(name)
        .with_unit("s")
        .with_description(description)
        .with_boundaries(DURATION_BOUNDS.to_vec())
        .build()
}
