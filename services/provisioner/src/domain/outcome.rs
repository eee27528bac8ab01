//! What is said about a request: phase, conditions, facts.

use mlp_crds::cache::Phase;

use super::plan::{Running, State};

/// How far a look at a request got. Each look ends in exactly one of these.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The team that owns the namespace is not isolated yet; nothing was made.
    WaitingForTeam(String),
    /// What the provider says.
    Provider(State),
    /// The provider cannot do it now and is asked again; nothing is wrong with the request.
    Delayed {
        /// CamelCase reason.
        reason: &'static str,
        /// What is waited for.
        message: String,
    },
    /// The provider refused; nothing changes until the request or its surroundings do.
    Refused {
        /// CamelCase reason.
        reason: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
    /// Deletion is asked for and refused.
    Protected,
}

/// What a fact says happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It accepts connections, its Secret is written.
    Ready(Running),
    /// It cannot become as asked for without a change.
    Failed {
        /// CamelCase reason.
        reason: String,
        /// In words.
        message: String,
    },
    /// It is gone.
    Deleted {
        /// What was kept.
        kept: Option<String>,
    },
}

/// What was already said, from the status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Generation for which `Ready` was recorded.
    pub ready: Option<i64>,
    /// Generation and reason of the failure recorded last.
    pub failed: Option<(i64, String)>,
    /// Whether `Deleted` was recorded.
    pub deleted: bool,
}

impl Outcome {
    /// The service as far as it is made, for the status and the Secret.
    pub const fn running(&self) -> Option<&Running> {
        match self {
            Self::Provider(
                State::Ready(running) | State::Updating(running, _) | State::Simulated(running),
            ) => Some(running),
            _ => None,
        }
    }

    /// Whether a client can connect to what was asked for.
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Provider(State::Ready(_)))
    }

    /// Where the request is in its life.
    pub const fn phase(&self) -> Phase {
        match self {
            Self::WaitingForTeam(_) => Phase::Pending,
            Self::Refused { .. } | Self::Provider(State::Failed { .. }) => Phase::Failed,
            Self::Delayed { .. } | Self::Provider(State::Creating(_) | State::Simulated(_)) => {
                Phase::Creating
            }
            Self::Provider(State::Ready(_)) => Phase::Ready,
            Self::Provider(State::Updating(..)) => Phase::Updating,
            Self::Provider(State::Deleting(_) | State::Gone { .. }) | Self::Protected => Phase::Deleting,
        }
    }

    /// Reason and message of the `Ready` condition.
    pub fn words(&self) -> (&'static str, String) {
        match self {
            Self::WaitingForTeam(message) => ("WaitingForTeam", message.clone()),
            Self::Refused { reason, message } | Self::Provider(State::Failed { reason, message }) => {
                (reason, message.clone())
            }
            Self::Delayed { reason, message } => ("WaitingForProvider", format!("{reason}: {message}")),
            Self::Provider(State::Creating(message)) => ("Creating", message.clone()),
            Self::Provider(State::Ready(_)) => {
                ("Ready", "accepts connections; the Secret is written".to_owned())
            }
            Self::Provider(State::Updating(_, message)) => ("Updating", message.clone()),
            Self::Provider(State::Simulated(_)) => (
                "Simulated",
                "the pod is on a simulated node: nothing runs and nothing accepts connections".to_owned(),
            ),
            Self::Provider(State::Deleting(message)) => ("Deleting", message.clone()),
            Self::Provider(State::Gone { kept: Some(kept) }) => ("Deleted", format!("{kept} was kept")),
            Self::Provider(State::Gone { kept: None }) => ("Deleted", "nothing was kept".to_owned()),
            Self::Protected => (
                "DeletionProtected",
                "spec.deletionProtection is true; set it to false to let it go".to_owned(),
            ),
        }
    }

    /// The fact that this outcome of `generation` adds to what was already said.
    pub fn fact(&self, generation: i64, said: &Said) -> Option<Happened> {
        match self {
            Self::Provider(State::Ready(running)) => {
                (said.ready < Some(generation)).then(|| Happened::Ready(running.clone()))
            }
            Self::Provider(State::Failed { .. }) | Self::Refused { .. } => {
                let (reason, message) = self.words();
                let known = said.failed.as_ref().is_some_and(|(at, why)| *at == generation && why == reason);
                (!known).then(|| Happened::Failed { reason: reason.to_owned(), message })
            }
            Self::Provider(State::Gone { kept }) => {
                (!said.deleted).then(|| Happened::Deleted { kept: kept.clone() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
