//! A verdict on one object: how it is, why, and since when.

use jiff::Timestamp;
pub use mlp_crds::health_record::Health;

/// The reason of verdicts on what simulated nodes carry.
pub const SIMULATED: &str = "Simulated";

/// A verdict with its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How the object is.
    pub health: Health,
    /// A stable CamelCase word: part of an incident's identity, never free text.
    pub reason: String,
    /// A sentence for people; may change while the reason stays.
    pub message: String,
    /// When the evidence says this began, where it says so.
    pub since: Option<Timestamp>,
}

impl Verdict {
    /// A verdict without a known beginning.
    pub fn new(health: Health, reason: &str, message: impl Into<String>) -> Self {
        Self { health, reason: reason.to_owned(), message: message.into(), since: None }
    }

    /// The same, with the time its evidence names.
    #[must_use]
    pub fn since(mut self, since: Option<Timestamp>) -> Self {
        self.since = since;
        self
    }

    /// The verdict on what a simulated node carries: nothing runs, so nothing may be called healthy.
    pub fn simulated(message: impl Into<String>) -> Self {
        Self::new(Health::Unknown, SIMULATED, message)
    }

    /// Whether the object is on a simulated node.
    pub fn is_simulated(&self) -> bool {
        self.reason == SIMULATED
    }

    /// The verdict on an object whose controller has not yet looked at its newest generation.
    pub fn stale(observed: Option<i64>, generation: Option<i64>) -> Option<Self> {
        let generation = generation?;
        match observed {
            Some(observed) if observed >= generation => None,
            Some(observed) => Some(Self::new(
                Health::Progressing,
                "StaleStatus",
                format!("the status is of generation {observed}, the object of {generation}"),
            )),
            None => Some(Self::new(Health::Unknown, "NoStatus", "no controller has written a status yet")),
        }
    }
}
