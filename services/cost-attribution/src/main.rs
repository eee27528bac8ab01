//! The cost-attribution service.

use std::process::ExitCode;

use mlp_cost_attribution::{app, domain};

fn main() -> ExitCode {
    mlp_host::run(domain::SERVICE, app::run)
}
