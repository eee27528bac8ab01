//! Making, changing and deleting the Applications of a set.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt as _};
use mlp_crds::Application;
use mlp_crds::argocd::ApplicationSet;
use mlp_model::{Class, Classified as _};
use mlp_reconcile::{Applied, Error};
use serde_json::{Map, Value, json};

use super::{MANAGER, SOON, SetReconciler};
use crate::domain::application_set::plan::{
    Plan, finalizers_that_stay, respecting, stranger, surplus, without_owner,
};
use crate::domain::ignore::IgnoreRule;

/// Applications worked on at the same time.
const AT_ONCE: usize = 8;
/// Problems that the status names.
const NAMED: usize = 5;

/// What came of one Application.
enum Went {
    /// It is as wanted.
    Done,
    /// It is on its way; when to look again.
    Waits(String, Duration),
    /// It cannot be.
    Failed(String),
}

impl SetReconciler {
    /// Does what the plan says; gives what could not be done, and when to look again for it.
    pub(super) async fn apply(
        &self,
        set: &ApplicationSet,
        plan: &Plan,
        live: &BTreeMap<String, Arc<Application>>,
        rules: &[IgnoreRule],
    ) -> (Vec<String>, Option<Duration>) {
        let made = plan.apply.iter().map(|wanted| self.make(set, wanted, live, rules).boxed());
        let gone = plan.delete.iter().filter_map(|name| live.get(name));
        let gone = gone.map(|one| self.delete(set, one).boxed());
        let all: Vec<BoxFuture<'_, _>> = made.chain(gone).collect();
        let went: Vec<_> = stream::iter(all).buffer_unordered(AT_ONCE).collect().await;
        let (mut problems, mut again) = (Vec::new(), None);
        for one in went {
            match one {
                Went::Done => {}
                Went::Waits(message, delay) => {
                    again = Some(again.map_or(delay, |other: Duration| other.min(delay)));
                    problems.push(message);
                }
                Went::Failed(message) => problems.push(message),
            }
        }
        problems.sort();
        if problems.len() > NAMED {
            let more = problems.len() - NAMED;
            problems.truncate(NAMED);
            problems.push(format!("and {more} more"));
        }
        (problems, again)
    }

    async fn make(
        &self,
        set: &ApplicationSet,
        wanted: &Application,
        live: &BTreeMap<String, Arc<Application>>,
        rules: &[IgnoreRule],
    ) -> Went {
        let name = wanted.name_any();
        went(&name, self.made(set, wanted, live.get(&name).map(|one| &**one), rules).await)
    }

    async fn made(
        &self,
        set: &ApplicationSet,
        wanted: &Application,
        known: Option<&Application>,
        rules: &[IgnoreRule],
    ) -> Result<Option<String>, Error> {
        let (name, api) = (wanted.name_any(), self.of(set));
        let encode = |source| Error::Encode { action: format!("write Application {name}"), source };
        let found = match known {
            Some(known) => Some(known.clone()),
            None => {
                let found = api.get_opt(&name).await;
                found.map_err(|source| Error::of(format!("read Application {name}"), source))?
            }
        };
        let Some(mut found) = found else {
            self.applier.apply(wanted).await?;
            tracing::info!(application = name, "application of a set made");
            return Ok(None);
        };
        if let Some(other) = stranger(set, &found) {
            return Ok(Some(format!("Application {name} is {other}'s; it is left alone")));
        }
        let asked = serde_json::to_value(wanted).map_err(encode)?;
        let there = serde_json::to_value(&found).map_err(encode)?;
        let asked = respecting(rules, &asked, &there);
        let more = asked.get("spec").zip(there.get("spec")).and_then(|(asked, there)| surplus(asked, there));
        let stay = finalizers_that_stay(wanted, &found);
        if more.is_some() || stay.is_some() {
            let mut metadata =
                Map::from_iter([("resourceVersion".to_owned(), json!(found.resource_version()))]);
            metadata.extend(stay.map(|stay| ("finalizers".to_owned(), json!(stay))));
            let mut body = Map::from_iter([("metadata".to_owned(), Value::Object(metadata))]);
            body.extend(more.map(|more| ("spec".to_owned(), more)));
            let patched = api.patch(&name, &as_us(), &Patch::Merge(&body)).await;
            found = patched.map_err(|source| Error::of(format!("correct Application {name}"), source))?;
        }
        let asked: Application = serde_json::from_value(asked).map_err(encode)?;
        let applied = self.applier.apply_with_live(Some(&found), &asked).await?;
        if applied != Applied::Unchanged {
            tracing::info!(application = name, ?applied, "application of a set written");
        }
        Ok(None)
    }

    /// Deletes the very Application that was found not to be wanted, as it was then.
    async fn delete(&self, set: &ApplicationSet, one: &Application) -> Went {
        // Its finalizer has its objects deleted first; the watch tells when it is done.
        if one.metadata.deletion_timestamp.is_some() {
            return Went::Done;
        }
        let name = one.name_any();
        let preconditions = Preconditions { uid: one.uid(), resource_version: one.resource_version() };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.of(set).delete(&name, &params).await {
            Ok(_) => tracing::info!(application = name, "application of a set deleted"),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(source) => {
                return went(&name, Err(Error::of(format!("delete Application {name}"), source)));
            }
        }
        Went::Done
    }

    /// Has the Applications of a set that may delete none outlive it.
    pub(super) async fn let_go(&self, set: &ApplicationSet) -> Result<(), crate::error::Error> {
        for (name, one) in self.live(set) {
            let Some(owners) = without_owner(set, &one) else { continue };
            let body =
                json!({"metadata": {"resourceVersion": one.resource_version(), "ownerReferences": owners}});
            let patched = self.of(set).patch(&name, &as_us(), &Patch::Merge(&body)).await;
            patched.map_err(|source| Error::of(format!("let go of Application {name}"), source))?;
        }
        Ok(())
    }

    /// Applications beside the set.
    fn of(&self, set: &ApplicationSet) -> Api<Application> {
        Api::namespaced(self.parts.client.clone(), &set.namespace().unwrap_or_default())
    }
}

/// How the loop writes.
pub(super) fn as_us() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() }
}

fn went(name: &str, done: Result<Option<String>, Error>) -> Went {
    let error = match done {
        Ok(None) => return Went::Done,
        Ok(Some(problem)) => return Went::Failed(problem),
        Err(error) => error,
    };
    let message = format!("Application {name}: {error}");
    match error.class() {
        Class::Transient => Went::Waits(message, SOON),
        Class::Waiting(delay) => Went::Waits(message, delay),
        Class::Terminal => Went::Failed(message),
    }
}
