//! The team-isolation service.

use std::process::ExitCode;

use mlp_team_isolation::{app, domain};

fn main() -> ExitCode {
    mlp_host::run(domain::SERVICE, app::run)
}
