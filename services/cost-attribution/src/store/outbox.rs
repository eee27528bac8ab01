//! Facts recorded with what they state, and not yet published.

use mlp_model::{Fact, FactId, OutboxStore};
use sqlx::{Sqlite, Transaction};

use super::{Doing as _, Error, Store, number, text};

/// Facts that may wait; beyond it no hour is closed.
pub(super) const LIMIT: i64 = 100_000;

/// Records a fact in the transaction of what it states. One that is there already stays.
pub(super) async fn record(transaction: &mut Transaction<'_, Sqlite>, fact: &Fact) -> Result<(), Error> {
    const ACTION: &str = "record a fact";
    sqlx::query(
        "INSERT INTO outbox (sequence, id, fact) \
         VALUES ((SELECT COALESCE(MAX(sequence), 0) + 1 FROM outbox), $1, $2) ON CONFLICT (id) DO NOTHING",
    )
    .bind(fact.id.as_str())
    .bind(serde_json::to_string(fact).doing(ACTION)?)
    .execute(&mut **transaction)
    .await
    .doing(ACTION)
    .map(|_| ())
}

pub(super) async fn waiting(transaction: &mut Transaction<'_, Sqlite>) -> Result<i64, Error> {
    const ACTION: &str = "count waiting facts";
    let row = sqlx::query("SELECT COUNT(*) AS waiting FROM outbox").fetch_one(&mut **transaction).await;
    number(&row.doing(ACTION)?, "waiting").doing(ACTION)
}

impl OutboxStore for Store {
    type Error = Error;

    async fn pending(&self, limit: usize) -> Result<Vec<Fact>, Error> {
        const ACTION: &str = "read waiting facts";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let query = sqlx::query("SELECT fact FROM outbox ORDER BY sequence LIMIT $1").bind(limit);
        let rows = query.fetch_all(&self.pool).await.doing(ACTION)?;
        let facts =
            rows.iter().map(|row| serde_json::from_str(&text(row, "fact").doing(ACTION)?).doing(ACTION));
        facts.collect()
    }

    async fn trim(&self, published: &[FactId]) -> Result<(), Error> {
        const ACTION: &str = "forget published facts";
        let _writing = self.writer.lock().await;
        let mut transaction = self.pool.begin().await.doing(ACTION)?;
        for id in published {
            let query = sqlx::query("DELETE FROM outbox WHERE id = $1").bind(id.as_str());
            query.execute(&mut *transaction).await.doing(ACTION)?;
        }
        transaction.commit().await.doing(ACTION)
    }
}
