//! Kubeconfig files: one identity, one cluster, everything within the file.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::layout::{LayoutError, write_private};
use crate::pki::Pair;

/// Name of the context in every file that we write.
pub const CONTEXT: &str = "mlp-local";

/// How an identity proves itself.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// By a client certificate; its files are copied into the kubeconfig.
    Certificate(&'a Pair),
    /// By a bearer token in a file that may be renewed; clients read it again.
    TokenFile(&'a Path),
}

/// Writes a kubeconfig for `user` at `path`.
///
/// # Errors
/// A file cannot be read or written.
pub fn write(
    path: &Path,
    server: &str,
    authority: &Path,
    user: &str,
    proof: Proof<'_>,
) -> Result<(), LayoutError> {
    let credentials = match proof {
        Proof::Certificate(pair) => format!(
            "    client-certificate-data: {}\n    client-key-data: {}\n",
            encoded(&pair.certificate)?,
            encoded(&pair.key)?
        ),
        Proof::TokenFile(token) => format!("    tokenFile: {}\n", quoted(&token.display().to_string())),
    };
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {CONTEXT}\n\
         clusters:\n- name: {CONTEXT}\n  cluster:\n    server: {server}\n    certificate-authority-data: {}\n\
         contexts:\n- name: {CONTEXT}\n  context:\n    cluster: {CONTEXT}\n    user: {user}\n\
         users:\n- name: {user}\n  user:\n{credentials}",
        encoded(authority)?,
        user = quoted(user),
    );
    write_private(path, text.as_bytes())
}

/// Connects as the current user of a kubeconfig.
///
/// # Errors
/// The file cannot be read or used, in kube's words.
pub async fn client(path: &Path) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let file = Kubeconfig::read_from(path)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn encoded(path: &Path) -> Result<String, LayoutError> {
    let bytes =
        fs::read(path).map_err(|source| LayoutError::Io { action: "read", path: path.into(), source })?;
    Ok(STANDARD.encode(bytes))
}

/// A YAML double-quoted string, which any JSON string is.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
