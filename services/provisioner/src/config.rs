//! What the service takes beside the host's own keys.

use std::num::NonZeroUsize;
use std::time::Duration;

use mlp_aws::Source;
use mlp_host::HostArgs;
use mlp_host::config::{duration, url};

use crate::domain::kubernetes::Images;
use crate::provider::aws::Place;

/// Makes the databases and caches that teams ask for: pods locally, RDS and ElastiCache in AWS.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "provisioner", version)]
pub struct Config {
    /// What every service takes
    #[command(flatten)]
    pub host: HostArgs,
    /// Requests of one kind worked on at the same time
    #[arg(long, env = "MLP_WORKERS", value_name = "COUNT", default_value = "8")]
    pub workers: NonZeroUsize,
    /// Every request is looked at again after this time, whatever happened or not
    #[arg(long, env = "MLP_RESYNC", value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub resync: Duration,
    /// Image of databases; `{version}` stands for the request's major version
    #[arg(long, env = "MLP_DATABASE_IMAGE", value_name = "IMAGE", default_value = "mlp/postgres:{version}")]
    pub database_image: String,
    /// Image of caches; `{engine}` and `{version}` stand for the request's
    #[arg(long, env = "MLP_CACHE_IMAGE", value_name = "IMAGE", default_value = "mlp/{engine}:{version}")]
    pub cache_image: String,
    /// AWS endpoint in place of the public ones, for tests
    #[arg(long, env = "MLP_AWS_ENDPOINT", value_name = "URL", value_parser = url)]
    pub aws_endpoint: Option<String>,
    /// AWS region; the SDK's sources (AWS_REGION, profile, instance) by default
    #[arg(long, env = "MLP_AWS_REGION", value_name = "NAME")]
    pub aws_region: Option<String>,
    /// Subnet group of RDS instances
    #[arg(long, env = "MLP_AWS_DATABASE_SUBNETS", value_name = "NAME")]
    pub aws_database_subnets: Option<String>,
    /// Subnet group of ElastiCache replication groups
    #[arg(long, env = "MLP_AWS_CACHE_SUBNETS", value_name = "NAME")]
    pub aws_cache_subnets: Option<String>,
    /// Security groups of both, separated by commas
    #[arg(long, env = "MLP_AWS_SECURITY_GROUPS", value_name = "IDS", value_delimiter = ',')]
    pub aws_security_groups: Vec<String>,
    /// How often a service that AWS works on is looked at
    #[arg(long, env = "MLP_AWS_POLL", value_name = "TIME", default_value = "15s", value_parser = duration)]
    pub aws_poll: Duration,
}

impl Config {
    /// Images of pods.
    pub fn images(&self) -> Images {
        Images { database: self.database_image.clone(), cache: self.cache_image.clone() }
    }

    /// Where in AWS services are made.
    pub fn place(&self) -> Place {
        Place {
            source: Source {
                endpoint: self.aws_endpoint.clone(),
                region: self.aws_region.clone(),
                ..Source::default()
            },
            database_subnets: self.aws_database_subnets.clone(),
            cache_subnets: self.aws_cache_subnets.clone(),
            security_groups: self.aws_security_groups.clone(),
        }
    }
}

impl AsRef<HostArgs> for Config {
    fn as_ref(&self) -> &HostArgs {
        &self.host
    }
}
