//! A fact: a statement, in the past tense, about one transition of one aggregate.
//!
//! The custom resource is the record; a fact only speaks of it (design section 2). Its id is the
//! same however often it is published, and `(aggregate, version)` lets a consumer fence.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The bounded context that states facts; one JetStream stream each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Context {
    /// team-isolation.
    Team,
    /// provisioner.
    Provision,
    /// gitops-sync.
    Gitops,
    /// cost-attribution.
    Cost,
    /// health-monitor.
    Health,
}

impl Context {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Team, Self::Provision, Self::Gitops, Self::Cost, Self::Health];

    /// The subject token and protobuf package part.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::Provision => "provision",
            Self::Gitops => "gitops",
            Self::Cost => "cost",
            Self::Health => "health",
        }
    }

    /// The JetStream stream that stores the context's facts.
    pub const fn stream(self) -> &'static str {
        match self {
            Self::Team => "TEAM",
            Self::Provision => "PROVISION",
            Self::Gitops => "GITOPS",
            Self::Cost => "COST",
            Self::Health => "HEALTH",
        }
    }
}

/// The deterministic id of a fact: CloudEvents `id` and `Nats-Msg-Id` at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FactId(String);

impl FactId {
    /// Derives the id from what makes the fact unique: the aggregate's kind and uid, the number
    /// of the transition, and the message type.
    pub fn derive(kind: &str, uid: &str, version: u64, message_type: &str) -> Self {
        let digest = Sha256::digest(format!("{kind}/{uid}/{version}/{message_type}").as_bytes());
        let prefix = digest.iter().take(16);
        Self(prefix.map(|byte| format!("{byte:02x}")).collect())
    }

    /// Takes an id as read from a message.
    pub fn from_wire(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FactId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a domain says happened; the outbox adds version and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactDraft {
    /// The stating context.
    pub context: Context,
    /// Kebab-case fact name, for example `team-isolated`.
    pub name: &'static str,
    /// Full protobuf message name, for example `mlp.team.events.v1.TeamIsolated`.
    pub message_type: &'static str,
    /// Kind of the aggregate, for example `Team`.
    pub kind: &'static str,
    /// uid of the aggregate.
    pub uid: String,
    /// The team concerned, or [`crate::name::PLATFORM`].
    pub team: String,
    /// CloudEvents `subject`: the aggregate's path, for example `teams/ml` or `databases/ml-team/features`.
    pub subject: String,
    /// Encoded protobuf message.
    pub data: Vec<u8>,
    /// `traceparent` of the flow the fact belongs to.
    pub flow: String,
}

/// A fact, ready to publish. Serialized form is what a status outbox holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fact {
    /// Deterministic id.
    pub id: FactId,
    /// The stating context.
    pub context: Context,
    /// Kebab-case fact name.
    pub name: String,
    /// Full protobuf message name; its package's last part is the major version.
    pub message_type: String,
    /// The team concerned, or `_platform`.
    pub team: String,
    /// uid of the aggregate.
    pub aggregate: String,
    /// Transition number of the aggregate within its kind; grows by one with each fact.
    pub version: u64,
    /// CloudEvents `subject`.
    pub subject: String,
    /// RFC 3339 time of the transition.
    pub time: String,
    /// Encoded protobuf message, base64 in JSON.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    #[schemars(with = "String")]
    pub data: Vec<u8>,
    /// `traceparent` of the flow (its root), the same for every fact of the flow.
    pub flow: String,
    /// `traceparent` of the span that recorded the fact, where one was active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl Fact {
    /// The major version in the message type's package (`….v1.Name` is 1), or 1 where there is none.
    pub fn major(&self) -> u32 {
        let mut parts = self.message_type.rsplit('.');
        let _message = parts.next();
        parts.next().and_then(|package| package.strip_prefix('v')?.parse().ok()).unwrap_or(1)
    }

    /// `mlp.<context>.<fact>.v<major>.<team>.<aggregate-id>` (design section 3).
    pub fn nats_subject(&self) -> String {
        let (context, name, major) = (self.context.as_str(), &self.name, self.major());
        format!("mlp.{context}.{name}.v{major}.{}.{}", self.team, self.aggregate)
    }
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    BASE64.decode(text).map_err(serde::de::Error::custom)
}
