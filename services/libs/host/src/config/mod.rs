//! Configuration: flags, then environment, then `--config` file, then defaults.
//!
//! [`HostArgs`] are the keys every service shares; a service flattens them into its own
//! `clap::Parser` and gets the same sources for its own keys. A key of the file is the flag's
//! name without dashes in front; unknown keys are refused.

mod file;
mod print;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use mlp_model::Environment;

pub use file::{ConfigError, load, load_from};
pub use print::effective;
pub use value::{duration, ratio, url};

/// What every service takes. Each key has a flag, an environment variable and a key in the file.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Host")]
pub struct HostArgs {
    /// File with more of these keys, in TOML; flags and environment win over it
    #[arg(long, env = "MLP_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the configuration in effect, with each key's source and secrets redacted, and exit
    #[arg(long)]
    pub print_config: bool,

    /// Kubeconfig file; without it the in-cluster account, else $KUBECONFIG or ~/.kube/config
    #[arg(long, env = "MLP_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; its current context by default
    #[arg(long, env = "MLP_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Namespace this service runs in: its Leases are there, and it is k8s.namespace.name
    #[arg(long, env = "MLP_NAMESPACE", value_name = "NAME", default_value = "mlp-system")]
    pub namespace: String,
    /// Name of this replica, unique among the living (Lease holder); host name and process by default
    #[arg(long, env = "MLP_INSTANCE", value_name = "NAME")]
    pub instance: Option<String>,
    /// Environment: local, dev, staging or prod
    #[arg(long, env = "MLP_ENVIRONMENT", default_value = "local")]
    pub environment: Environment,

    /// NATS servers, separated by commas
    #[arg(long, env = "MLP_NATS_URL", value_name = "URL", default_value = "nats://127.0.0.1:4222")]
    pub nats_url: String,
    /// NATS credentials file (JWT and seed)
    #[arg(long, env = "MLP_NATS_CREDS", value_name = "FILE")]
    pub nats_creds: Option<PathBuf>,
    /// CA certificates (PEM) that sign the NATS servers' certificates
    #[arg(long, env = "MLP_NATS_CA", value_name = "FILE")]
    pub nats_ca: Option<PathBuf>,

    /// OTLP/gRPC endpoint for traces, such as http://127.0.0.1:4317; none are sent without it
    #[arg(long, env = "MLP_OTLP_ENDPOINT", value_name = "URL", value_parser = url)]
    pub otlp_endpoint: Option<String>,
    /// OTLP/HTTP URL for metrics, whole, such as http://127.0.0.1:9090/api/v1/otlp/v1/metrics
    #[arg(long, env = "MLP_METRICS_OTLP_ENDPOINT", value_name = "URL", value_parser = url)]
    pub metrics_otlp_endpoint: Option<String>,
    /// OTLP/gRPC endpoint for logs; they go to standard output in any case
    #[arg(long, env = "MLP_LOGS_OTLP_ENDPOINT", value_name = "URL", value_parser = url)]
    pub logs_otlp_endpoint: Option<String>,
    /// How often metrics are pushed
    #[arg(long, env = "MLP_METRICS_INTERVAL", value_name = "TIME", default_value = "15s", value_parser = duration)]
    pub metrics_interval: Duration,
    /// Share of traces kept that begin here, 0 to 1; flows and sampled callers are always kept
    #[arg(long, env = "MLP_TRACE_RATIO", value_name = "RATIO", default_value = "1", value_parser = ratio)]
    pub trace_ratio: f64,
    /// Format of logs on standard output: json or text
    #[arg(long, env = "MLP_LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
    /// Which logs and spans: a level, or target=level pairs separated by commas
    #[arg(long, env = "MLP_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// Address of /livez, /readyz and /metrics; port 0 takes a free one
    #[arg(long, env = "MLP_ADMIN_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub admin_listen: SocketAddr,
    /// Address of gRPC; port 0 takes a free one
    #[arg(long, env = "MLP_GRPC_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:9090")]
    pub grpc_listen: SocketAddr,
    /// Certificate chain (PEM) of the gRPC server; needs --grpc-tls-key
    #[arg(long, env = "MLP_GRPC_TLS_CERT", value_name = "FILE")]
    pub grpc_tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the gRPC server; needs --grpc-tls-cert
    #[arg(long, env = "MLP_GRPC_TLS_KEY", value_name = "FILE")]
    pub grpc_tls_key: Option<PathBuf>,
    /// CA (PEM) whose client certificates are accepted as identity (CN user, O groups); needs TLS
    #[arg(long, env = "MLP_GRPC_CLIENT_CA", value_name = "FILE")]
    pub grpc_client_ca: Option<PathBuf>,
    /// Longest time a call may take until its response begins, whatever the client allows
    #[arg(long, env = "MLP_GRPC_MAX_DEADLINE", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub grpc_max_deadline: Duration,
    /// Most connections served at a time; further ones wait
    #[arg(long, env = "MLP_GRPC_MAX_CONNECTIONS", value_name = "COUNT", default_value_t = 256)]
    pub grpc_max_connections: u32,
    /// Most calls at a time on one connection
    #[arg(long, env = "MLP_GRPC_MAX_STREAMS", value_name = "COUNT", default_value_t = 128)]
    pub grpc_max_streams: u32,
    /// Largest request in bytes
    #[arg(long, env = "MLP_GRPC_MAX_REQUEST", value_name = "BYTES", default_value_t = 1 << 20)]
    pub grpc_max_request: u32,

    /// How long a lost leader keeps the Lease; renewed every fifth of it
    #[arg(long, env = "MLP_LEASE_DURATION", value_name = "TIME", default_value = "15s", value_parser = duration)]
    pub lease_duration: Duration,
    /// How long the drain may take after SIGTERM or SIGINT, flushing telemetry included
    #[arg(long, env = "MLP_DRAIN_TIMEOUT", value_name = "TIME", default_value = "20s", value_parser = duration)]
    pub drain_timeout: Duration,
}

/// How logs look on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    #[default]
    Json,
    /// One line of text, for people.
    Text,
}

impl HostArgs {
    /// Checks what one key alone cannot say.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] names the key and the fix.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |key, problem: &str| Err(ConfigError::invalid(key, problem));
        match (&self.grpc_tls_cert, &self.grpc_tls_key) {
            (Some(_), None) => return refuse("grpc-tls-key", "missing; give it along with --grpc-tls-cert"),
            (None, Some(_)) => return refuse("grpc-tls-cert", "missing; give it along with --grpc-tls-key"),
            _ => {}
        }
        if self.grpc_client_ca.is_some() && self.grpc_tls_cert.is_none() {
            return refuse("grpc-client-ca", "needs TLS; give --grpc-tls-cert and --grpc-tls-key too");
        }
        if self.drain_timeout < Duration::from_secs(1) {
            return refuse("drain-timeout", "shorter than a drain can be; write 1s or more");
        }
        if self.lease_duration < Duration::from_secs(2) {
            return refuse("lease-duration", "shorter than a Lease can count; write 2s or more");
        }
        for (key, number) in [
            ("grpc-max-connections", self.grpc_max_connections),
            ("grpc-max-streams", self.grpc_max_streams),
            ("grpc-max-request", self.grpc_max_request),
        ] {
            if number == 0 {
                return refuse(key, "zero would refuse every call; write 1 or more");
            }
        }
        if self.instance.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return refuse(
                "instance",
                "empty, which reads as nobody holding the Lease; leave it out or name it",
            );
        }
        if self.metrics_otlp_endpoint.as_ref().is_some_and(|url| url.starts_with("https:")) {
            return refuse("metrics-otlp-endpoint", "TLS is not supported here; name a collector by http://");
        }
        if !mlp_model::name::is_dns_label(&self.namespace) {
            return refuse("namespace", "not a DNS label; use lower-case letters, digits and hyphens");
        }
        Ok(())
    }

    /// The name of this replica: `--instance`, else host name and process id.
    pub fn instance_id(&self) -> String {
        self.instance.clone().unwrap_or_else(|| {
            let host = std::env::var("HOSTNAME").ok().or_else(read_hostname);
            format!("{}-{}", host.unwrap_or_else(|| "localhost".to_owned()), std::process::id())
        })
    }

    /// The NATS servers of `--nats-url`, one by one.
    pub fn nats_servers(&self) -> Vec<String> {
        self.nats_url.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect()
    }
}

fn read_hostname() -> Option<String> {
    let text = std::fs::read_to_string("/etc/hostname").ok()?;
    Some(text.trim().to_owned()).filter(|name| !name.is_empty())
}
