//! The Kubernetes client, from a kubeconfig or from the cluster the process runs in.

use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::config::HostArgs;
use crate::error::{BoxError, StartError};

/// How long connecting to the API server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the API server may stay silent on a connection. Watches end by themselves before
/// (the API server closes them after 295 s at most), so only a dead peer meets it.
const READ_TIMEOUT: Duration = Duration::from_secs(300);
/// How long sending a request may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

pub(crate) async fn client(args: &HostArgs) -> Result<kube::Client, StartError> {
    let mut config = config(args).await.map_err(StartError::Kubernetes)?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    config.write_timeout = Some(WRITE_TIMEOUT);
    kube::Client::try_from(config).map_err(|error| StartError::Kubernetes(error.into()))
}

async fn config(args: &HostArgs) -> Result<kube::Config, BoxError> {
    if args.kubeconfig.is_none() && args.context.is_none() {
        return Ok(kube::Config::infer().await?);
    }
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    match &args.kubeconfig {
        Some(path) => Ok(kube::Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?),
        None => Ok(kube::Config::from_kubeconfig(&options).await?),
    }
}
