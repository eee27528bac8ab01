//! The grammar of subjects: `mlp.<context>.<fact>.v<major>.<team>.<aggregate-id>`.
//!
//! A [`Topic`] is valid by construction. Redriven messages carry the same tokens behind
//! `mlp.redrive.<durable>`, dead letters behind `mlp.deadletter.<durable>`.

use std::fmt;
use std::str::FromStr;

use mlp_model::name::PLATFORM;
use mlp_model::{Context, Fact, TeamName};

/// First token of every subject of ours.
pub const ROOT: &str = "mlp";
/// Second token of a message sent back to one consumer.
pub const REDRIVE: &str = "redrive";
/// Second token of a dead letter.
pub const DEAD_LETTER: &str = "deadletter";
/// Stands for the fact's tokens where a dead letter's subject was not one of ours.
pub const MALFORMED: &str = "malformed";

/// The longest aggregate id or fact name; a Kubernetes uid has 36 characters.
const TOKEN_MAX: usize = 64;

/// The validated tokens of a fact's subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Topic {
    /// The stating context.
    pub context: Context,
    /// Kebab-case fact name.
    pub fact: String,
    /// Major version of the message type; at least 1.
    pub major: u32,
    /// A team's name, or `_platform`.
    pub team: String,
    /// uid of the aggregate.
    pub aggregate: String,
}

/// Why a text is no subject of a fact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// The number of tokens or the first one is wrong.
    #[error("`{0}` is not mlp.<context>.<fact>.v<major>.<team>.<aggregate-id>")]
    Shape(String),
    /// The context is none of ours.
    #[error("context `{0}` is not one of team, provision, gitops, cost, health")]
    Context(String),
    /// The fact is not kebab-case.
    #[error("fact `{0}` is not kebab-case; write lower-case words joined by single hyphens")]
    Fact(String),
    /// The version is not `v` and a number from 1.
    #[error("version `{0}` is not v1, v2, …")]
    Version(String),
    /// The team is neither a team's name nor `_platform`.
    #[error("team `{0}` is neither a team's name nor `_platform`")]
    Team(String),
    /// The aggregate id has characters that a subject token cannot carry.
    #[error("aggregate id `{0}` is not 1 to 64 letters, digits, hyphens or underscores")]
    Aggregate(String),
    /// The durable name has characters that a subject token cannot carry.
    #[error("consumer `{0}` is not 1 to 64 letters, digits, hyphens or underscores")]
    Durable(String),
}

impl Topic {
    /// The subject a fact is published on.
    ///
    /// # Errors
    /// [`SubjectError`] when one of the fact's parts is no valid token.
    pub fn of(fact: &Fact) -> Result<Self, SubjectError> {
        fact.nats_subject().parse()
    }

    /// The subject that sends this fact to one consumer alone.
    pub fn redrive(&self, durable: &str) -> String {
        format!("{ROOT}.{REDRIVE}.{durable}.{}", self.tail())
    }

    /// The subject of this fact's dead letter.
    pub fn dead_letter(&self, durable: &str) -> String {
        format!("{ROOT}.{DEAD_LETTER}.{durable}.{}", self.tail())
    }

    /// Reads a delivered subject: a fact's own, or one redriven to `durable`.
    ///
    /// # Errors
    /// [`SubjectError`] when the text is neither.
    pub fn delivered(subject: &str) -> Result<Self, SubjectError> {
        let rest = subject.strip_prefix("mlp.redrive.").and_then(|rest| rest.split_once('.'));
        match rest {
            Some((_durable, tail)) => format!("{ROOT}.{tail}").parse(),
            None => subject.parse(),
        }
    }

    /// The subject with its aggregate left out: low in number, so fit for span names and metrics.
    pub fn template(&self) -> String {
        let (context, fact, major) = (self.context.as_str(), &self.fact, self.major);
        format!("{ROOT}.{context}.{fact}.v{major}.{{team}}.{{aggregate}}")
    }

    fn tail(&self) -> String {
        let (context, fact, major) = (self.context.as_str(), &self.fact, self.major);
        format!("{context}.{fact}.v{major}.{}.{}", self.team, self.aggregate)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{ROOT}.{}", self.tail())
    }
}

impl FromStr for Topic {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let tokens: Vec<&str> = text.split('.').collect();
        let &[ROOT, context, fact, version, team, aggregate] = tokens.as_slice() else {
            return Err(SubjectError::Shape(text.to_owned()));
        };
        let found = Context::ALL.into_iter().find(|known| known.as_str() == context);
        let context = found.ok_or_else(|| SubjectError::Context(context.to_owned()))?;
        if !is_kebab(fact) {
            return Err(SubjectError::Fact(fact.to_owned()));
        }
        let major = read_major(version).ok_or_else(|| SubjectError::Version(version.to_owned()))?;
        if team != PLATFORM && team.parse::<TeamName>().is_err() {
            return Err(SubjectError::Team(team.to_owned()));
        }
        if !is_token(aggregate) {
            return Err(SubjectError::Aggregate(aggregate.to_owned()));
        }
        let (fact, team, aggregate) = (fact.to_owned(), team.to_owned(), aggregate.to_owned());
        Ok(Self { context, fact, major, team, aggregate })
    }
}

/// Checks a durable consumer's name: it is a subject token, a metric label and a file name at once.
///
/// # Errors
/// [`SubjectError::Durable`] when it is not.
pub fn check_durable(name: &str) -> Result<(), SubjectError> {
    if is_token(name) { Ok(()) } else { Err(SubjectError::Durable(name.to_owned())) }
}

fn is_token(text: &str) -> bool {
    let inner = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    inner && !text.is_empty() && text.len() <= TOKEN_MAX
}

fn is_kebab(text: &str) -> bool {
    let word =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.len() <= TOKEN_MAX && text.split('-').all(word)
}

fn read_major(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('v')?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|&major| plain && major > 0)
}

#[cfg(test)]
mod tests;
