//! What the service takes beside the host's own keys.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use mlp_bus::BusOptions;
use mlp_host::HostArgs;
use mlp_host::config::duration;

use crate::domain::SERVICE;
use crate::domain::manifest::Limits;
use crate::{render, store};

/// Makes the cluster agree with git, as Argo CD's Applications say, and keeps it so.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "gitops-sync", version)]
pub struct Config {
    /// What every service takes
    #[command(flatten)]
    pub host: HostArgs,
    /// Applications worked on at the same time
    #[arg(long, env = "MLP_WORKERS", value_name = "COUNT", default_value = "8")]
    pub workers: NonZeroUsize,
    /// Every application is looked at again after this time, whatever happened or not
    #[arg(long, env = "MLP_RESYNC", value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub resync: Duration,
    /// How often a repository is asked for new commits; up to a tenth more, different for each
    #[arg(long, env = "MLP_REPOSITORY_INTERVAL", value_name = "TIME", default_value = "180s", value_parser = duration)]
    pub repository_interval: Duration,
    /// Longest time that one look at a repository may take
    #[arg(long, env = "MLP_REPOSITORY_DEADLINE", value_name = "TIME", default_value = "50s", value_parser = duration)]
    pub repository_deadline: Duration,
    /// Address for webhooks of forges (POST /api/webhook), such as 0.0.0.0:8082; none are taken without it
    #[arg(long, env = "MLP_WEBHOOK_LISTEN", value_name = "ADDRESS")]
    pub webhook_listen: Option<SocketAddr>,
    /// Read file:// repositories: whoever writes an Application then reads any repository of this machine
    #[arg(long, env = "MLP_ALLOW_FILE_REPOSITORIES")]
    pub allow_file_repositories: bool,
    /// Folder for mirrors of repositories; may be lost at any time
    #[arg(long, env = "MLP_CACHE_DIR", value_name = "FOLDER", default_value = "/tmp/mlp-gitops-sync")]
    pub cache_dir: PathBuf,
    /// Bytes that all mirrors may take together
    #[arg(long, env = "MLP_CACHE_BYTES", value_name = "BYTES", default_value = "201326592")]
    pub cache_bytes: u64,
    /// The program that builds kustomizations
    #[arg(long, env = "MLP_KUSTOMIZE", value_name = "FILE", default_value = "/usr/local/bin/kustomize")]
    pub kustomize: PathBuf,
    /// The program that makes manifests of charts
    #[arg(long, env = "MLP_HELM", value_name = "FILE", default_value = "/usr/local/bin/helm")]
    pub helm: PathBuf,
    /// The program that fills Go templates of ApplicationSets
    #[arg(long, env = "MLP_GOTEMPLATE", value_name = "FILE", default_value = "/usr/local/bin/gotemplate")]
    pub gotemplate: PathBuf,
    /// Longest time that one of them may take for one source
    #[arg(long, env = "MLP_RENDER_DEADLINE", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub render_deadline: Duration,
    /// Bytes of manifests that they made and that are kept, so that the same source is not rendered again
    #[arg(long, env = "MLP_RENDER_CACHE_BYTES", value_name = "BYTES", default_value = "16777216")]
    pub render_cache_bytes: usize,
}

impl Config {
    /// How manifests are made by other tools.
    ///
    /// # Errors
    /// This program's own file is not known: it is what confines a tool.
    pub fn renderers(&self) -> std::io::Result<render::Options> {
        Ok(render::Options {
            kustomize: self.kustomize.clone(),
            helm: self.helm.clone(),
            gotemplate: self.gotemplate.clone(),
            confiner: std::env::current_exe()?,
            folder: self.cache_dir.join("trees"),
            deadline: self.render_deadline,
            limits: render::sandbox::Limits::default(),
            cache_bytes: self.render_cache_bytes,
        })
    }

    /// How the broker is reached.
    pub fn bus(&self) -> BusOptions {
        BusOptions {
            servers: self.host.nats_servers(),
            credentials: self.host.nats_creds.clone(),
            tls_ca: self.host.nats_ca.clone(),
            client_name: SERVICE.to_owned(),
            ..BusOptions::default()
        }
    }

    /// How repositories are kept.
    pub fn repositories(&self) -> store::Options {
        store::Options {
            folder: self.cache_dir.clone(),
            interval: self.repository_interval,
            allow_files: self.allow_file_repositories,
            max_bytes: self.cache_bytes,
            deadline: self.repository_deadline,
            limits: Limits::default(),
        }
    }
}

impl AsRef<HostArgs> for Config {
    fn as_ref(&self) -> &HostArgs {
        &self.host
    }
}
