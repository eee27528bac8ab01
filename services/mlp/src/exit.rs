//! How a command ends: one line on stderr and a documented exit code.

use std::process::ExitCode;

/// A command's failure: what went wrong and what to do, and the code that scripts read.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

/// What every command returns.
pub(crate) type Outcome = Result<(), Failure>;

impl Failure {
    /// Exit code 1: it was tried and failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// Exit code 2: the call's words are off.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// Exit code 3: a wait ran out.
    pub(crate) fn not_ready(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into() }
    }

    /// Exit code 4: this machine lacks something.
    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self { code: 4, message: message.into() }
    }

    /// Exit code 5: we do not act on what may be somebody else's.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self { code: 5, message: message.into() }
    }

    /// Exit code 130: Ctrl-C.
    pub(crate) fn interrupted() -> Self {
        Self { code: 130, message: "interrupted".to_owned() }
    }

    /// Whether a person interrupted it.
    pub(crate) fn is_interrupt(&self) -> bool {
        self.code == 130
    }

    /// As [`Failure::while_doing`], with the exit code that the error's reason asks for.
    pub(crate) fn of(what: &str, error: &impl mlp_model::Classified) -> Self {
        let code = match error.reason() {
            "ProcessNotReady" | "NodeNotReady" => 3,
            "GoMissing" | "GoBroken" | "GoTooOld" | "MachineUnfit" => 4,
            "NotState" => 5,
            _ => 1,
        };
        Self { code, message: format!("{what}: {}", chain(error)) }
    }

    /// Wraps an error with what was being done; the chain of causes is printed in full.
    pub(crate) fn while_doing(what: &str, error: &dyn std::error::Error) -> Self {
        Self::failed(format!("{what}: {}", chain(error)))
    }
}

/// An error and its sources, outermost first, joined by `: `.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let next = cause.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = cause.source();
    }
    text
}

/// Prints the failure and gives its code to the shell.
pub(crate) fn report(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("mlp: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}
