//! Health of every resource and team; incidents opened and closed.

use std::process::ExitCode;

fn main() -> ExitCode {
    mlp_host::run::<mlp_health_monitor::config::Config, _, _>("health-monitor", mlp_health_monitor::app::run)
}
