//! What the service takes beside the host's own keys.

use std::num::NonZeroUsize;
use std::time::Duration;

use mlp_host::HostArgs;
use mlp_host::config::duration;

/// Makes namespaces, quota, rights and network policy of teams true, and keeps them so.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "team-isolation", version)]
pub struct Config {
    /// What every service takes
    #[command(flatten)]
    pub host: HostArgs,
    /// Teams worked on at the same time
    #[arg(long, env = "MLP_WORKERS", value_name = "COUNT", default_value = "16")]
    pub workers: NonZeroUsize,
    /// Every team is looked at again after this time, whatever happened or not
    #[arg(long, env = "MLP_RESYNC", value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub resync: Duration,
}

impl AsRef<HostArgs> for Config {
    fn as_ref(&self) -> &HostArgs {
        &self.host
    }
}
