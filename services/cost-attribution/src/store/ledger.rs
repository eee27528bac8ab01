//! What is known about when things ran. A sighting that teaches nothing writes nothing.

use std::collections::BTreeSet;

use mlp_crds::PriceSheetSpec;
use sqlx::sqlite::SqliteRow;

use super::{Doing as _, Error, Store, maybe, number, text};
use crate::domain::ledger::{NamespaceRecord, NodeRecord, PodRecord};
use crate::domain::time::{Millis, Span};

/// What is known that bears on a span.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Nodes.
    pub nodes: Vec<NodeRecord>,
    /// Pods.
    pub pods: Vec<PodRecord>,
    /// Namespaces.
    pub namespaces: Vec<NamespaceRecord>,
    /// Price sheets by name.
    pub sheets: Vec<(String, PriceSheetSpec)>,
    /// Namespaces that hold storage.
    pub with_claims: BTreeSet<String>,
}

impl Store {
    /// Records what was seen of a pod. Another pod of its name has ended by then.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn see_pod(&self, seen: &PodRecord) -> Result<(), Error> {
        const ACTION: &str = "record a pod";
        let _writing = self.writer.lock().await;
        let found = sqlx::query("SELECT * FROM pods WHERE uid = $1").bind(&seen.uid);
        let known = found.fetch_optional(&self.pool).await.doing(ACTION)?;
        let known = known.as_ref().map(pod).transpose()?;
        let merged = known.as_ref().map_or_else(|| seen.clone(), |known| known.clone().merge(seen));
        if known.as_ref() == Some(&merged) {
            return Ok(());
        }
        let mut transaction = self.pool.begin().await.doing(ACTION)?;
        sqlx::query(
            "UPDATE pods SET ended = $1 WHERE namespace = $2 AND name = $3 AND uid <> $4 AND ended IS NULL",
        )
        .bind(merged.started)
        .bind(&merged.namespace)
        .bind(&merged.name)
        .bind(&merged.uid)
        .execute(&mut *transaction)
        .await
        .doing(ACTION)?;
        sqlx::query(
            "INSERT INTO pods (uid, namespace, name, node, controller, started, ended, requests) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (uid) DO UPDATE SET started = excluded.started, ended = excluded.ended, \
             requests = excluded.requests, controller = excluded.controller",
        )
        .bind(&merged.uid)
        .bind(&merged.namespace)
        .bind(&merged.name)
        .bind(&merged.node)
        .bind(serde_json::to_string(&merged.controller).doing(ACTION)?)
        .bind(merged.started)
        .bind(merged.ended)
        .bind(serde_json::to_string(&merged.requests).doing(ACTION)?)
        .execute(&mut *transaction)
        .await
        .doing(ACTION)?;
        transaction.commit().await.doing(ACTION)
    }

    /// Records that a pod is gone: it ended at `at`, unless it is known to have ended before.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn end_pod(&self, uid: &str, at: Millis) -> Result<(), Error> {
        let _writing = self.writer.lock().await;
        sqlx::query("UPDATE pods SET ended = $1 WHERE uid = $2 AND ended IS NULL")
            .bind(at)
            .bind(uid)
            .execute(&self.pool)
            .await
            .doing("record the end of a pod")
            .map(|_| ())
    }

    /// uids that have not ended, of the table of a kind.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn open_uids(&self, kind: Kind) -> Result<BTreeSet<String>, Error> {
        const ACTION: &str = "list what has not ended";
        let query = match kind {
            Kind::Pod => "SELECT uid FROM pods WHERE ended IS NULL",
            Kind::Node => "SELECT uid FROM nodes WHERE ended IS NULL",
            Kind::Claim => "SELECT uid FROM claims WHERE ended IS NULL",
        };
        let rows = sqlx::query(query).fetch_all(&self.pool).await.doing(ACTION)?;
        rows.iter().map(|row| text(row, "uid")).collect::<Result<_, _>>().doing(ACTION)
    }

    /// Records what was seen of a node.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn see_node(&self, seen: &NodeRecord) -> Result<(), Error> {
        const ACTION: &str = "record a node";
        let _writing = self.writer.lock().await;
        let found = sqlx::query("SELECT * FROM nodes WHERE uid = $1").bind(&seen.uid);
        let known = found.fetch_optional(&self.pool).await.doing(ACTION)?;
        let known = known.as_ref().map(node).transpose()?;
        let merged = known.as_ref().map_or_else(|| seen.clone(), |known| known.clone().merge(seen));
        if known.as_ref() == Some(&merged) {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO nodes (uid, name, pool, started, ended, states) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (uid) DO UPDATE SET started = excluded.started, ended = excluded.ended, \
             states = excluded.states, pool = excluded.pool",
        )
        .bind(&merged.uid)
        .bind(&merged.name)
        .bind(&merged.pool)
        .bind(merged.started)
        .bind(merged.ended)
        .bind(serde_json::to_string(&merged.states).doing(ACTION)?)
        .execute(&self.pool)
        .await
        .doing(ACTION)
        .map(|_| ())
    }

    /// Records that a node is gone.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn end_node(&self, uid: &str, at: Millis) -> Result<(), Error> {
        let _writing = self.writer.lock().await;
        sqlx::query("UPDATE nodes SET ended = $1 WHERE uid = $2 AND ended IS NULL")
            .bind(at)
            .bind(uid)
            .execute(&self.pool)
            .await
            .doing("record the end of a node")
            .map(|_| ())
    }

    /// Records whose a namespace is.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn see_namespace(&self, seen: &NamespaceRecord) -> Result<(), Error> {
        const ACTION: &str = "record a namespace";
        let _writing = self.writer.lock().await;
        let found = sqlx::query("SELECT * FROM namespaces WHERE uid = $1").bind(&seen.uid);
        let known = found.fetch_optional(&self.pool).await.doing(ACTION)?;
        let known = known.as_ref().map(namespace).transpose()?;
        let merged = known.as_ref().map_or_else(|| seen.clone(), |known| known.clone().merge(seen));
        if known.as_ref() == Some(&merged) {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO namespaces (uid, name, started, states) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (uid) DO UPDATE SET started = excluded.started, states = excluded.states",
        )
        .bind(&merged.uid)
        .bind(&merged.name)
        .bind(merged.started)
        .bind(serde_json::to_string(&merged.states).doing(ACTION)?)
        .execute(&self.pool)
        .await
        .doing(ACTION)
        .map(|_| ())
    }

    /// Records a claim that holds storage, or its end.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn see_claim(&self, uid: &str, namespace: &str, ended: Option<Millis>) -> Result<(), Error> {
        let _writing = self.writer.lock().await;
        sqlx::query(
            "INSERT INTO claims (uid, namespace, ended) VALUES ($1, $2, $3) \
             ON CONFLICT (uid) DO UPDATE SET ended = excluded.ended WHERE claims.ended IS NULL",
        )
        .bind(uid)
        .bind(namespace)
        .bind(ended)
        .execute(&self.pool)
        .await
        .doing("record a claim")
        .map(|_| ())
    }

    /// Keeps a price sheet, or forgets it; says whether that changed anything.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn keep_sheet(&self, name: &str, spec: Option<&PriceSheetSpec>) -> Result<bool, Error> {
        const ACTION: &str = "keep a price sheet";
        let _writing = self.writer.lock().await;
        let query = match spec {
            Some(spec) => sqlx::query(
                "INSERT INTO sheets (name, spec) VALUES ($1, $2) \
                 ON CONFLICT (name) DO UPDATE SET spec = excluded.spec WHERE sheets.spec <> excluded.spec",
            )
            .bind(name)
            .bind(serde_json::to_string(spec).doing(ACTION)?),
            None => sqlx::query("DELETE FROM sheets WHERE name = $1").bind(name),
        };
        let done = query.execute(&self.pool).await.doing(ACTION)?;
        Ok(done.rows_affected() > 0)
    }

    /// Everything known that bears on a span.
    ///
    /// # Errors
    /// [`Error`] of the database, or a row that is not readable.
    pub async fn ledger(&self, span: Span) -> Result<Ledger, Error> {
        const ACTION: &str = "read the ledger";
        let mut ledger = Ledger::default();
        let during = "started < $1 AND (ended IS NULL OR ended > $2)";
        let pods = format!("SELECT * FROM pods WHERE {during} ORDER BY uid");
        for row in self.rows(pods, span).await? {
            ledger.pods.push(pod(&row)?);
        }
        let nodes = format!("SELECT * FROM nodes WHERE {during} ORDER BY uid");
        for row in self.rows(nodes, span).await? {
            ledger.nodes.push(node(&row)?);
        }
        for row in
            sqlx::query("SELECT * FROM namespaces ORDER BY uid").fetch_all(&self.pool).await.doing(ACTION)?
        {
            ledger.namespaces.push(namespace(&row)?);
        }
        for row in
            sqlx::query("SELECT * FROM sheets ORDER BY name").fetch_all(&self.pool).await.doing(ACTION)?
        {
            let spec = serde_json::from_str(&text(&row, "spec").doing(ACTION)?).doing(ACTION)?;
            ledger.sheets.push((text(&row, "name").doing(ACTION)?, spec));
        }
        let claims = sqlx::query("SELECT DISTINCT namespace FROM claims WHERE ended IS NULL OR ended > $1")
            .bind(span.start);
        for row in claims.fetch_all(&self.pool).await.doing(ACTION)? {
            ledger.with_claims.insert(text(&row, "namespace").doing(ACTION)?);
        }
        Ok(ledger)
    }

    async fn rows(&self, query: String, span: Span) -> Result<Vec<SqliteRow>, Error> {
        // Built of constants of this file; no input enters the text.
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(span.end).bind(span.start);
        query.fetch_all(&self.pool).await.doing("read the ledger")
    }
}

/// Kinds whose end is known from a list that lacks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Pods.
    Pod,
    /// Nodes.
    Node,
    /// Claims.
    Claim,
}

fn pod(row: &SqliteRow) -> Result<PodRecord, Error> {
    const ACTION: &str = "read a pod";
    Ok(PodRecord {
        uid: text(row, "uid").doing(ACTION)?,
        namespace: text(row, "namespace").doing(ACTION)?,
        name: text(row, "name").doing(ACTION)?,
        node: text(row, "node").doing(ACTION)?,
        controller: serde_json::from_str(&text(row, "controller").doing(ACTION)?).doing(ACTION)?,
        started: number(row, "started").doing(ACTION)?,
        ended: maybe(row, "ended").doing(ACTION)?,
        requests: serde_json::from_str(&text(row, "requests").doing(ACTION)?).doing(ACTION)?,
    })
}

fn node(row: &SqliteRow) -> Result<NodeRecord, Error> {
    const ACTION: &str = "read a node";
    Ok(NodeRecord {
        uid: text(row, "uid").doing(ACTION)?,
        name: text(row, "name").doing(ACTION)?,
        pool: text(row, "pool").doing(ACTION)?,
        started: number(row, "started").doing(ACTION)?,
        ended: maybe(row, "ended").doing(ACTION)?,
        states: serde_json::from_str(&text(row, "states").doing(ACTION)?).doing(ACTION)?,
    })
}

fn namespace(row: &SqliteRow) -> Result<NamespaceRecord, Error> {
    const ACTION: &str = "read a namespace";
    Ok(NamespaceRecord {
        uid: text(row, "uid").doing(ACTION)?,
        name: text(row, "name").doing(ACTION)?,
        started: number(row, "started").doing(ACTION)?,
        states: serde_json::from_str(&text(row, "states").doing(ACTION)?).doing(ACTION)?,
    })
}
