//! `mlp completion SHELL`.

use clap::CommandFactory as _;

use crate::cli::{Cli, Completion};
use crate::exit::Outcome;

/// Prints the shell's completion script.
pub(crate) fn completion(flags: &Completion) -> Outcome {
    clap_complete::generate(flags.shell, &mut Cli::command(), "mlp", &mut std::io::stdout());
    Ok(())
}
