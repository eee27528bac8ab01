//! Points between an effect and its acknowledgement, enumerated, where tests kill the process.
//!
//! In production the handle does nothing. `MLP_FAULT=<point>[:n]` aborts the process the n-th time
//! (default: the first) the point is reached; a test may instead watch or fail at points itself.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The environment variable that arms a fault.
pub const VARIABLE: &str = "MLP_FAULT";

macro_rules! points {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A point at which a process may die; recovery from each is tested.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum FaultPoint { $($(#[$doc])* $name,)* }

        impl FaultPoint {
            /// All points, in the order a fact passes them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name used in `MLP_FAULT`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

points! {
    /// The relay has read the outbox and published nothing yet.
    OutboxRead = "outbox-read",
    /// A fact was sent; its acknowledgement has not been awaited.
    PublishSent = "publish-sent",
    /// A fact is stored by the broker and not yet trimmed from the outbox.
    PublishAcked = "publish-acked",
    /// The outbox is trimmed.
    OutboxTrimmed = "outbox-trimmed",
    /// A message was received; the handler has not run.
    Received = "received",
    /// The handler's effect is made; the message is not acknowledged.
    Handled = "handled",
    /// The acknowledgement is confirmed by the server.
    Acked = "acked",
    /// A refusal with delay was sent.
    Refused = "refused",
    /// The dead letter is stored; the message is not terminated.
    DeadLetterStored = "dead-letter-stored",
    /// The message is terminated.
    Terminated = "terminated",
    /// A redriven message is stored; its dead letter is not removed.
    RedriveStored = "redrive-stored",
}

/// `MLP_FAULT` names no point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE}=`{0}` names no fault point; write <point>[:n], for example handled:2")]
pub struct UnknownFault(String);

type Hook = dyn Fn(FaultPoint) + Send + Sync;

/// Consulted at every [`FaultPoint`]; does nothing by default.
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<Hook>>);

impl fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Faults(armed)" } else { "Faults(none)" })
    }
}

impl Faults {
    /// Calls `hook` at every point.
    pub fn new(hook: impl Fn(FaultPoint) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// Aborts the process as `text` (`<point>[:n]`) says; an empty text does nothing.
    ///
    /// # Errors
    /// [`UnknownFault`] when the text names no point or n is not a number from 1.
    pub fn parse(text: &str) -> Result<Self, UnknownFault> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let unknown = || UnknownFault(text.to_owned());
        let (name, count) = text.split_once(':').unwrap_or((text, "1"));
        let found = FaultPoint::ALL.iter().copied().find(|point| point.as_str() == name);
        let point = found.ok_or_else(unknown)?;
        let nth: u64 = count.parse().ok().filter(|&n| n > 0).ok_or_else(unknown)?;
        let seen = AtomicU64::new(0);
        Ok(Self::new(move |at| {
            if at == point && seen.fetch_add(1, Ordering::Relaxed) + 1 == nth {
                tracing::error!(point = point.as_str(), "fault armed by environment, aborting");
                std::process::abort();
            }
        }))
    }

    /// Reads `MLP_FAULT`.
    ///
    /// # Errors
    /// As [`Faults::parse`].
    pub fn from_env() -> Result<Self, UnknownFault> {
        Self::parse(&std::env::var(VARIABLE).unwrap_or_default())
    }

    /// Whether a hook is set.
    pub fn is_armed(&self) -> bool {
        self.0.is_some()
    }

    /// Reports that a point is reached.
    pub fn hit(&self, point: FaultPoint) {
        if let Some(hook) = &self.0 {
            hook(point);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_named_once_and_reads_back() {
        for point in FaultPoint::ALL {
            assert!(Faults::parse(point.as_str()).unwrap().is_armed());
            assert!(Faults::parse(&format!("{}:3", point.as_str())).is_ok());
        }
        let mut names: Vec<_> = FaultPoint::ALL.iter().map(|point| point.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FaultPoint::ALL.len());
        assert!(!Faults::parse("").unwrap().is_armed());
        for bad in ["nowhere", "handled:0", "handled:x", ":1"] {
            assert!(Faults::parse(bad).is_err(), "{bad}");
        }
    }
}
