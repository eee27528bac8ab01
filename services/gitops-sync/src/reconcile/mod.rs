//! One look at one Application: validate, render, observe, decide, apply, report.
//!
//! [`source`] reads git and has tools make manifests, [`render`] makes objects of them, [`observe`] lists what is live, `domain::operation` decides, [`apply`], [`write`] and [`hooks`] make the
//! calls, [`rehearse`] only asks what would come of them, [`view`] what a revision would change, [`policies`] which rules it breaks, [`orphans`] what is nobody's, [`report`] writes status and facts; [`remove`] is the way out, [`departure`] its hooks, [`watch`] wakes Applications whose
//! objects change, [`news`] those for which git holds something else; [`sets`] makes Applications of ApplicationSets. An Application that is as git says costs reads only.

mod apply;
mod credentials;
mod departure;
mod healths;
mod hooks;
mod kinds;
mod news;
mod observe;
mod orphans;
mod policies;
mod rehearse;
mod remove;
mod render;
mod report;
pub mod sets;
mod simulated;
mod source;
mod tenancy;
mod view;
mod watch;
mod write;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use mlp_bus::Relay;
use mlp_crds::Application;
use mlp_crds::argocd::OperationState;
use mlp_reconcile::{Next, ObjectRef, Reconciler, Recorder, Store};

use crate::domain::consent;
use crate::domain::hold;
use crate::domain::manifest::Limits;
use crate::domain::operation::{self, Situation, Step};
use crate::domain::policy;
use crate::domain::request::{self, Request};
use crate::domain::selection;
use crate::domain::status::{
    COMPARISON, Fault, HELD, INVALID_SPEC, Outcome, POLICY_ERROR, POLICY_WARNING, SYNC, WINDOW, images,
};
use crate::domain::termination::{self, TERMINATING};
use crate::domain::{REFRESH, SERVICE};
use crate::error::Error;
use crate::render::Renderers;
use crate::store::Repositories;
use apply::Work;
use healths::Healths;
use kinds::Kinds;
use news::Contents;
use observe::Verdicts;
use orphans::Strays;
use report::Published;
use simulated::Nodes;

pub use news::Notices;
pub use policies::ExemptionReconciler;
pub use tenancy::{Caches, texts, watches};
pub use view::Viewer;
pub use watch::{Watcher, Watches, pair as watcher_pair};

/// When an operation under way is looked at again; watches are usually quicker.
const UNDER_WAY: Duration = Duration::from_secs(2);

/// When one that waits for a person is looked at again.
const ASKING: Duration = Duration::from_secs(60);

/// When it is looked at again after something was written down that the next step needs.
const AT_ONCE: Duration = Duration::from_millis(50);

/// What the reconciler works with.
pub struct Parts {
    /// The client; counts writes.
    pub client: kube::Client,
    /// All Applications.
    pub applications: Store<Application>,
    /// Caches of namespaces, teams, projects and records.
    pub caches: Caches,
    /// Git.
    pub repositories: Arc<Repositories>,
    /// Tools that make manifests.
    pub renderers: Arc<Renderers>,
    /// Bounds of one Application.
    pub limits: Limits,
    /// Asks for watches of applied kinds.
    pub watches: Watches,
    /// Publishes facts.
    pub relay: Relay,
}

/// Makes the cluster agree with one Application at a time.
pub struct ApplicationReconciler {
    client: kube::Client,
    applications: Store<Application>,
    caches: Caches,
    repositories: Arc<Repositories>,
    renderers: Arc<Renderers>,
    limits: Limits,
    watches: Watches,
    relay: Relay,
    kinds: Kinds,
    verdicts: Verdicts,
    healths: Healths,
    contents: Contents,
    nodes: Nodes,
    strays: Strays,
    recorder: Recorder,
    published: Published,
}

/// What a look leads to, besides the status.
struct Looked {
    outcome: Outcome,
    request: Option<Request>,
    next: Duration,
}

impl ApplicationReconciler {
    /// A reconciler from its parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { client, applications, caches, repositories, renderers, limits, watches, relay } = parts;
        let kinds = Kinds::new(client.clone());
        let (verdicts, healths) = (Verdicts::default(), Healths::default());
        let recorder = Recorder::new(client.clone(), SERVICE);
        Self {
            client,
            applications,
            caches,
            repositories,
            renderers,
            limits,
            watches,
            relay,
            kinds,
            verdicts,
            healths,
            contents: Contents::default(),
            nodes: Nodes::default(),
            strays: Strays::default(),
            recorder,
            published: Published::default(),
        }
    }

    /// Looks, and syncs where that is due. The Application is replaced by its newer version when the
    /// start of an operation was written.
    async fn look(&self, application: &mut Arc<Application>) -> Result<Looked, Error> {
        let status = application.status.clone().unwrap_or_default();
        let operation = status.operation_state.clone();
        let held = hold::held(application.annotations());
        let phase = operation.as_ref().map(|state| state.phase.as_str());
        let is_under_way = matches!(phase, Some(operation::RUNNING | TERMINATING));
        let fault = |faults: Vec<Fault>, request: Option<Request>, next: Duration| {
            let (mut operation, mut faults) = (operation.clone(), faults);
            // It need not be readable to be ended; hooks that run are ended by the next sync.
            if let Some(state) = operation.as_mut().filter(|state| state.phase == TERMINATING) {
                termination::terminate(state, &[], Timestamp::now());
            }
            // Nor is what somebody asked for kept waiting for what cannot be read.
            if let Some(asked) = application.operation.as_ref().filter(|_| !is_under_way) {
                let said = faults.iter().map(|fault| fault.message.clone()).collect::<Vec<_>>().join("; ");
                operation = Some(operation::unreadable(asked, said, Timestamp::now()));
            }
            faults.extend(
                held.iter().map(|held| Fault::new(HELD, hold::said(application.annotations(), held))),
            );
            Looked { outcome: Outcome { faults, operation, ..Outcome::default() }, request, next }
        };
        let mut request = match request::validate(&application.spec) {
            Ok(request) => request,
            Err(refusals) => {
                let words = request::words(&refusals);
                return Ok(fault(vec![Fault::new(INVALID_SPEC, words)], None, Duration::MAX));
            }
        };
        let polls = request.origins.iter().map(|origin| self.repositories.poll(&origin.repository));
        let poll = polls.min().unwrap_or(UNDER_WAY);
        let permission = match self.permission(application, &request) {
            Ok(permission) => permission,
            Err(refused) => return Ok(fault(vec![refused], Some(request), poll)),
        };
        let asked = application.operation.clone();
        let fresh = application.annotations().contains_key(REFRESH) || asked.is_some();
        let pinned = operation::pinned(&status, asked.as_ref());
        if let Some(held) = &held {
            if let Some(wrong) = hold::misfit(held, &request) {
                return Ok(fault(vec![Fault::new(COMPARISON, wrong)], Some(request), poll));
            }
            if let Some(automated) = &mut request.automated {
                automated.prune &= hold::prunes(application.annotations());
            }
        }
        let revisions = request.revisions(pinned.as_deref().or(held.as_deref()));
        let rendered = match self.render(application, &request, &permission, &revisions, fresh).await? {
            Ok(rendered) => rendered,
            Err(unread) => return Ok(fault(vec![unread], Some(request), poll)),
        };
        // Reading took its time, and whose the namespace is may have been settled meanwhile.
        if let Err(refused) = self.permission(application, &request) {
            return Ok(fault(vec![refused], Some(request), poll));
        }
        let (mut picture, live) = self.observe(application, &request, &rendered).await?;
        let now = Timestamp::now();
        let windows = match permission.windows(application, &request, now) {
            Ok(windows) => windows,
            Err(refused) => return Ok(fault(vec![refused], Some(request), poll)),
        };
        if pinned.is_none() {
            *application = self.expect_end(Arc::clone(application), &rendered).await?;
        }
        let mut outcome = Outcome {
            tools: rendered.tools.clone(),
            images: images(rendered.desired.iter().map(|desired| &desired.object)),
            simulated: self.simulated(&rendered.desired, !request.ignored.is_empty()).await?,
            operation,
            ..Outcome::default()
        };
        outcome.faults.extend(picture.gaps.iter().map(|gap| Fault::new(COMPARISON, gap.clone())));
        if let Some(held) = &held {
            outcome.faults.push(Fault::new(HELD, hold::said(application.annotations(), held)));
        }
        outcome.faults.extend(self.orphans(&request, &permission, &picture).await);
        let findings = self.findings(application, rendered.all());
        let (barring, others) = self.barring(application, &findings, &live);
        let barred = (!barring.is_empty()).then(|| policy::words(&barring));
        let situation = Situation {
            request: &request,
            status: &status,
            asked: asked.as_ref(),
            picture: &picture,
            windows: &windows,
            held: held.as_deref(),
            barred: barred.as_deref(),
            now,
        };
        let mut next = poll;
        let step = operation::next(situation);
        let told = if let Step::Barred(_, why) = &step {
            outcome.faults.push(Fault::new(POLICY_ERROR, why.clone()));
            // It says nothing of what is compared otherwise.
            outcome.rehearses = asked.is_some();
            others
        } else {
            findings.iter().collect()
        };
        if !told.is_empty() {
            outcome.faults.push(Fault::new(POLICY_WARNING, policy::words(&told)));
        }
        match step {
            Step::Idle => {}
            Step::Barred(state, _) => outcome.operation = state.or(outcome.operation),
            Step::Blocked(message) => outcome.faults.push(Fault::new(SYNC, message)),
            Step::Wait(due) => next = next.min(until(due, now)),
            Step::Refuse(state) => outcome.operation = Some(state),
            Step::Closed(state, closed) => {
                outcome.operation = state.or(outcome.operation);
                outcome.faults.push(Fault::new(WINDOW, closed.why));
                next = next.min(closed.until.map_or(next, |due| until(due, now)));
            }
            Step::Terminate(mut state) => {
                let left = self.end_attempt(&picture, &state, request.pruning.propagation).await?;
                termination::terminate(&mut state, &left, now);
                next = next.min(UNDER_WAY);
                outcome.operation = Some(state);
            }
            Step::Run(mut state) => {
                outcome.operation = Some(state.clone());
                if selection::is_partial(&state.operation) {
                    let given_up = selection::given_up(&status, &picture.revision);
                    outcome.faults.extend(given_up.map(|message| Fault::new(SYNC, message)));
                }
                // The intent is recorded before the first effect: what is applied is found again.
                if operation::runs_hooks(&state) {
                    picture.coming = rendered.hooks.iter().map(|hook| hook.id.clone()).collect();
                }
                outcome.rehearses = state.operation.is_dry_run();
                outcome.picture = Some(picture.clone());
                *application = self.report_begin(Arc::clone(application), &outcome, request.history).await?;
                tracing::info!(revision = picture.revision, "syncing");
                let written = state.sync_result.clone().unwrap_or_default().resources;
                let instance = self.instance(application);
                let since = state.started_at.as_deref().and_then(|text| text.parse().ok());
                let approved = consent::is_approved(application.annotations(), since);
                let work = Work { request: &request, rendered: &rendered, instance, written, approved };
                let at_once = self.carry_out(&work, &mut picture, &mut state).await?;
                next = next.min(if at_once { AT_ONCE } else { pause(&state, &request) });
                if state.finished_at.is_some() {
                    picture.coming.clear();
                }
                outcome.operation = Some(state);
            }
        }
        outcome.picture = Some(picture);
        Ok(Looked { outcome, request: Some(request), next })
    }
}

impl Reconciler<Application> for ApplicationReconciler {
    type Error = Error;

    async fn reconcile(&self, application: Arc<Application>) -> Result<Next, Error> {
        let key = ObjectRef::from_obj(&*application);
        self.drop_records(&key, application.uid().as_deref()).await?;
        if application.metadata.deletion_timestamp.is_some() {
            return self.remove(application).await;
        }
        let mut application = application;
        let looked = self.look(&mut application).await?;
        let history = looked.request.as_ref().map(|request| request.history);
        let application = self.report(application, &looked.outcome, history).await?;
        let taken = application.operation.is_some()
            && looked
                .outcome
                .operation
                .as_ref()
                .is_some_and(|state| Some(&state.operation) == application.operation.as_ref());
        let refreshed = application.annotations().contains_key(REFRESH);
        if taken || refreshed {
            self.take_off(&application, taken, refreshed).await?;
        }
        Ok(if looked.next == Duration::MAX { Next::Done } else { Next::After(looked.next) })
    }

    async fn absent(&self, key: &ObjectRef<Application>) -> Result<(), Error> {
        self.drop_records(key, None).await
    }
}

fn until(due: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(now)).unwrap_or_default().max(Duration::from_millis(100))
}

/// When an operation is looked at again after this look.
fn pause(state: &OperationState, request: &Request) -> Duration {
    match (state.phase.as_str(), &state.finished_at) {
        // The annotation wakes it.
        (operation::RUNNING, None) if consent::is_asked(state.message.as_deref()) => ASKING,
        (operation::RUNNING, None) => UNDER_WAY,
        (operation::RUNNING, Some(_)) => request.retry.first.min(request.retry.longest),
        // Deletions under way, and a revision asked for by hand, are compared anew.
        _ => UNDER_WAY,
    }
}
