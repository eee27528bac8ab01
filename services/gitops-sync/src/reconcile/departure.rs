//! Hooks of an Application's end, `PreDelete` before its objects go and `PostDelete` after: made, waited for, and cleared
//! away, with Argo CD's finalizers.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt as _};
use mlp_crds::Application;
use mlp_crds::argocd::{OperationState, ResourceStatus};
use mlp_reconcile::{Next, finalizer, status};

use super::apply::{Reached, Work, summary};
use super::hooks::{as_extra, policy};
use super::remove::{AGAIN, wait_for};
use super::render::{Desired, Rendered};
use super::{ASKING, AT_ONCE, ApplicationReconciler, until};
use crate::domain::SERVICE;
use crate::domain::departure::{self, Step};
use crate::domain::hold;
use crate::domain::hook::Phase;
use crate::domain::operation::{fail, succeed};
use crate::domain::picture::Picture;
use crate::domain::policy::{self as rules, Verdict};
use crate::domain::request::{self, Request};
use crate::domain::status::hook;
use crate::error::Error;

/// What the hooks of a phase came to.
enum Ended {
    /// They are done and gone, or there are none.
    Done,
    /// They are not; why, and when it is looked at again.
    Waits(String, Duration),
    /// The same, and it is written down why.
    Said(Duration),
}

impl ApplicationReconciler {
    /// Puts a finalizer for each phase of the end that git has hooks for, and takes off those that it has none for.
    pub(super) async fn expect_end(
        &self,
        mut application: Arc<Application>,
        rendered: &Rendered,
    ) -> Result<Arc<Application>, Error> {
        let api = self.namespaced(&application);
        for phase in departure::PHASES {
            let name = finalizer_of(phase);
            let wanted = rendered.ends.iter().any(|one| policy(one).runs_in(phase));
            if wanted {
                application = finalizer::ensure(&api, SERVICE, application, name).await?;
            } else if finalizer::has(&*application, name) {
                finalizer::remove(&api, SERVICE, &*application, name).await?;
                let now = api.get(&application.name_any()).await;
                application = now.map(Arc::new).map_err(|source| Error::call("read Application", source))?;
            }
        }
        Ok(application)
    }

    /// Does what is left of a phase of the end; none where nothing is.
    pub(super) async fn end_with(
        &self,
        application: &Arc<Application>,
        phase: Phase,
    ) -> Result<Option<Next>, Error> {
        let mut names = departure::finalizers(phase);
        let Some(name) = names.find(|name| finalizer::has(&**application, name)) else { return Ok(None) };
        match self.run_end(application, phase).await? {
            Ended::Done => {
                finalizer::remove(&self.namespaced(application), SERVICE, &**application, name).await?;
                Ok(Some(Next::After(AT_ONCE)))
            }
            Ended::Said(after) => Ok(Some(Next::After(after))),
            Ended::Waits(message, after) => {
                self.say_what_is_waited_for(Arc::clone(application), words(phase, &message)).await?;
                Ok(Some(Next::After(after)))
            }
        }
    }

    async fn run_end(&self, application: &Arc<Application>, phase: Phase) -> Result<Ended, Error> {
        let namespace = application.spec.destination.namespace.clone().unwrap_or_default();
        if self.is_going(&namespace).await? {
            let note = format!("hooks of {} were not run: namespace {namespace} is going", phase.as_str());
            self.recorder.warning(&**application, "HooksNotRun", "Delete", note).await;
            return Ok(Ended::Done);
        }
        let unread = |why: String| Ok(Ended::Waits(format!("they cannot be read: {why}"), ASKING));
        let request = match request::validate(&application.spec) {
            Ok(request) => request,
            Err(refusals) => return unread(request::words(&refusals)),
        };
        let permission = match self.permission(application, &request) {
            Ok(permission) => permission,
            Err(refused) => return unread(refused.message),
        };
        let last = application.status.as_ref().and_then(|status| status.operation_state.as_ref());
        let pinned = departure::begun_at(last, phase).or_else(|| hold::held(application.annotations()));
        let revisions = request.revisions(pinned.as_deref());
        let mut rendered = match self.render(application, &request, &permission, &revisions, false).await? {
            Ok(rendered) => rendered,
            Err(fault) => return unread(fault.message),
        };
        rendered.hooks = std::mem::take(&mut rendered.ends);
        rendered.hooks.retain(|one| policy(one).runs_in(phase));
        if rendered.hooks.is_empty() {
            return Ok(Ended::Done);
        }
        let findings = self.findings(application, rendered.hooks.iter());
        let barring: Vec<_> = findings.iter().filter(|one| one.verdict == Verdict::Deny).collect();
        if !barring.is_empty() {
            return Ok(Ended::Waits(rules::words(&barring), ASKING));
        }
        let now = Timestamp::now();
        match departure::next(last, phase, &request, &rendered.revision, now) {
            Step::Run(state) => self.go_on(application, &request, &rendered, phase, state).await,
            Step::Clear(state) => self.clear_away(application, &request, &rendered, phase, &state).await,
            Step::Wait(due, why) => Ok(Ended::Waits(why, until(due, now))),
            Step::GivenUp(why) => {
                Ok(Ended::Waits(format!("{why}; it is tried again once git holds another commit"), ASKING))
            }
        }
    }

    /// Runs the hooks on.
    async fn go_on(
        &self,
        application: &Arc<Application>,
        request: &Request,
        rendered: &Rendered,
        phase: Phase,
        mut state: OperationState,
    ) -> Result<Ended, Error> {
        // What is to be made is written down first: the way out finds it.
        let application = self.write_end(Arc::clone(application), phase, &state, &rendered.hooks).await?;
        let mut picture = match self.picture_of_end(&application, rendered).await? {
            Ok(picture) => picture,
            Err(gap) => return Ok(Ended::Waits(gap, AGAIN)),
        };
        let written = state.sync_result.clone().unwrap_or_default().resources;
        let instance = self.instance(&application);
        let work = Work { request, rendered, instance, written, approved: false };
        let reached = match self.end_earlier(&work, &picture, &state).await? {
            Some(message) => Reached::Waits(message),
            None => self.run_hooks(&work, phase, None, &mut picture, &mut state).await?,
        };
        let after = match reached {
            Reached::Waits(message) => {
                state.message = Some(message);
                AGAIN
            }
            Reached::ToBeWritten => {
                state.message = Some("what hooks came to is being written down".to_owned());
                AT_ONCE
            }
            Reached::Done => {
                succeed(&mut state, Timestamp::now());
                AT_ONCE
            }
            Reached::Failed(messages) => {
                fail(&mut state, request.retry, summary(&messages), Timestamp::now());
                AGAIN
            }
        };
        self.write_end(application, phase, &state, &rendered.hooks).await?;
        Ok(Ended::Said(after))
    }

    /// Deletes the hooks of a phase that is over: they go with their Application, whatever their policy.
    async fn clear_away(
        &self,
        application: &Application,
        request: &Request,
        rendered: &Rendered,
        phase: Phase,
        state: &OperationState,
    ) -> Result<Ended, Error> {
        let picture = match self.picture_of_end(application, rendered).await? {
            Ok(picture) => picture,
            Err(gap) => return Ok(Ended::Waits(gap, AGAIN)),
        };
        let begun = state.started_at.as_deref().unwrap_or_default();
        let is_of_phase = |attempt: &str| attempt.starts_with(begun) && attempt.ends_with(phase.as_str());
        let mut left = None;
        for one in picture.hooks.iter().filter(|one| is_of_phase(&one.live.attempt)) {
            if !one.live.deleting {
                self.delete(&as_extra(&one.id), request.pruning.propagation).await?;
            }
            left.get_or_insert(&one.id);
        }
        Ok(match left {
            None => Ended::Done,
            Some(id) => Ended::Waits(format!("waiting for hook {id} to be gone"), AGAIN),
        })
    }

    /// The Application's hooks as they are live, or why they are not known.
    async fn picture_of_end(
        &self,
        application: &Application,
        rendered: &Rendered,
    ) -> Result<Result<Picture, String>, Error> {
        let wanted: Vec<&Desired> = rendered.hooks.iter().collect();
        let mut gaps = Vec::new();
        let live = self.live(application, &wanted, false, &mut gaps).await?;
        if let Some(gap) = gaps.first() {
            return Ok(Err(format!("waiting: what is live is not known: {gap}")));
        }
        let (hooks, strangers) = self.live_hooks(&live, rendered, &self.instance(application));
        let revision = rendered.revision.clone();
        Ok(Ok(Picture { revision, hooks, strangers, ..Picture::default() }))
    }

    /// Writes down how far the hooks of a phase are.
    async fn write_end(
        &self,
        application: Arc<Application>,
        phase: Phase,
        state: &OperationState,
        hooks: &[Desired],
    ) -> Result<Arc<Application>, Error> {
        let mut next = application.status.clone().unwrap_or_default();
        next.operation_state = Some(state.clone());
        for hook in hooks.iter().map(|one| hook(&one.id, None)) {
            if !next.resources.iter().any(|known| is_same(known, &hook)) {
                next.resources.push(hook);
            }
        }
        if let Some(message) = &state.message {
            wait_for(&mut next, words(phase, message));
        }
        Ok(status::write(&self.namespaced(&application), SERVICE, application, &next).await?)
    }

    /// Whether nothing can be made in a namespace any more.
    async fn is_going(&self, namespace: &str) -> Result<bool, Error> {
        let found = Api::<Namespace>::all(self.client.clone()).get_opt(namespace).await;
        let found = found.map_err(|source| Error::call(format!("read namespace {namespace}"), source))?;
        Ok(found.is_none_or(|found| found.metadata.deletion_timestamp.is_some()))
    }
}

fn is_same(one: &ResourceStatus, other: &ResourceStatus) -> bool {
    (&one.group, &one.kind, &one.namespace, &one.name)
        == (&other.group, &other.kind, &other.namespace, &other.name)
}

/// What is said while the hooks of a phase are not done.
fn words(phase: Phase, message: &str) -> String {
    let name = finalizer_of(phase);
    format!("hooks of {}: {message} (without finalizer {name} they are not waited for)", phase.as_str())
}

/// The finalizer that we put for a phase.
fn finalizer_of(phase: Phase) -> &'static str {
    departure::finalizers(phase).next().unwrap_or_default()
}
