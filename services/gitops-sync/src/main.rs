//! The gitops-sync service.

use std::process::ExitCode;

use mlp_gitops_sync::{app, domain};

fn main() -> ExitCode {
    mlp_host::run(domain::SERVICE, app::run)
}
