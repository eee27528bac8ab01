//! A client for the platform's cluster, from the kubeconfig that its record names.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::exit::Failure;

/// Connects as the kubeconfig's current user.
pub(crate) async fn client(kubeconfig: &Path) -> Result<Client, Failure> {
    let what = format!("using the kubeconfig {}", kubeconfig.display());
    let file = Kubeconfig::read_from(kubeconfig).map_err(|error| Failure::while_doing(&what, &error))?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .map_err(|error| Failure::while_doing(&what, &error))?;
    Client::try_from(config).map_err(|error| Failure::while_doing(&what, &error))
}
