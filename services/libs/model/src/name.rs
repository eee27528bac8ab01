//! Names of teams and of event subjects' tokens, valid by construction.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The token that stands in a subject where no team is concerned.
pub const PLATFORM: &str = "_platform";

/// The longest team name. A team's namespaces are `<team>-<suffix>`, and a namespace is a DNS
/// label of at most 63 characters (RFC 1123): 40 leaves 22 for the suffix.
pub const TEAM_NAME_MAX: usize = 40;

/// Names that would collide with Kubernetes' or the platform's own namespaces and groups.
pub const RESERVED_TEAM_NAMES: [&str; 8] =
    ["default", "kube", "system", "platform", "mlp", "istio", "monitoring", "argocd"];

/// A team's name: a DNS label of at most [`TEAM_NAME_MAX`] characters that is not reserved.
///
/// ```
/// # use mlp_model::TeamName;
/// assert!("ml".parse::<TeamName>().is_ok());
/// assert!("kube-system".parse::<TeamName>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TeamName(String);

/// Why a name was refused. The message says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name has no characters.
    #[error("the name is empty; write one to {TEAM_NAME_MAX} characters")]
    Empty,
    /// The name has more than [`TEAM_NAME_MAX`] characters.
    #[error("the name has {0} characters; shorten it to at most {TEAM_NAME_MAX}")]
    TooLong(usize),
    /// The name is not a DNS label.
    #[error(
        "`{0}` is not a DNS label; use lower-case letters, digits and inner hyphens, starting with a letter"
    )]
    NotALabel(String),
    /// The name, or its first part, belongs to Kubernetes or to the platform.
    #[error("`{0}` is reserved for Kubernetes or the platform; choose another name")]
    Reserved(String),
}

impl TeamName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TeamName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > TEAM_NAME_MAX {
            return Err(NameError::TooLong(text.len()));
        }
        if !is_dns_label(text) {
            return Err(NameError::NotALabel(text.to_owned()));
        }
        let first_part = text.split('-').next().unwrap_or(text);
        if RESERVED_TEAM_NAMES.contains(&first_part) {
            return Err(NameError::Reserved(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for TeamName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<TeamName> for String {
    fn from(name: TeamName) -> Self {
        name.0
    }
}

impl fmt::Display for TeamName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Whether `text` is an RFC 1123 label that starts with a letter (RFC 1035), as Kubernetes asks
/// of Services and namespaces that get a DNS name.
pub fn is_dns_label(text: &str) -> bool {
    let starts_with_letter = text.starts_with(|c: char| c.is_ascii_lowercase());
    let ends_well = text.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inner = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    text.len() <= 63 && starts_with_letter && ends_well && inner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_labels_and_refuses_the_rest() {
        for good in ["ml", "data", "app", "team-7", "a"] {
            assert!(good.parse::<TeamName>().is_ok(), "{good}");
        }
        let long = "a".repeat(41);
        for (bad, reason) in [
            ("", NameError::Empty),
            (long.as_str(), NameError::TooLong(41)),
            ("Ml", NameError::NotALabel("Ml".into())),
            ("7up", NameError::NotALabel("7up".into())),
            ("ml-", NameError::NotALabel("ml-".into())),
            ("m.l", NameError::NotALabel("m.l".into())),
            ("kube-system", NameError::Reserved("kube-system".into())),
            ("platform", NameError::Reserved("platform".into())),
        ] {
            assert_eq!(bad.parse::<TeamName>(), Err(reason));
        }
    }

    #[test]
    fn serde_refuses_what_parse_refuses() {
        assert!(serde_json::from_str::<TeamName>("\"Kube\"").is_err());
        assert_eq!(serde_json::to_string(&TeamName("ml".into())).ok(), Some("\"ml\"".into()));
    }
}
