//! What the service takes beside the host's own keys.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use mlp_aws::Source;
use mlp_bus::accounts::{Keyring, KeyringError};
use mlp_host::HostArgs;
use mlp_host::config::{duration, url};
use mlp_model::Secret;

use crate::audit::AuditLog;
use crate::domain::model::Site;
use crate::domain::tombstone;

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
    /// File with the NATS operator's seed; with it, teams get an account of their own on the broker
    #[arg(long, env = "MLP_NATS_OPERATOR_SEED", value_name = "FILE")]
    pub nats_operator_seed: Option<PathBuf>,
    /// The API server's audit log; with it, refusals show in the team's status and as facts
    #[arg(long, env = "MLP_AUDIT_LOG", value_name = "FILE")]
    pub audit_log: Option<PathBuf>,
    /// The log group of CloudWatch that EKS writes the audit log to, in place of a file:
    /// `/aws/eks/<cluster>/cluster`
    #[arg(long, env = "MLP_AUDIT_CLOUDWATCH", value_name = "GROUP", conflicts_with = "audit_log")]
    pub audit_cloudwatch: Option<String>,
    /// AWS endpoint in place of the public ones, for tests
    #[arg(long, env = "MLP_AWS_ENDPOINT", value_name = "URL", value_parser = url)]
    pub aws_endpoint: Option<String>,
    /// AWS region; the SDK's sources (AWS_REGION, profile, instance) by default
    #[arg(long, env = "MLP_AWS_REGION", value_name = "NAME")]
    pub aws_region: Option<String>,
    /// Addresses of nodes, pods and services in CIDR notation, which no policy of a team may open
    #[arg(long, env = "MLP_PROTECTED_CIDRS", value_name = "CIDR,...", value_delimiter = ',')]
    pub protected_cidrs: Vec<String>,
    /// Who makes NetworkPolicy true in this cluster: the name of its network (`cilium`, `aws-vpc-cni`), or
    /// `nodes`, where each node says so by its condition `NetworkPolicyEnforced`
    #[arg(long, env = "MLP_NETWORK_POLICY_ENFORCER", value_name = "NAME")]
    pub network_policy_enforcer: Option<String>,
    /// How long the names of a team that has gone are kept from others. Default: by the environment, 0s in
    /// local, 24h in dev, 720h in staging and prod
    #[arg(long, env = "MLP_NAME_RESERVATION", value_name = "TIME", value_parser = duration)]
    pub name_reservation: Option<Duration>,
    /// Every team is looked at again after this time, whatever happened or not
    #[arg(long, env = "MLP_RESYNC", value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub resync: Duration,
}

/// The operator's seed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The file cannot be read.
    #[error("--nats-operator-seed {path}: the file cannot be read; name the file that holds the seed (SO…)")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file holds no operator seed.
    #[error("--nats-operator-seed {path}: not an operator's seed; it starts with SO")]
    NoSeed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyringError,
    },
}

impl Config {
    /// Where the platform runs, as far as teams are concerned.
    pub fn site(&self) -> Site {
        let environment = self.host.environment;
        let reservation = self.name_reservation.map_or_else(
            || tombstone::reservation(environment),
            |kept| SignedDuration::try_from(kept).unwrap_or(SignedDuration::MAX),
        );
        Site { environment, protected_cidrs: self.protected_cidrs.clone(), reservation }
    }

    /// Where the audit log is, if anywhere.
    pub fn audit(&self) -> Option<AuditLog> {
        let cloudwatch = |group: &String| AuditLog::CloudWatch {
            group: group.clone(),
            source: Source {
                endpoint: self.aws_endpoint.clone(),
                region: self.aws_region.clone(),
                ..Source::default()
            },
        };
        let file = self.audit_log.clone().map(AuditLog::File);
        file.or_else(|| self.audit_cloudwatch.as_ref().map(cloudwatch))
    }

    /// The operator's keys, where there are any.
    ///
    /// # Errors
    /// [`SeedError`] names the file and the fix.
    pub fn keyring(&self) -> Result<Option<Keyring>, SeedError> {
        let Some(path) = self.nats_operator_seed.clone() else { return Ok(None) };
        let seed = match std::fs::read_to_string(&path) {
            Ok(text) => Secret::new(text.trim().to_owned()),
            Err(source) => return Err(SeedError::Unreadable { path, source }),
        };
        Keyring::from_seed(&seed).map(Some).map_err(|source| SeedError::NoSeed { path, source })
    }
}

impl AsRef<HostArgs> for Config {
    fn as_ref(&self) -> &HostArgs {
        &self.host
    }
}
