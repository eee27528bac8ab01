//! What a server is told so that it runs in operator mode.

use super::keyring::{Keyring, Party};

/// The parts of a server's configuration; public material only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorMode {
    /// The operator's token.
    pub operator: String,
    /// Public key of the system account.
    pub system_account: String,
    /// Accounts known from the start: public key and token.
    pub preload: Vec<(String, String)>,
}

impl OperatorMode {
    /// The operator, with the system and the platform account. `now` in seconds since 1970.
    pub fn of(keyring: &Keyring, now: i64) -> Self {
        let base = [Party::System, Party::Platform];
        let preload = base.map(|party| (keyring.public_key(party), keyring.base_account_token(party, now)));
        Self {
            operator: keyring.operator_token(now),
            system_account: keyring.public_key(Party::System),
            preload: preload.to_vec(),
        }
    }
}

/// The configuration as nats-server reads it. `resolver` is the folder in which the server keeps
/// the accounts that are pushed to it.
pub fn render(mode: &OperatorMode, resolver: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = format!(
        "operator: {}\nsystem_account: {}\nresolver {{\n  type: full\n  dir: {}\n  allow_delete: true\n  interval: \"2m\"\n}}\nresolver_preload {{\n",
        quoted(&mode.operator),
        mode.system_account,
        quoted(resolver)
    );
    for (account, token) in &mode.preload {
        text.push_str(&format!("  {account}: {}\n", quoted(token)));
    }
    text.push_str("}\n");
    text
}
