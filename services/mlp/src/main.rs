//! The command line of the platform: brings it up, looks at it, tests it.
//!
//! [`cli`] is the surface, [`commands`] has one file or folder per verb, [`platform`] is the record
//! that `up` writes and every other verb reads, [`services`] runs the five services as processes.

mod cli;
mod cluster;
mod commands;
mod exit;
mod global;
mod http;
mod platform;
mod progress;
mod services;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(commands::run(cli)),
        Err(error) => Err(exit::Failure::while_doing("starting the runtime", &error)),
    };
    exit::report(outcome)
}
