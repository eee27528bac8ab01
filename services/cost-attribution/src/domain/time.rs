//! Instants and hours, as whole numbers; no clock.

use std::fmt;

/// Milliseconds since 1970-01-01T00:00Z.
pub type Millis = i64;

/// Milliseconds of an hour.
pub const HOUR: Millis = 3_600_000;

/// A span of time: start inclusive, end exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Span {
    /// Inclusive.
    pub start: Millis,
    /// Exclusive.
    pub end: Millis,
}

impl Span {
    /// The part that both have, where there is one.
    pub fn overlap(self, other: Self) -> Option<Self> {
        let both = Self { start: self.start.max(other.start), end: self.end.min(other.end) };
        (both.start < both.end).then_some(both)
    }

    /// Length in milliseconds; never negative.
    pub fn length(self) -> u128 {
        u128::try_from(self.end.saturating_sub(self.start)).unwrap_or(0)
    }
}

/// Whole hours since 1970-01-01T00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Hour(pub i64);

impl Hour {
    /// The hour that holds an instant.
    pub fn of(instant: Millis) -> Self {
        Self(instant.div_euclid(HOUR))
    }

    /// Its first instant.
    pub fn start(self) -> Millis {
        self.0.saturating_mul(HOUR)
    }

    /// The first instant after it.
    pub fn end(self) -> Millis {
        self.next().start()
    }

    /// The hour after.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The whole hour.
    pub fn span(self) -> Span {
        Span { start: self.start(), end: self.end() }
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_counted_from_the_epoch() {
        assert_eq!(Hour::of(0), Hour(0));
        assert_eq!(Hour::of(HOUR - 1), Hour(0));
        assert_eq!(Hour::of(-1), Hour(-1));
        assert_eq!(Hour(2).span(), Span { start: 2 * HOUR, end: 3 * HOUR });
    }

    #[test]
    fn overlaps_are_half_open() {
        let span = |start, end| Span { start, end };
        assert_eq!(span(0, 10).overlap(span(5, 20)), Some(span(5, 10)));
        assert_eq!(span(0, 10).overlap(span(10, 20)), None);
        assert_eq!(span(5, 3).length(), 0);
    }
}
