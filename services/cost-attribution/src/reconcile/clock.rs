//! The clock, handed in: tests own the time.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::time::Millis;

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Millis + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(|| Timestamp::now().as_millisecond())
    }

    /// A clock that answers as `now` does.
    pub fn new(now: impl Fn() -> Millis + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Now.
    pub fn now(&self) -> Millis {
        (self.0)()
    }
}

/// An instant as RFC 3339; what lies outside the calendar is the epoch.
pub fn rfc3339(instant: Millis) -> String {
    Timestamp::from_millisecond(instant).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}
