//! The broker: nats-server with JetStream in files.

use std::fmt::Write;
use std::path::PathBuf;

use mlp_model::Secret;

/// What a server of this platform is told. Rendered by [`Config::render`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the server; unique in a cluster.
    pub name: String,
    /// Address that clients connect to.
    pub host: String,
    /// Port that clients connect to.
    pub port: u16,
    /// Port of the monitoring pages (`/healthz`, `/varz`, `/jsz`); none for no pages.
    pub monitor_port: Option<u16>,
    /// Folder of the streams.
    pub store: PathBuf,
    /// Sync each write before it is acknowledged. Off only for benchmarks.
    pub sync_always: bool,
    /// Bound of all streams together, in bytes; the server's own choice when none.
    pub max_file_store: Option<u64>,
    /// Largest message, in bytes; the server's default (1 MiB) when none.
    pub max_payload: Option<u32>,
    /// The other servers, when there are several.
    pub cluster: Option<Cluster>,
    /// Who may connect.
    pub access: Access,
}

/// A cluster of servers.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Name that all members share.
    pub name: String,
    /// Port for the other members.
    pub port: u16,
    /// Cluster ports of all members.
    pub routes: Vec<u16>,
}

/// Who may connect.
#[derive(Clone, Debug)]
pub enum Access {
    /// Everyone who reaches the port. For tests.
    Open,
    /// The account `platform` (JetStream) with one user and password, and a system account.
    Password {
        /// Name of the user.
        user: String,
        /// Its password.
        password: Secret<String>,
    },
    /// Operator mode: accounts are JWTs.
    Operator(Operator),
}

/// Accounts as signed tokens.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The operator's JWT.
    pub jwt: String,
    /// Public key of the system account.
    pub system_account: String,
    /// Folder where the server keeps account JWTs that are pushed to it.
    pub resolver: PathBuf,
    /// Accounts known from the start: public key and JWT.
    pub preload: Vec<(String, String)>,
}

impl Config {
    /// The configuration file.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        let quote = |text: &str| serde_json::Value::from(text).to_string();
        let _ = writeln!(text, "server_name: {}", quote(&self.name));
        let _ = writeln!(text, "listen: {}", quote(&format!("{}:{}", self.host, self.port)));
        if let Some(port) = self.monitor_port {
            let _ = writeln!(text, "http: {}", quote(&format!("127.0.0.1:{port}")));
        }
        if let Some(bytes) = self.max_payload {
            let _ = writeln!(text, "max_payload: {bytes}");
            // A slow reader may fall behind by this much before it is cut off; never less than a message.
            let _ = writeln!(text, "max_pending: {}", u64::from(bytes).max(64 * 1024 * 1024));
        }
        let _ = writeln!(text, "jetstream {{\n  store_dir: {}", quote(&self.store.display().to_string()));
        if self.sync_always {
            let _ = writeln!(text, "  sync_interval: always");
        }
        if let Some(bytes) = self.max_file_store {
            let _ = writeln!(text, "  max_file_store: {bytes}");
        }
        let _ = writeln!(text, "}}");
        if let Some(cluster) = &self.cluster {
            let routes: Vec<String> =
                cluster.routes.iter().map(|port| format!("nats-route://127.0.0.1:{port}")).collect();
            let _ = writeln!(
                text,
                "cluster {{\n  name: {}\n  listen: \"127.0.0.1:{}\"\n  routes: {}\n}}",
                quote(&cluster.name),
                cluster.port,
                serde_json::json!(routes)
            );
        }
        self.access.render(&mut text);
        text
    }
}

impl Access {
    fn render(&self, text: &mut String) {
        let quote = |text: &str| serde_json::Value::from(text).to_string();
        match self {
            Self::Open => {}
            Self::Password { user, password } => {
                let _ = writeln!(
                    text,
                    "accounts {{\n  SYS {{}}\n  platform {{\n    jetstream: enabled\n    users: [{{user: {}, password: {}}}]\n  }}\n}}\nsystem_account: SYS",
                    quote(user),
                    quote(password.expose())
                );
            }
            Self::Operator(operator) => {
                let _ = writeln!(
                    text,
                    "operator: {}\nsystem_account: {}",
                    quote(&operator.jwt),
                    operator.system_account
                );
                let _ = writeln!(
                    text,
                    "resolver {{\n  type: full\n  dir: {}\n  allow_delete: true\n  interval: \"2m\"\n}}",
                    quote(&operator.resolver.display().to_string())
                );
                let _ = writeln!(text, "resolver_preload {{");
                for (account, jwt) in &operator.preload {
                    let _ = writeln!(text, "  {account}: {}", quote(jwt));
                }
                let _ = writeln!(text, "}}");
            }
        }
    }
}
