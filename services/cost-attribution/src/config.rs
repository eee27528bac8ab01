//! What the service takes beside the host's own keys.

use std::path::PathBuf;
use std::time::Duration;

use mlp_host::HostArgs;
use mlp_host::config::duration;

/// Attributes what nodes cost to teams, hour by hour, to the last nano-dollar.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "cost-attribution", version)]
pub struct Config {
    /// What every service takes
    #[command(flatten)]
    pub host: HostArgs,
    /// File of the store; made where it is missing
    #[arg(
        long,
        env = "MLP_STORE",
        value_name = "FILE",
        default_value = "/var/lib/mlp/cost-attribution/costs.db"
    )]
    pub store: PathBuf,
    /// How long closed hours are kept
    #[arg(long, env = "MLP_RETENTION", value_name = "TIME", default_value = "9600h", value_parser = duration)]
    pub retention: Duration,
    /// Namespaces of the platform, beside its own; what runs there is paid by the platform
    #[arg(
        long,
        env = "MLP_PLATFORM_NAMESPACES",
        value_name = "NAME,…",
        value_delimiter = ',',
        default_value = "kube-system,kube-public,kube-node-lease"
    )]
    pub platform_namespaces: Vec<String>,
    /// Every team and price sheet is looked at again after this time, whatever happened or not
    #[arg(long, env = "MLP_RESYNC", value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub resync: Duration,
}

impl Config {
    /// Closed hours that are kept; at least a day of them.
    pub fn retained_hours(&self) -> i64 {
        i64::try_from(self.retention.as_secs() / 3_600).unwrap_or(i64::MAX).max(24)
    }

    /// All namespaces of the platform.
    pub fn platform(&self) -> Vec<String> {
        let own = std::iter::once(self.host.namespace.clone());
        own.chain(self.platform_namespaces.iter().cloned()).collect()
    }
}

impl AsRef<HostArgs> for Config {
    fn as_ref(&self) -> &HostArgs {
        &self.host
    }
}
