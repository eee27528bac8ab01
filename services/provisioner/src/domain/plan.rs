//! What is to be done about a request, and what can be said of it now.

use std::fmt;

use mlp_crds::cache::Endpoint;

/// The steps that bring a store nearer to its request, and what can be said before they are done.
///
/// A plan leaves no choices: its steps are applied in order, one call each. A request with
/// nothing to do has no steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<S> {
    /// In order. Each provider has its own kind of step.
    pub steps: Vec<S>,
    /// What can be said now.
    pub standing: Standing,
}

/// What can be said of a store, in words that any provider can use.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Where it is in its life.
    pub state: State,
    /// The provider's own name for it, if it has one.
    pub external_id: Option<String>,
    /// Where it listens, once it does.
    pub endpoint: Option<Endpoint>,
    /// The version that runs, as the engine says.
    pub running_version: Option<String>,
}

/// Where a store is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It does not exist. With the intent to be absent: gone, the finalizer may go too.
    Absent,
    /// Being made; what is waited for.
    Creating(String),
    /// Accepts connections, as asked for.
    Ready,
    /// Accepts connections, and is not yet as asked for; what is changing or waited for.
    Updating(String),
    /// Being deleted; what is waited for.
    Deleting(String),
    /// Cannot go on without a change.
    Failed {
        /// A stable CamelCase word for the condition.
        reason: &'static str,
        /// What is wrong, and what to change.
        message: String,
    },
}

impl<S> Plan<S> {
    /// A plan without steps.
    pub const fn nothing(standing: Standing) -> Self {
        Self { steps: Vec::new(), standing }
    }
}

impl<S: fmt::Display> fmt::Display for Plan<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return formatter.write_str("nothing to do");
        }
        for (index, step) in self.steps.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{}. {step}", index + 1)?;
        }
        Ok(())
    }
}
