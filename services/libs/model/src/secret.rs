//! Values that must not reach logs, events, spans or status.

use std::fmt;

/// Holds a value whose `Debug` and `Display` print a fixed word; it has no `Serialize`.
///
/// ```
/// # use mlp_model::Secret;
/// assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps the value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Call it where the value leaves for its one destination.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}
