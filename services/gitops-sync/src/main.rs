//! The gitops-sync service.

use std::process::ExitCode;

use mlp_gitops_sync::render::sandbox;
use mlp_gitops_sync::{app, domain};

fn main() -> ExitCode {
    // Started by itself to become a tool, it does nothing else.
    if let Some(code) = sandbox::intercept() {
        return code;
    }
    mlp_host::run(domain::SERVICE, app::run)
}
