//! Making, changing and deleting the Applications of a set.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use mlp_crds::Application;
use mlp_crds::argocd::ApplicationSet;
use mlp_model::{Class, Classified as _};
use mlp_reconcile::Applied;
use mlp_reconcile::apply::Removal;
use serde_json::json;

use super::{MANAGER, SetReconciler};
use crate::domain::application_set::plan::{Plan, respecting, stranger, surplus};
use crate::domain::ignore::IgnoreRule;
use crate::error::Error;

/// Applications worked on at the same time.
const AT_ONCE: usize = 8;
/// Problems that the status names.
const NAMED: usize = 5;

/// What came of one Application.
enum Went {
    /// It is as wanted.
    Done,
    /// It is on its way.
    Waits(String),
    /// It cannot be.
    Failed(String),
}

impl SetReconciler {
    /// Does what the plan says; gives what could not be done, and whether to look again soon.
    pub(super) async fn apply(
        &self,
        set: &ApplicationSet,
        plan: &Plan,
        live: &BTreeMap<String, Application>,
        rules: &[IgnoreRule],
    ) -> Result<(Vec<String>, bool), Error> {
        let made = plan.apply.iter().map(|wanted| self.make(set, wanted, live, rules).boxed());
        let gone = plan.delete.iter().map(|name| self.delete(set, name).boxed());
        let all: Vec<BoxFuture<'_, _>> = made.chain(gone).collect();
        let went: Vec<_> = stream::iter(all).buffer_unordered(AT_ONCE).collect().await;
        let (mut problems, mut again) = (Vec::new(), false);
        for one in went {
            match one? {
                Went::Done => {}
                Went::Waits(message) => {
                    again = true;
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
        Ok((problems, again))
    }

    async fn make(
        &self,
        set: &ApplicationSet,
        wanted: &Application,
        live: &BTreeMap<String, Application>,
        rules: &[IgnoreRule],
    ) -> Result<Went, Error> {
        let name = wanted.name_any();
        let api = self.applications(set);
        let found = match live.get(&name) {
            Some(live) => Some(live.clone()),
            None => {
                let found = api.get_opt(&name).await;
                found.map_err(|source| Error::call(format!("read Application {name}"), source))?
            }
        };
        let Some(mut found) = found else {
            return went(&name, self.applier.apply(wanted).await);
        };
        if let Some(other) = stranger(set, &found) {
            return Ok(Went::Failed(format!("Application {name} is {other}'s; it is left alone")));
        }
        let (Ok(asked), Ok(there)) = (serde_json::to_value(wanted), serde_json::to_value(&found)) else {
            return Ok(Went::Failed(format!("Application {name} cannot be written")));
        };
        let asked = respecting(rules, &asked, &there);
        let more = asked.get("spec").zip(there.get("spec")).and_then(|(asked, there)| surplus(asked, there));
        if let Some(more) = more {
            let body = json!({"metadata": {"resourceVersion": found.resource_version()}, "spec": more});
            let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
            let patched = api.patch(&name, &params, &Patch::Merge(&body)).await;
            found = patched.map_err(|source| Error::call(format!("correct Application {name}"), source))?;
        }
        let Ok(asked) = serde_json::from_value::<Application>(asked) else {
            return Ok(Went::Failed(format!("Application {name} cannot be read any more")));
        };
        went(&name, self.applier.apply_with_live(Some(&found), &asked).await)
    }

    async fn delete(&self, set: &ApplicationSet, name: &str) -> Result<Went, Error> {
        let gone = self.applier.delete::<Application>(set.namespace().as_deref(), name).await;
        match gone {
            // Its finalizer has its objects deleted first; the watch tells when it is done.
            Ok(Removal::Gone | Removal::Deleting) => Ok(Went::Done),
            Err(error) => went(name, Err(error)),
        }
    }

    fn applications(&self, set: &ApplicationSet) -> Api<Application> {
        Api::namespaced(self.parts.client.clone(), &set.namespace().unwrap_or_default())
    }
}

fn went(name: &str, applied: Result<Applied, mlp_reconcile::Error>) -> Result<Went, Error> {
    let error = match applied {
        Ok(applied) => {
            if applied != Applied::Unchanged {
                tracing::info!(application = name, ?applied, "application of a set written");
            }
            return Ok(Went::Done);
        }
        Err(error) => error,
    };
    match error.class() {
        Class::Transient => Err(error.into()),
        Class::Waiting(_) => Ok(Went::Waits(format!("Application {name}: {error}"))),
        Class::Terminal => Ok(Went::Failed(format!("Application {name}: {error}"))),
    }
}
