//! The store: the ledger, closed hours and the outbox, in one SQLite file.
//!
//! One writer at a time; what belongs together is one transaction. Queries are written so that
//! PostgreSQL takes them too. [`ledger`] holds what is known, [`hours`] what is closed, [`metering`] whom
//! it is metered for, [`outbox`] the facts not yet published.

mod hours;
pub mod ledger;
mod metering;
mod outbox;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use mlp_model::{Class, Classified};
use sqlx::Row as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use tokio::sync::Mutex;

pub use hours::{Closing, Statement, TotalRow};
pub use metering::Begun;

/// Readers at the same time.
const CONNECTIONS: u32 = 4;
/// How long a connection waits for another's write.
const BUSY: Duration = Duration::from_secs(5);

/// Why the store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused or could not be reached.
    #[error("cannot {action}")]
    Database {
        /// What was attempted.
        action: &'static str,
        /// The database's error.
        #[source]
        source: sqlx::Error,
    },
    /// The schema of the file is not one that this version can bring up to date.
    #[error("the schema of the store cannot be brought up to date; was the file written by a newer version?")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A row holds what this version did not write.
    #[error("cannot {action}: a row is not readable")]
    Row {
        /// What was attempted.
        action: &'static str,
        /// The decoder's error.
        #[source]
        source: serde_json::Error,
    },
    /// The parts of an hour do not add up to its nodes; the hour stays open.
    #[error("hour {hour} does not add up: the nodes cost {assets}, the shares {shares} nano-dollars")]
    Unbalanced {
        /// The hour.
        hour: i64,
        /// Cost of the nodes.
        assets: i64,
        /// Sum of the shares.
        shares: i64,
    },
    /// Too many facts wait for the broker; no hour is closed before it has taken some.
    #[error("{0} facts wait for the broker; hours are closed again once it has taken them")]
    OutboxFull(i64),
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Self::Database { .. } => Class::Transient,
            Self::OutboxFull(_) => Class::Waiting(Duration::from_secs(30)),
            Self::Migrate(_) | Self::Row { .. } | Self::Unbalanced { .. } => Class::Terminal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Database { .. } => "StoreUnavailable",
            Self::Migrate(_) => "StoreSchema",
            Self::Row { .. } => "StoreCorrupt",
            Self::Unbalanced { .. } => "HourUnbalanced",
            Self::OutboxFull(_) => "OutboxFull",
        }
    }
}

/// The store.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
    /// SQLite has one writer; queueing here is fairer and clearer than its busy handler.
    writer: std::sync::Arc<Mutex<()>>,
}

impl Store {
    /// Opens the file, making it and its folder where they are missing, and brings its schema up to
    /// date.
    ///
    /// # Errors
    /// [`Error`]; the folder cannot be made, the file is no store, or a newer version wrote it.
    pub async fn open(file: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Database { action: "open the store", source };
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(sqlx::Error::Io(error)))?;
        }
        let address = format!("sqlite://{}", file.display());
        let options = SqliteConnectOptions::from_str(&address)
            .map_err(failed)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A closed hour survives a crash of the machine, not only of the process.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(BUSY);
        let pool = pool.connect_with(options).await.map_err(failed)?;
        sqlx::migrate!("./migrations").run(&pool).await.map_err(Error::Migrate)?;
        Ok(Self { pool, writer: std::sync::Arc::default() })
    }

    /// Closes all connections, so that the file is whole.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Names what was attempted.
trait Doing<T> {
    fn doing(self, action: &'static str) -> Result<T, Error>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, action: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Database { action, source })
    }
}

impl<T> Doing<T> for Result<T, serde_json::Error> {
    fn doing(self, action: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Row { action, source })
    }
}

fn text(row: &SqliteRow, column: &'static str) -> Result<String, sqlx::Error> {
    row.try_get(column)
}

fn number(row: &SqliteRow, column: &'static str) -> Result<i64, sqlx::Error> {
    row.try_get(column)
}

fn maybe(row: &SqliteRow, column: &'static str) -> Result<Option<i64>, sqlx::Error> {
    row.try_get(column)
}

#[cfg(test)]
mod tests;
