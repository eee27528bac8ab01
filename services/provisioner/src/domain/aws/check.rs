//! What AWS refuses, found before the call. Both public fakes of AWS accept all of it.

use mlp_model::{Class, Classified, Secret};

use super::version::{Version, cache_engine_version};
use crate::domain::model::{Engine, Kind, Wish};

/// Why AWS cannot meet a wish. Each message names the field and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The identifier is taken by something that does not carry our tag.
    #[error(
        "{identifier} exists in AWS and is not ours (tag mlplatform.dev/uid differs); remove it or rename the request"
    )]
    OwnedByAnother {
        /// The identifier.
        identifier: String,
    },
    /// No instance type is large enough.
    #[error("spec.resources: AWS offers no instance with {cpu} cores and {memory} memory; ask for less")]
    TooLarge {
        /// As written.
        cpu: String,
        /// As written.
        memory: String,
    },
    /// The engine's version is none that AWS offers or takes.
    #[error("spec.version: AWS does not offer {engine} {version}; {remedy}")]
    Version {
        /// The engine.
        engine: &'static str,
        /// As written.
        version: String,
        /// What to write.
        remedy: &'static str,
    },
    /// RDS would have to go back to an older version.
    #[error(
        "spec.version: {running} runs and AWS does not go back to {wanted}; restore a backup into a new Database"
    )]
    Downgrade {
        /// What runs.
        running: String,
        /// As written.
        wanted: String,
    },
    /// The name of the owner is reserved.
    #[error("spec.username: `{0}` is reserved by RDS for PostgreSQL; choose another")]
    Username(String),
    /// The name of the database is reserved or malformed.
    #[error("spec.databaseName: `{0}` is not a name that RDS for PostgreSQL takes; choose another")]
    DatabaseName(String),
    /// Backups cannot be kept that long.
    #[error("days that backups are kept: {0} is above 35, the most that AWS keeps; write less")]
    Retention(u32),
    /// Storage is more than RDS has, or no quantity.
    #[error("spec.storage: `{0}` is not an amount that RDS offers; write 20Gi to 64Ti")]
    Storage(String),
    /// Failover needs a second member.
    #[error("spec.highAvailability: ElastiCache fails over to a replica only; set spec.replicas to 1 to 5")]
    NoReplica,
    /// The password is none that AWS takes.
    #[error("the password is not one that AWS takes: {0}")]
    Password(&'static str),
}

impl Classified for Refusal {
    fn class(&self) -> Class {
        Class::Terminal
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::OwnedByAnother { .. } => "OwnedByAnother",
            Self::TooLarge { .. } => "NoSuchInstanceClass",
            Self::Version { .. } => "VersionNotOffered",
            Self::Downgrade { .. } => "VersionGoesDown",
            Self::Username(_) => "UsernameReserved",
            Self::DatabaseName(_) => "DatabaseNameReserved",
            Self::Retention(_) => "RetentionTooLong",
            Self::Storage(_) => "StorageOutOfRange",
            Self::NoReplica => "FailoverNeedsReplica",
            Self::Password(_) => "PasswordNotAccepted",
        }
    }
}

const RETENTION_DAYS_MAX: u32 = 35;
const REPLICAS_MAX: u32 = 5;

/// Names that RDS for PostgreSQL keeps to itself.
const RESERVED_BY_RDS: [&str; 6] = ["admin", "db", "none", "postgres", "public", "rdsadmin"];

/// PostgreSQL 15's reserved key words (its appendix C).
const RESERVED_WORDS: &str = "\
    all analyse analyze and any array as asc asymmetric both case cast check collate column constraint \
    create current_catalog current_date current_role current_time current_timestamp current_user \
    default deferrable desc distinct do else end except false fetch for foreign from grant group \
    having in initially intersect into lateral leading limit localtime localtimestamp not null offset \
    on only or order placing primary references returning select session_user some symmetric \
    system_user table then to trailing true union unique user using variadic when where window";

/// Checks what a database needs in AWS.
///
/// # Errors
/// The first [`Refusal`] met.
pub fn database(wish: &Wish) -> Result<(), Refusal> {
    retention(wish)?;
    if Version::parse(&wish.version).is_none() {
        let remedy = "write major or major.minor, for example 15 or 15.8";
        return Err(Refusal::Version { engine: wish.engine.as_str(), version: wish.version.clone(), remedy });
    }
    let reserved_role = wish.username.starts_with("pg_") || wish.username.starts_with("rds");
    if reserved_role || !is_free_name(&wish.username) {
        return Err(Refusal::Username(wish.username.clone()));
    }
    match wish.database.as_deref() {
        Some(name) if is_free_name(name) => Ok(()),
        other => Err(Refusal::DatabaseName(other.unwrap_or_default().to_owned())),
    }
}

/// Checks what a cache needs in AWS; gives the engine version to ask for.
///
/// # Errors
/// The first [`Refusal`] met.
pub fn cache(wish: &Wish) -> Result<String, Refusal> {
    retention(wish)?;
    if wish.high_availability && !(1..=REPLICAS_MAX).contains(&wish.replicas) {
        return Err(Refusal::NoReplica);
    }
    let remedy = match wish.engine {
        Engine::Redis => "write 7, 7.0, 7.1 or 6.2, or set spec.engine to valkey for later ones",
        Engine::Valkey | Engine::Postgres => "write 7.2 or a later one",
    };
    cache_engine_version(wish.engine, &wish.version).ok_or_else(|| Refusal::Version {
        engine: wish.engine.as_str(),
        version: wish.version.clone(),
        remedy,
    })
}

/// Checks the password: RDS takes 8 to 128 printable ASCII characters without `/`, `"`, `@` and
/// space; ElastiCache 16 to 128 letters, digits and some signs. The message never holds it.
///
/// # Errors
/// [`Refusal::Password`] saying what is wrong.
pub fn password(kind: Kind, password: &Secret<String>) -> Result<(), Refusal> {
    let text = password.expose();
    let (lengths, takes): (_, fn(char) -> bool) = match kind {
        Kind::Database => (8..=128, |c| c.is_ascii_graphic() && !"/\"@".contains(c)),
        Kind::Cache => (16..=128, |c| c.is_ascii_alphanumeric() || "!&#$^<>-".contains(c)),
    };
    if !lengths.contains(&text.len()) {
        return Err(Refusal::Password("its length is not 8 (a cache: 16) to 128 characters"));
    }
    if !text.chars().all(takes) {
        return Err(Refusal::Password(
            "it has characters other than letters, digits and the few signs taken",
        ));
    }
    Ok(())
}

fn retention(wish: &Wish) -> Result<(), Refusal> {
    match wish.retention_days {
        0..=RETENTION_DAYS_MAX => Ok(()),
        more => Err(Refusal::Retention(more)),
    }
}

/// Whether RDS takes the text as the name of a role or of a database.
fn is_free_name(name: &str) -> bool {
    let starts_with_letter = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let inner = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let lower = name.to_ascii_lowercase();
    let reserved =
        RESERVED_BY_RDS.contains(&lower.as_str()) || RESERVED_WORDS.split(' ').any(|word| word == lower);
    starts_with_letter && inner && (1..=63).contains(&name.len()) && !reserved
}
