//! Whom it is metered for. A fact older than the one that changed a row last is not heard.

use mlp_model::Fact;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Doing as _, Error, Store, maybe, number, outbox, text};
use crate::domain::hour::Metered;
use crate::domain::time::Millis;

/// What [`Store::begin_metering`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Metering of this uid begins; its fact is recorded.
    New,
    /// It had begun; namespaces or cost centre changed.
    Changed,
    /// What is known is as new or newer.
    Stale,
}

impl Store {
    /// Meters a team, with the fact that says so recorded in the same transaction; `event` is the id of
    /// the fact that this follows, or empty for a look at the resource.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn begin_metering(&self, team: &Metered, event: &str, started: &Fact) -> Result<Begun, Error> {
        const ACTION: &str = "begin to meter a team";
        let _writing = self.writer.lock().await;
        let mut transaction = self.pool.begin().await.doing(ACTION)?;
        let found = sqlx::query("SELECT * FROM metering WHERE uid = $1").bind(&team.uid);
        let known = found.fetch_optional(&mut *transaction).await.doing(ACTION)?;
        let known = known.as_ref().map(metered).transpose()?;
        // A look at the resource (version 0) is as new as whatever it shows.
        let begun = match &known {
            None => Begun::New,
            Some(known) if team.version != 0 && known.version >= team.version => Begun::Stale,
            Some(known)
                if (&known.namespaces, &known.cost_center) == (&team.namespaces, &team.cost_center)
                    && team.version == 0 =>
            {
                Begun::Stale
            }
            Some(_) => Begun::Changed,
        };
        if begun == Begun::Stale {
            return Ok(begun);
        }
        let version = team.version.max(known.map_or(0, |known| known.version));
        sqlx::query(
            "INSERT INTO metering (uid, team, cost_center, namespaces, started, version, event) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (uid) DO UPDATE SET \
             cost_center = excluded.cost_center, namespaces = excluded.namespaces, \
             version = excluded.version, event = excluded.event",
        )
        .bind(&team.uid)
        .bind(&team.team)
        .bind(&team.cost_center)
        .bind(serde_json::to_string(&team.namespaces).doing(ACTION)?)
        .bind(team.from)
        .bind(i64::try_from(version).unwrap_or(i64::MAX))
        .bind(event)
        .execute(&mut *transaction)
        .await
        .doing(ACTION)?;
        if begun == Begun::New {
            outbox::record(&mut transaction, started).await?;
        }
        transaction.commit().await.doing(ACTION)?;
        Ok(begun)
    }

    /// Ends the metering of a team's uid, where it is metered; an end that is known stays.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn end_metering(
        &self,
        uid: &str,
        at: Millis,
        version: u64,
        event: &str,
    ) -> Result<bool, Error> {
        let _writing = self.writer.lock().await;
        let query = sqlx::query(
            "UPDATE metering SET ended = $1, version = $2, event = $3 WHERE uid = $4 AND ended IS NULL",
        )
        .bind(at)
        .bind(i64::try_from(version).unwrap_or(i64::MAX))
        .bind(event)
        .bind(uid);
        let done = query.execute(&self.pool).await.doing("end the metering of a team")?;
        Ok(done.rows_affected() > 0)
    }

    /// Ends the metering of whatever team of this name is metered: the Team is gone, and no fact told.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn end_metering_of(&self, team: &str, at: Millis) -> Result<bool, Error> {
        let _writing = self.writer.lock().await;
        let query = sqlx::query("UPDATE metering SET ended = $1 WHERE team = $2 AND ended IS NULL")
            .bind(at)
            .bind(team);
        let done = query.execute(&self.pool).await.doing("end the metering of a team")?;
        Ok(done.rows_affected() > 0)
    }

    /// Every team that is or was metered, by name and start.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn metered(&self) -> Result<Vec<Metered>, Error> {
        let query = sqlx::query("SELECT * FROM metering ORDER BY team, started");
        let rows = query.fetch_all(&self.pool).await.doing("list metered teams")?;
        rows.iter().map(metered).collect()
    }
}

pub(super) fn metered(row: &SqliteRow) -> Result<Metered, Error> {
    const ACTION: &str = "read a metered team";
    let version: i64 = row.try_get("version").doing(ACTION)?;
    Ok(Metered {
        team: text(row, "team").doing(ACTION)?,
        uid: text(row, "uid").doing(ACTION)?,
        cost_center: text(row, "cost_center").doing(ACTION)?,
        namespaces: serde_json::from_str(&text(row, "namespaces").doing(ACTION)?).doing(ACTION)?,
        from: number(row, "started").doing(ACTION)?,
        until: maybe(row, "ended").doing(ACTION)?,
        version: u64::try_from(version).unwrap_or(0),
    })
}
