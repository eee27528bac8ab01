//! The provisioner service.

use std::process::ExitCode;

use mlp_provisioner::{app, domain};

fn main() -> ExitCode {
    mlp_host::run(domain::SERVICE, app::run)
}
