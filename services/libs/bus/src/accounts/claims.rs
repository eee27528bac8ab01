//! What accounts and users may do.

use mlp_model::{Context, Secret};
use serde_json::{Value, json};

use super::jwt::{Token, credentials};
use super::keyring::{Keyring, Party};
use super::{API_PREFIX, EVENTS, deliver_subject};

/// What a team's account may use at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeamLimits {
    /// Connections at once.
    pub connections: i64,
    /// Subscriptions at once.
    pub subscriptions: i64,
    /// Consumers on its stream.
    pub consumers: i64,
    /// Bytes of its stream on disk, copies included. The server reserves them when the stream is made.
    pub disk_bytes: i64,
    /// Largest message in bytes.
    pub payload_bytes: i64,
}

impl Default for TeamLimits {
    fn default() -> Self {
        let mebibyte = 1024 * 1024;
        Self {
            connections: 64,
            subscriptions: 1024,
            consumers: 64,
            // A fact has less than 1 KiB; a thousand teams fit the embedded broker's store.
            disk_bytes: 12 * mebibyte,
            payload_bytes: mebibyte,
        }
    }
}

const UNLIMITED: i64 = -1;

impl Keyring {
    /// The operator's own token.
    pub fn operator_token(&self, now: i64) -> String {
        let (operator, system) = (self.operator(), self.account(Party::System).public_key());
        let nats = json!({ "type": "operator", "version": 2, "system_account": system });
        let subject = operator.public_key();
        Token { issuer: &operator, subject: &subject, name: "mlp", issued: now, expires: None, nats }.sign()
    }

    /// Public key of an account.
    pub fn public_key(&self, party: Party<'_>) -> String {
        self.account(party).public_key()
    }

    /// The token of the system or platform account. Neither changes when a team comes or goes.
    pub fn base_account_token(&self, party: Party<'_>, now: i64) -> String {
        let disk = if party == Party::Platform { UNLIMITED } else { 0 };
        let exports = if party == Party::Platform { exports() } else { json!([]) };
        let nats = json!({
            "type": "account", "version": 2, "authorization": {}, "default_permissions": {},
            "exports": exports,
            "limits": {
                "subs": UNLIMITED, "data": UNLIMITED, "payload": UNLIMITED, "imports": UNLIMITED,
                "exports": UNLIMITED, "wildcards": true, "conn": UNLIMITED, "leaf": UNLIMITED,
                "mem_storage": disk, "disk_storage": disk, "streams": UNLIMITED, "consumer": UNLIMITED,
            },
        });
        self.account_token(party, &party.to_string(), now, nats)
    }

    /// The token of a team's account.
    pub fn team_account_token(&self, uid: &str, name: &str, limits: &TeamLimits, now: i64) -> String {
        let party = Party::Team(uid);
        let nats = json!({
            "type": "account", "version": 2, "authorization": {}, "default_permissions": {},
            "imports": imports(&self.public_key(Party::Platform), &self.public_key(party)),
            "limits": {
                "subs": limits.subscriptions, "data": UNLIMITED, "payload": limits.payload_bytes,
                "imports": UNLIMITED, "exports": 0, "wildcards": false,
                "conn": limits.connections, "leaf": 0,
                "mem_storage": 0, "disk_storage": limits.disk_bytes, "streams": 1,
                "consumer": limits.consumers,
            },
        });
        self.account_token(party, name, now, nats)
    }

    /// The token of an account that is being taken away: nobody connects, all users are revoked.
    pub(super) fn closed_account_token(&self, uid: &str, name: &str, now: i64) -> String {
        let nats = json!({
            "type": "account", "version": 2, "authorization": {}, "default_permissions": {},
            "revocations": { "*": now },
            "limits": { "conn": 0, "subs": 0, "leaf": 0, "exports": 0, "imports": 0 },
        });
        self.account_token(Party::Team(uid), name, now, nats)
    }

    /// A self-signed request to forget accounts.
    pub(super) fn delete_token(&self, accounts: &[String], now: i64) -> String {
        let operator = self.operator();
        let nats = json!({ "type": "generic", "version": 2, "accounts": accounts });
        let subject = operator.public_key();
        Token { issuer: &operator, subject: &subject, name: "delete", issued: now, expires: None, nats }
            .sign()
    }

    /// Credentials without bounds in an account: for the platform's own services and for us in a
    /// team's account.
    pub fn service_credentials(&self, party: Party<'_>, user: &str, now: i64) -> Secret<String> {
        self.user_credentials(party, user, now, None, json!({}), json!({}))
    }

    /// Credentials that read a team's facts and nothing else, until `expires` (seconds since 1970).
    pub fn team_credentials(&self, uid: &str, user: &str, now: i64, expires: Option<i64>) -> Secret<String> {
        let api = |verb: &str| format!("$JS.API.{verb}");
        let publish = json!({ "allow": [
            api("INFO"), api("STREAM.NAMES"), api("STREAM.LIST"),
            api(&format!("STREAM.INFO.{EVENTS}")), api(&format!("STREAM.MSG.GET.{EVENTS}")),
            api(&format!("DIRECT.GET.{EVENTS}")), api(&format!("DIRECT.GET.{EVENTS}.>")),
            api(&format!("CONSUMER.CREATE.{EVENTS}")), api(&format!("CONSUMER.CREATE.{EVENTS}.>")),
            api(&format!("CONSUMER.DURABLE.CREATE.{EVENTS}.>")),
            api(&format!("CONSUMER.INFO.{EVENTS}.>")), api(&format!("CONSUMER.DELETE.{EVENTS}.>")),
            api(&format!("CONSUMER.NAMES.{EVENTS}")), api(&format!("CONSUMER.LIST.{EVENTS}")),
            api(&format!("CONSUMER.MSG.NEXT.{EVENTS}.>")),
            format!("$JS.ACK.{EVENTS}.>"), format!("$JS.ACK.*.*.{EVENTS}.>"),
            format!("$JS.FC.{EVENTS}.>"),
        ]});
        let subscribe = json!({ "allow": ["_INBOX.>", "_INBOX_*.>"] });
        self.user_credentials(Party::Team(uid), user, now, expires, publish, subscribe)
    }

    fn user_credentials(
        &self,
        party: Party<'_>,
        name: &str,
        now: i64,
        expires: Option<i64>,
        publish: Value,
        subscribe: Value,
    ) -> Secret<String> {
        let (account, user) = (self.account(party), self.user(party, name));
        let nats = json!({
            "type": "user", "version": 2, "pub": publish, "sub": subscribe,
            "subs": UNLIMITED, "data": UNLIMITED, "payload": UNLIMITED,
        });
        let subject = user.public_key();
        let token = Token { issuer: &account, subject: &subject, name, issued: now, expires, nats };
        credentials(&token.sign(), &user)
    }

    fn account_token(&self, party: Party<'_>, name: &str, now: i64, nats: Value) -> String {
        let (operator, subject) = (self.operator(), self.public_key(party));
        Token { issuer: &operator, subject: &subject, name, issued: now, expires: None, nats }.sign()
    }
}

/// Each export holds for the account that its subject names, and for no other.
fn exports() -> Value {
    json!([
        { "name": "deliver", "type": "stream", "subject": "mlp.deliver.*.*", "account_token_position": 3 },
        { "name": "flow", "type": "service", "subject": "$JS.FC.*.*.*", "account_token_position": 4 },
        { "name": "reset", "type": "service", "subject": "$JS.API.CONSUMER.RESET.*.*", "account_token_position": 6 },
    ])
}

fn imports(platform: &str, account: &str) -> Value {
    let mut imports = Vec::new();
    for context in Context::ALL {
        let stream = context.stream();
        let subject = deliver_subject(account, context);
        imports.push(json!({ "name": format!("deliver-{stream}"), "type": "stream", "account": platform,
            "subject": subject, "local_subject": subject }));
        let subject = format!("$JS.FC.{stream}.{account}.*");
        imports.push(json!({ "name": format!("flow-{stream}"), "type": "service", "account": platform,
            "subject": subject }));
        let tail = format!("CONSUMER.RESET.{stream}.{account}");
        imports.push(json!({ "name": format!("reset-{stream}"), "type": "service", "account": platform,
            "subject": format!("$JS.API.{tail}"), "local_subject": format!("{API_PREFIX}.{tail}") }));
    }
    Value::Array(imports)
}
