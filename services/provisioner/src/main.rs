//! The provisioner service.

// The AWS clients' futures nest deeper than the compiler's default when it optimises.
#![recursion_limit = "256"]

use std::process::ExitCode;

use mlp_provisioner::{app, domain};

fn main() -> ExitCode {
    mlp_host::run(domain::SERVICE, app::run)
}
