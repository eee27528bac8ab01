//! Closed hours: written once, in one transaction with the facts that state them, and never changed.

use futures::TryStreamExt as _;
use mlp_model::Fact;
use sqlx::{Sqlite, Transaction};

use super::{Doing as _, Error, Store, maybe, number, outbox, text};
use crate::domain::allocate::{Allocation, Cost, Share};
use crate::domain::hour::{Closed, shown_as, totals};
use crate::domain::time::{Hour, Millis};

/// How long the ledger keeps what ended before the last closed hour: for looks into the past only.
const LEDGER_REST: Millis = 24 * 3_600_000;

/// Everything that closing an hour writes.
#[derive(Clone, Debug)]
pub struct Closing<'a> {
    /// The hour.
    pub hour: Hour,
    /// Who paid.
    pub allocation: &'a Allocation,
    /// What is stated.
    pub closed: &'a [Closed],
    /// The statements as facts, in the same order.
    pub facts: &'a [Fact],
    /// Now.
    pub now: Millis,
    /// The oldest hour that is kept.
    pub oldest: Hour,
}

/// One statement of a closed hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Grows with each statement.
    pub sequence: u64,
    /// What is stated.
    pub closed: Closed,
}

/// What one team paid for one namespace, summed over hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotalRow {
    /// The team.
    pub team: String,
    /// The namespace.
    pub namespace: String,
    /// The cost centre.
    pub cost_center: String,
    /// The sum.
    pub cost: Cost,
    /// Whether something has no price.
    pub unpriced: bool,
}

impl Store {
    /// When metering of this store began: `now`, the first time.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn origin(&self, now: Millis) -> Result<Millis, Error> {
        const ACTION: &str = "read when metering began";
        let _writing = self.writer.lock().await;
        sqlx::query("INSERT INTO marks (name, value) VALUES ('origin', $1) ON CONFLICT (name) DO NOTHING")
            .bind(now)
            .execute(&self.pool)
            .await
            .doing(ACTION)?;
        let row = sqlx::query("SELECT value FROM marks WHERE name = 'origin'").fetch_one(&self.pool).await;
        number(&row.doing(ACTION)?, "value").doing(ACTION)
    }

    /// The last closed hour.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn last_closed(&self) -> Result<Option<Hour>, Error> {
        const ACTION: &str = "read the last closed hour";
        let row =
            sqlx::query("SELECT MAX(hour) AS hour FROM hours").fetch_one(&self.pool).await.doing(ACTION)?;
        Ok(maybe(&row, "hour").doing(ACTION)?.map(Hour))
    }

    /// Closes an hour; false where it was closed already.
    ///
    /// # Errors
    /// [`Error::Unbalanced`] where the shares do not add up to the nodes, [`Error::OutboxFull`], or an
    /// error of the database; nothing is written then.
    pub async fn close_hour(&self, closing: &Closing<'_>) -> Result<bool, Error> {
        const ACTION: &str = "close an hour";
        let shares =
            closing.allocation.shares.iter().fold(Cost::default(), |sum, share| sum.plus(share.cost));
        let stated = closing.closed.iter().fold(Cost::default(), |sum, closed| sum.plus(closed.total.cost));
        if shares != closing.allocation.assets || stated != closing.allocation.assets {
            let (assets, shares) = (closing.allocation.assets.total(), shares.total());
            return Err(Error::Unbalanced { hour: closing.hour.0, assets, shares });
        }
        let _writing = self.writer.lock().await;
        let mut transaction = self.pool.begin().await.doing(ACTION)?;
        let waiting = outbox::waiting(&mut transaction).await?;
        if waiting > outbox::LIMIT {
            return Err(Error::OutboxFull(waiting));
        }
        let Cost { cpu, memory, gpu } = closing.allocation.assets;
        let inserted = sqlx::query(
            "INSERT INTO hours (hour, cpu, memory, gpu, closed) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (hour) DO NOTHING",
        )
        .bind(closing.hour.0)
        .bind(cpu)
        .bind(memory)
        .bind(gpu)
        .bind(closing.now)
        .execute(&mut *transaction)
        .await
        .doing(ACTION)?;
        if inserted.rows_affected() == 0 {
            return Ok(false);
        }
        write_shares(&mut transaction, closing).await?;
        write_totals(&mut transaction, closing).await?;
        for closed in closing.closed {
            write_statement(&mut transaction, closed).await?;
        }
        for fact in closing.facts {
            outbox::record(&mut transaction, fact).await?;
        }
        forget(&mut transaction, closing).await?;
        transaction.commit().await.doing(ACTION)?;
        Ok(true)
    }

    /// Totals by team and namespace over closed hours, `from` inclusive, `to` exclusive.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn totals(&self, from: Hour, to: Hour) -> Result<Vec<TotalRow>, Error> {
        const ACTION: &str = "read totals";
        let query = sqlx::query(
            "SELECT team, namespace, MAX(cost_center) AS cost_center, SUM(cpu) AS cpu, SUM(memory) AS memory, \
             SUM(gpu) AS gpu, MAX(unpriced) AS unpriced FROM totals WHERE hour >= $1 AND hour < $2 \
             GROUP BY team, namespace ORDER BY team, namespace",
        )
        .bind(from.0)
        .bind(to.0);
        let rows = query.fetch_all(&self.pool).await.doing(ACTION)?;
        let read = |row| -> Result<TotalRow, sqlx::Error> {
            Ok(TotalRow {
                team: text(row, "team")?,
                namespace: text(row, "namespace")?,
                cost_center: text(row, "cost_center")?,
                cost: Cost {
                    cpu: number(row, "cpu")?,
                    memory: number(row, "memory")?,
                    gpu: number(row, "gpu")?,
                },
                unpriced: number(row, "unpriced")? > 0,
            })
        };
        rows.iter().map(read).collect::<Result<_, _>>().doing(ACTION)
    }

    /// Cost of all nodes over closed hours.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn assets(&self, from: Hour, to: Hour) -> Result<i64, Error> {
        const ACTION: &str = "read the cost of nodes";
        let query = sqlx::query(
            "SELECT COALESCE(SUM(cpu + memory + gpu), 0) AS total FROM hours WHERE hour >= $1 AND hour < $2",
        )
        .bind(from.0)
        .bind(to.0);
        let row = query.fetch_one(&self.pool).await.doing(ACTION)?;
        number(&row, "total").doing(ACTION)
    }

    /// Hands each share of closed hours of one team, or of all where it is empty, to `take`, in the
    /// order of hours. Rows are read as they are taken: a month of them does not fit in memory.
    ///
    /// # Errors
    /// [`Error`] of the database, or a row that is not readable.
    pub async fn each_share(
        &self,
        (from, to): (Hour, Hour),
        team: &str,
        mut take: impl FnMut(Share) + Send,
    ) -> Result<(), Error> {
        const ACTION: &str = "read shares";
        let query = sqlx::query(
            "SELECT share FROM shares WHERE hour >= $1 AND hour < $2 AND ($3 = '' OR team = $3) \
             ORDER BY hour, position",
        )
        .bind(from.0)
        .bind(to.0)
        .bind(team);
        let mut rows = query.fetch(&self.pool);
        while let Some(row) = rows.try_next().await.doing(ACTION)? {
            take(serde_json::from_str(&text(&row, "share").doing(ACTION)?).doing(ACTION)?);
        }
        Ok(())
    }

    /// Statements after a sequence, at most `limit`, of one team or of all where it is empty.
    ///
    /// # Errors
    /// [`Error`] of the database, or a row that is not readable.
    pub async fn statements(&self, after: u64, team: &str, limit: i64) -> Result<Vec<Statement>, Error> {
        const ACTION: &str = "read statements";
        let query = sqlx::query(
            "SELECT sequence, statement FROM statements WHERE sequence > $1 AND ($2 = '' OR team = $2) \
             ORDER BY sequence LIMIT $3",
        )
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(team)
        .bind(limit);
        let rows = query.fetch_all(&self.pool).await.doing(ACTION)?;
        let mut statements = Vec::with_capacity(rows.len());
        for row in &rows {
            let sequence = u64::try_from(number(row, "sequence").doing(ACTION)?).unwrap_or(0);
            let closed = serde_json::from_str(&text(row, "statement").doing(ACTION)?).doing(ACTION)?;
            statements.push(Statement { sequence, closed });
        }
        Ok(statements)
    }
}

async fn write_shares(transaction: &mut Transaction<'_, Sqlite>, closing: &Closing<'_>) -> Result<(), Error> {
    const ACTION: &str = "write shares";
    for (position, share) in closing.allocation.shares.iter().enumerate() {
        let (team, _, namespace) = shown_as(share);
        sqlx::query(
            "INSERT INTO shares (hour, position, team, namespace, share) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(closing.hour.0)
        .bind(i64::try_from(position).unwrap_or(i64::MAX))
        .bind(team)
        .bind(namespace)
        .bind(serde_json::to_string(share).doing(ACTION)?)
        .execute(&mut **transaction)
        .await
        .doing(ACTION)?;
    }
    Ok(())
}

async fn write_totals(transaction: &mut Transaction<'_, Sqlite>, closing: &Closing<'_>) -> Result<(), Error> {
    for (team, total) in totals(closing.allocation) {
        for (namespace, cost) in &total.namespaces {
            sqlx::query(
                "INSERT INTO totals (hour, team, namespace, cost_center, cpu, memory, gpu, unpriced) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(closing.hour.0)
            .bind(&team)
            .bind(namespace)
            .bind(&total.cost_center)
            .bind(cost.cpu)
            .bind(cost.memory)
            .bind(cost.gpu)
            .bind(i64::from(total.unpriced))
            .execute(&mut **transaction)
            .await
            .doing("write totals")?;
        }
    }
    Ok(())
}

async fn write_statement(transaction: &mut Transaction<'_, Sqlite>, closed: &Closed) -> Result<(), Error> {
    const ACTION: &str = "write a statement";
    sqlx::query(
        "INSERT INTO statements (sequence, hour, team, uid, statement) \
         VALUES ((SELECT COALESCE(MAX(sequence), 0) + 1 FROM statements), $1, $2, $3, $4)",
    )
    .bind(closed.hour.0)
    .bind(&closed.team)
    .bind(&closed.uid)
    .bind(serde_json::to_string(closed).doing(ACTION)?)
    .execute(&mut **transaction)
    .await
    .doing(ACTION)
    .map(|_| ())
}

/// Drops what is older than the retention, and of the ledger what no open hour needs.
async fn forget(transaction: &mut Transaction<'_, Sqlite>, closing: &Closing<'_>) -> Result<(), Error> {
    const ACTION: &str = "forget old hours";
    let ended = closing.hour.start().saturating_sub(LEDGER_REST);
    for (query, bound) in [
        ("DELETE FROM shares WHERE hour < $1", closing.oldest.0),
        ("DELETE FROM totals WHERE hour < $1", closing.oldest.0),
        ("DELETE FROM statements WHERE hour < $1", closing.oldest.0),
        ("DELETE FROM hours WHERE hour < $1", closing.oldest.0),
        ("DELETE FROM pods WHERE ended < $1", ended),
        ("DELETE FROM nodes WHERE ended < $1", ended),
        ("DELETE FROM claims WHERE ended < $1", ended),
    ] {
        sqlx::query(query).bind(bound).execute(&mut **transaction).await.doing(ACTION)?;
    }
    Ok(())
}
