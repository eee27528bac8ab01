//! Whether a reconcile changed anything. One that did not leaves no span: an object is looked at
//! for as long as it lives, and its trace must not grow for as long (design section 10).
//!
//! A mark travels in the OpenTelemetry context of the reconcile's span, to wherever its code runs.
//! Writes through the wrapped client set it ([`crate::WriteCounter`]), and so do errors and wakes of
//! other objects. What else leaves the process, such as a call to a cloud or a row in a database,
//! says so with [`note`]. Spans that hang under the reconcile's are the exporter's to see. A reconcile
//! that a message caused is kept in any case: its link joins the flows, whoever was first to act.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::Context;

use crate::writes::WriteCounter;

/// Notes that the reconcile which runs here changed something. Returns false outside of a reconcile, and
/// in a task that it spawned without its span.
pub fn note() -> bool {
    Context::map_current(|context| context.get::<Mark>().map(Mark::set)).is_some()
}

/// Set once something was changed.
#[derive(Clone, Debug, Default)]
struct Mark(Arc<AtomicBool>);

impl Mark {
    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The effects of one reconcile.
pub(crate) struct Effects {
    mark: Mark,
    /// The counter, and what it had not attributed when the reconcile began.
    writes: Option<(WriteCounter, u64)>,
}

impl Effects {
    /// Watches from now on. Without a counter nothing is ever certain.
    pub(crate) fn watch(writes: Option<&WriteCounter>) -> Self {
        let writes = writes.map(|counter| (counter.clone(), counter.unattributed()));
        Self { mark: Mark::default(), writes }
    }

    /// `context` with the mark in it.
    pub(crate) fn within(&self, context: &Context) -> Context {
        context.with_value(self.mark.clone())
    }

    /// Whether it is certain that there were none: no write of this reconcile, and none that could be
    /// its own.
    pub(crate) fn none(&self) -> bool {
        let counted = |(counter, before): &(WriteCounter, u64)| counter.unattributed() == *before;
        self.writes.as_ref().is_some_and(counted) && !self.mark.0.load(Ordering::Acquire)
    }
}
