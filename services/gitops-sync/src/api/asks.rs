//! What callers ask of an Application, written into it: a sync, its end, a rollback, a release. The reconciler does the rest.

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use mlp_crds::Application;
use mlp_crds::argocd::{HistoryEntry, SyncOperation};
use mlp_host::grpc::status_from;
use mlp_proto::gitops::api::v1 as proto;
use serde_json::{Value, json};
use tonic::Status;

use crate::domain::hold::{HELD_BY, HOLD, PRUNES, revision_of};
use crate::domain::operation::{self, RUNNING, phase};
use crate::domain::termination::TERMINATING;
use crate::domain::{REFRESH, request, revision, selection};

/// What a caller wishes of an Application.
#[derive(Clone, Copy)]
pub(super) enum Wish<'a> {
    Sync(&'a proto::SyncApplicationRequest),
    Terminate,
    Rollback(&'a proto::RollbackApplicationRequest),
    Release,
}

/// Writes wishes, as one field manager.
#[derive(Clone)]
pub(super) struct Asks {
    client: kube::Client,
    manager: &'static str,
}

impl Asks {
    pub(super) const fn new(client: kube::Client, manager: &'static str) -> Self {
        Self { client, manager }
    }

    /// Does it.
    ///
    /// # Errors
    /// `Aborted` where the Application is another by now; else what keeps it from being done.
    pub(super) async fn carry_out(
        &self,
        application: &Application,
        wish: Wish<'_>,
        user: &str,
    ) -> Result<Application, Status> {
        match wish {
            Wish::Sync(wish) => self.sync(application, wish, user).await,
            Wish::Terminate => self.terminate(application).await,
            Wish::Rollback(wish) => self.rollback(application, wish, user).await,
            Wish::Release => self.release(application).await,
        }
    }

    /// Writes `operation`, unless one waits or runs.
    async fn sync(
        &self,
        application: &Application,
        wish: &proto::SyncApplicationRequest,
        user: &str,
    ) -> Result<Application, Status> {
        if is_under_way(application) {
            return Err(Status::failed_precondition(
                "a sync is under way already; wait for its end, or terminate it",
            ));
        }
        let revision = Some(wish.revision.clone()).filter(|revision| !revision.is_empty());
        let wanted =
            SyncOperation { revision, prune: wish.prune, dry_run: wish.dry_run, ..SyncOperation::default() };
        self.write("ask for a sync", application, json!({}), Some(operation(user, &wanted))).await
    }

    /// Takes back what was asked for, or has what runs ended.
    async fn terminate(&self, application: &Application) -> Result<Application, Status> {
        const ACTION: &str = "terminate the sync";
        // What was asked for stays at the object for a while after it began: it must not begin again.
        let waits = application.operation.is_some().then_some(Value::Null);
        let refresh = json!({REFRESH: "normal"});
        match phase(application) {
            Some(RUNNING) => {}
            Some(TERMINATING) => return self.write(ACTION, application, refresh, waits).await,
            _ if waits.is_some() => return self.write(ACTION, application, json!({}), waits).await,
            _ => return Err(Status::failed_precondition("no sync is under way")),
        }
        let body = json!({
            "metadata": {"resourceVersion": application.resource_version()},
            "status": {"operationState": {"phase": TERMINATING}},
        });
        let api = self.api(application);
        let ended = api.patch_status(&application.name_any(), &self.params(), &Patch::Merge(&body)).await;
        let ended = ended.map_err(|source| status_from(&mlp_reconcile::Error::of(ACTION, source)))?;
        // A change of the status alone wakes nobody.
        self.write(ACTION, &ended, refresh, waits).await
    }

    /// Holds the Application at an entry of its history, and syncs to it.
    async fn rollback(
        &self,
        application: &Application,
        wish: &proto::RollbackApplicationRequest,
        user: &str,
    ) -> Result<Application, Status> {
        let runs_by_hand = is_under_way(application) && !is_automated(application);
        if runs_by_hand {
            return Err(Status::failed_precondition(
                "a sync that somebody asked for is under way; terminate it first",
            ));
        }
        let request = request::validate(&application.spec)
            .map_err(|refusals| Status::failed_precondition(request::words(&refusals)))?;
        let entry = entry(application, wish.id)?;
        let revision = revision_of(entry, &request).map_err(Status::failed_precondition)?;
        let (one, several) = revision::apart(&revision, request.several);
        let named = Some(one).filter(|_| !request.several);
        // It takes the place of one of automated sync that runs.
        let wanted = SyncOperation {
            revision: named,
            revisions: several,
            prune: wish.prune,
            ..SyncOperation::default()
        };
        let operation = Some(operation(user, &wanted));
        let prunes = wish.prune.then_some("true");
        self.write(
            "roll back",
            application,
            json!({HOLD: revision, HELD_BY: user, PRUNES: prunes}),
            operation,
        )
        .await
    }

    /// Takes the hold away.
    async fn release(&self, application: &Application) -> Result<Application, Status> {
        if !application.annotations().contains_key(HOLD) {
            return Err(Status::failed_precondition("it is not held"));
        }
        self.write("release", application, json!({HOLD: null, HELD_BY: null, PRUNES: null}), None).await
    }

    /// Writes annotations, and an operation or that there is none, where the Application is still the same.
    async fn write(
        &self,
        action: &'static str,
        application: &Application,
        annotations: Value,
        operation: Option<Value>,
    ) -> Result<Application, Status> {
        let metadata = json!({"resourceVersion": application.resource_version(), "annotations": annotations});
        let body = match operation {
            Some(operation) => json!({"metadata": metadata, "operation": operation}),
            None => json!({ "metadata": metadata }),
        };
        let api = self.api(application);
        let patched = api.patch(&application.name_any(), &self.params(), &Patch::Merge(&body)).await;
        patched.map_err(|source| status_from(&mlp_reconcile::Error::of(action, source)))
    }

    fn api(&self, application: &Application) -> Api<Application> {
        Api::namespaced(self.client.clone(), &application.namespace().unwrap_or_default())
    }

    fn params(&self) -> PatchParams {
        PatchParams { field_manager: Some(self.manager.into()), ..PatchParams::default() }
    }
}

fn operation(user: &str, sync: &SyncOperation) -> Value {
    json!({"initiatedBy": {"username": user}, "sync": sync})
}

fn is_under_way(application: &Application) -> bool {
    application.operation.is_some() || matches!(phase(application), Some(RUNNING | TERMINATING))
}

fn is_automated(application: &Application) -> bool {
    let state = application.status.as_ref().and_then(|status| status.operation_state.as_ref());
    application.operation.is_none() && state.is_some_and(operation::is_automated)
}

/// The entry with this number; with 0, the last one of another revision than what is there, or was tried last.
fn entry(application: &Application, id: i64) -> Result<&HistoryEntry, Status> {
    let history = application.status.as_ref().map(|status| status.history.as_slice()).unwrap_or_default();
    let found = if id == 0 {
        let state = application.status.as_ref().and_then(|status| status.operation_state.as_ref());
        let whole = state.filter(|state| !selection::is_partial(&state.operation));
        let tried = whole.and_then(|state| state.sync_result.as_ref()).map(revision::begun);
        let current = tried.filter(|text| !text.is_empty()).or_else(|| history.last().map(revision::entered));
        history.iter().rev().find(|entry| Some(revision::entered(entry)) != current)
    } else {
        history.iter().find(|entry| entry.id == id)
    };
    found.ok_or_else(|| {
        let known: Vec<String> = history.iter().map(|entry| entry.id.to_string()).collect();
        Status::not_found(format!("the history has no such entry; it has: {}", known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(history: &[(i64, &str)]) -> Application {
        let history: Vec<_> =
            history.iter().map(|(id, revision)| json!({"id": id, "revision": revision})).collect();
        serde_json::from_value(
            json!({"metadata": {"name": "shop"}, "spec": {"project": "default", "destination": {}},
            "status": {"history": history}}),
        )
        .unwrap()
    }

    #[test]
    fn without_a_number_one_goes_back_to_the_revision_before() {
        let application = application(&[(4, "a"), (5, "b"), (6, "c"), (7, "c")]);
        assert_eq!(entry(&application, 0).unwrap().id, 5);
        assert_eq!(entry(&application, 4).unwrap().id, 4);
        // One that hangs or failed is what one goes back from, and never was in the history.
        let mut hangs = application.clone();
        let state = json!({"operation": {"sync": {}}, "phase": "Running", "syncResult": {"revision": "d"}});
        hangs.status.as_mut().unwrap().operation_state = Some(serde_json::from_value(state).unwrap());
        assert_eq!(entry(&hangs, 0).unwrap().id, 7);
        assert!(entry(&application, 9).unwrap_err().message().contains("it has: 4, 5, 6, 7"));
    }
}
