//! A plan: the calls that are left, and what the provider says meanwhile. Printable, without secrets.

use std::fmt;

use super::binding::Address;

/// What a provider says about a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being made.
    Creating(String),
    /// It accepts connections and is as asked for.
    Ready(Running),
    /// It accepts connections and is being changed.
    Updating(Running, String),
    /// A simulated node runs it: nothing accepts connections.
    Simulated(Running),
    /// It cannot become as asked for without a change of the request or of its surroundings.
    Failed {
        /// CamelCase reason.
        reason: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
    /// It is going away.
    Deleting(String),
    /// Nothing is left of it but what was to be kept.
    Gone {
        /// The snapshot or volume that was kept.
        kept: Option<String>,
    },
}

/// A service that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Where it listens.
    pub address: Address,
    /// Version that runs.
    pub version: String,
}

/// Calls to make, in order, and the state before them.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<Step> {
    /// Calls.
    pub steps: Vec<Step>,
    /// State as observed.
    pub state: State,
}

impl<Step> Plan<Step> {
    /// Nothing to call.
    pub const fn rest(state: State) -> Self {
        Self { steps: Vec::new(), state }
    }
}

impl<Step: fmt::Display> fmt::Display for Plan<Step> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(formatter, "{step}")?;
        }
        Ok(())
    }
}
