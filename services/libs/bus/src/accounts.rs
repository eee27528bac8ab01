//! A NATS account per team: operator mode, accounts as JWTs.
//!
//! One operator seed is the root of everything: the keys of accounts and users are derived from it
//! and from what they are for, so issuing is idempotent and nothing else needs storing. The platform
//! account exports three subjects, each bound to the importing account by its public key:
//!
//! - `mlp.deliver.<account>.<context>`, on which a consumer that the platform made delivers;
//! - `$JS.FC.<stream>.<account>.*`, the flow control of that consumer;
//! - `$JS.API.CONSUMER.RESET.<stream>.<account>`, by which the team's own stream resumes it.
//!
//! So a team can neither make a consumer on the platform's account nor see another team's. Its
//! account holds the stream `EVENTS`, sourced through these, and its credentials read that alone.

mod claims;
mod jwt;
mod keyring;
mod operator;
mod team;

pub use claims::TeamLimits;
pub use keyring::{Keyring, KeyringError, Party};
pub use operator::{OperatorMode, render};
pub use team::{AccountsError, Team, TeamAccounts};

/// The stream in a team's account that holds its facts.
pub const EVENTS: &str = "EVENTS";
/// Where the platform's JetStream API is seen in a team's account; its users may not publish there.
const API_PREFIX: &str = "mlp.platform.API";

/// The subject on which a context's facts reach an account.
fn deliver_subject(account: &str, context: mlp_model::Context) -> String {
    format!("mlp.deliver.{account}.{}", context.as_str())
}
