//! Tombstones: made when a team goes, and taken away when its names are free.

use std::sync::Arc;

use jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt as _};
use mlp_crds::{Team, TeamTombstone};
use mlp_model::labels;
use mlp_reconcile::conditions::{self, Finding, READY};
use mlp_reconcile::{Error as CallError, Next, Reconciler, status};
use serde_json::json;

use super::{TeamReconciler, past, report};
use crate::domain::{SERVICE, tombstone};

impl TeamReconciler {
    /// Keeps the names of a team that goes, where the site does and the team ever had them: one that only asked
    /// for another's namespace would else keep it from its owner. Said twice it is one.
    pub(super) async fn bury(&self, team: &Team) -> Result<(), CallError> {
        if !report::was_isolated(team) {
            return Ok(());
        }
        let Some(spec) = tombstone::of(team, self.site.reservation, Timestamp::now()) else { return Ok(()) };
        let name = team.name_any();
        let stones = Api::<TeamTombstone>::all(self.client.clone());
        let action = format!("write the TeamTombstone {name}");
        let there = stones.get_opt(&name).await.map_err(|source| CallError::of(action.clone(), source))?;
        if there.is_some_and(|there| there.spec.team_uid == spec.team_uid) {
            return Ok(());
        }
        let stone = json!({
            "apiVersion": "mlplatform.dev/v1alpha1", "kind": "TeamTombstone",
            "metadata": {"name": name, "labels": {labels::MANAGED_BY: SERVICE}}, "spec": spec,
        });
        let written = stones.patch(&name, &PatchParams::apply(SERVICE).force(), &Patch::Apply(&stone)).await;
        written.map(drop).map_err(|source| CallError::of(action, source))
    }
}

/// Says of each tombstone until when it holds, and takes it away then.
pub(super) struct TombstoneReconciler {
    stones: Api<TeamTombstone>,
}

impl TombstoneReconciler {
    /// Writes through `client`.
    pub(super) fn new(client: kube::Client) -> Self {
        Self { stones: Api::all(client) }
    }

    async fn remove(&self, stone: &TeamTombstone) -> Result<(), CallError> {
        // As it was judged: a team of the name that goes at this moment writes it anew.
        let preconditions = Preconditions { uid: stone.uid(), resource_version: stone.resource_version() };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        let name = stone.name_any();
        let deleted = self.stones.delete(&name, &params).await;
        match deleted.map_err(|source| CallError::of(format!("delete the TeamTombstone {name}"), source)) {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }
}

impl Reconciler<TeamTombstone> for TombstoneReconciler {
    type Error = CallError;

    async fn reconcile(&self, stone: Arc<TeamTombstone>) -> Result<Next, CallError> {
        let now = Timestamp::now();
        let Some(until) = tombstone::kept_until(&stone.spec, now) else {
            return self.remove(&stone).await.map(|()| Next::Done);
        };
        let generation = stone.metadata.generation;
        let mut next = stone.status.clone().unwrap_or_default();
        next.observed_generation = generation;
        let said = "nobody else gets the names; delete this to free them at once".to_owned();
        conditions::set(&mut next.conditions, Finding::new(READY, true, "Reserved", said), generation, now);
        status::write(&self.stones, SERVICE, stone, &next).await?;
        Ok(Next::After(past(until, now)))
    }
}
