//! Configuration: the host's keys and this service's own.

use std::time::Duration;

use mlp_host::HostArgs;
use mlp_host::config::duration;

use crate::domain::incident::Patience;

/// Watches the health of every team's resources; opens and closes incidents
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "health-monitor", version)]
pub struct Config {
    #[command(flatten)]
    host: HostArgs,

    /// How long a resource must be bad before an incident opens
    #[arg(long, env = "MLP_INCIDENT_OPEN_AFTER", value_name = "TIME", default_value = "10s", value_parser = duration)]
    incident_open_after: Duration,
    /// How long a resource must be good before its incident closes
    #[arg(long, env = "MLP_INCIDENT_CLOSE_AFTER", value_name = "TIME", default_value = "10s", value_parser = duration)]
    incident_close_after: Duration,
    /// How long a resource may be under way before that is an incident
    #[arg(long, env = "MLP_PROGRESS_DEADLINE", value_name = "TIME", default_value = "10m", value_parser = duration)]
    progress_deadline: Duration,
    /// How long closed incidents are kept
    #[arg(long, env = "MLP_INCIDENT_RETENTION", value_name = "TIME", default_value = "24h", value_parser = duration)]
    incident_retention: Duration,
}

impl AsRef<HostArgs> for Config {
    fn as_ref(&self) -> &HostArgs {
        &self.host
    }
}

impl Config {
    /// How patient the decisions on incidents are.
    pub const fn patience(&self) -> Patience {
        Patience {
            open_after: self.incident_open_after,
            close_after: self.incident_close_after,
            progress_deadline: self.progress_deadline,
        }
    }

    /// How long closed incidents are kept.
    pub const fn retention(&self) -> Duration {
        self.incident_retention
    }
}
