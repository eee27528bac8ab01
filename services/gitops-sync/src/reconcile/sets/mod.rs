//! One look at one ApplicationSet: ask what its generators need, make the Applications, report.
//!
//! [`discover`] answers what generators ask, [`apply`] makes the calls. A set whose generators cannot be asked changes
//! nothing; one whose Applications are as wanted costs no call but the look at its repositories.

mod apply;
mod discover;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use mlp_crds::Application;
use mlp_crds::argocd::ApplicationSet;
use mlp_reconcile::{
    Applier, Controller, Handle, Next, ObjectRef, Ownership, Reconciler, Store, status, watcher,
};
use serde_json::{Value, json};

use super::tenancy::Caches;
use crate::domain::SERVICE;
use crate::domain::application_set::made::{self, SET};
use crate::domain::application_set::plan::{Policy, ignored, plan, stranger};
use crate::domain::application_set::status::{Outcome, REFUSED, build};
use crate::domain::application_set::{Context, Halt, Known, Need};
use crate::error::Error;
use crate::forge::Forges;
use crate::render::Renderers;
use crate::store::Repositories;

/// Field manager of what a set makes: another than that of an Application's own status and operation.
const MANAGER: &str = "gitops-sync-sets";
/// The annotation that asks for a look at repositories and forges now.
const REFRESH: &str = "argocd.argoproj.io/application-set-refresh";
/// Questions that the generators of one set may ask.
const QUESTIONS: usize = 500;
/// When pull requests are asked for again where the set does not say; Argo CD's own default.
const PULL_REQUESTS: Duration = Duration::from_secs(1_800);
/// The shortest time between looks that a set may ask for.
const SHORTEST: Duration = Duration::from_secs(10);
/// When it is looked at again while other caches are being filled, or an Application is on its way out.
const SOON: Duration = Duration::from_secs(2);

/// What the reconciler works with.
pub struct SetParts {
    /// The client; counts writes.
    pub client: kube::Client,
    /// The handle of the Applications' controller, whose caches are read.
    pub applications: Handle<Application>,
    /// Caches of namespaces, projects and Secrets.
    pub caches: Caches,
    /// Applications of sets.
    pub generated: Store<Application>,
    /// Git.
    pub repositories: Arc<Repositories>,
    /// Fills Go templates.
    pub renderers: Arc<Renderers>,
    /// Lists pull requests.
    pub forges: Forges,
}

/// Makes the Applications of one ApplicationSet at a time.
pub struct SetReconciler {
    parts: SetParts,
    applier: Applier,
}

/// Adds the watch of generated Applications, which wakes their sets.
pub fn generated(
    controller: Controller<ApplicationSet>,
    client: &kube::Client,
) -> (Controller<ApplicationSet>, Store<Application>) {
    let (store, writer) = mlp_reconcile::store();
    let labelled = watcher::Config::default().labels(SET);
    let all = Api::<Application>::all(client.clone());
    let controller = controller.watches_declared_into(writer, all, labelled, |application: &Application| {
        let named = application.labels().get(SET).zip(application.namespace());
        named.map(|(name, namespace)| ObjectRef::new(name).within(&namespace)).into_iter().collect()
    });
    (controller, store)
}

impl SetReconciler {
    /// A reconciler from its parts.
    pub fn new(parts: SetParts) -> Self {
        let applier = Applier::new(parts.client.clone(), MANAGER).owning_by(Ownership::Adopt);
        Self { parts, applier }
    }

    /// What the set wants, or why that is not known; and what was asked for it.
    async fn wanted(&self, set: &ApplicationSet, fresh: bool) -> (Result<Vec<Application>, Outcome>, Known) {
        let (mut known, clusters) = (Known::new(), self.parts.caches.clusters());
        let refused = |message: String| Outcome::NoParameters { reason: REFUSED, message };
        for _ in 0..QUESTIONS {
            let spec = &set.spec;
            let context = Context {
                go: spec.go_template,
                options: &spec.go_template_options,
                known: &known,
                clusters: &clusters,
            };
            let need = match made::applications(set, context) {
                Ok(all) => return (Ok(all), known),
                Err(Halt::Refused(message)) => return (Err(refused(message)), known),
                Err(Halt::Needs(need)) => need,
            };
            match self.answer(set, &need, fresh).await {
                Ok(found) => drop(known.insert(need, found)),
                Err(outcome) => return (Err(outcome), known),
            }
        }
        let message = format!("spec.generators: ask for more than {QUESTIONS} things; split the set");
        (Err(refused(message)), known)
    }

    /// Applications of the set, by name.
    fn live(&self, set: &ApplicationSet) -> BTreeMap<String, Application> {
        let (name, namespace) = (set.name_any(), set.namespace());
        let of_set = |one: &Application| {
            one.namespace() == namespace
                && one.labels().get(SET) == Some(&name)
                && stranger(set, one).is_none()
        };
        let found = self.parts.generated.state_filter(of_set);
        found.iter().map(|one| (one.name_any(), (**one).clone())).collect()
    }

    async fn look(&self, set: &ApplicationSet) -> Result<(Outcome, Duration), Error> {
        let fresh = set.annotations().contains_key(REFRESH);
        let (wanted, known) = self.wanted(set, fresh).await;
        let next = self.next(set, &known);
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(outcome) => return Ok((outcome, next)),
        };
        let rules = ignored(set).and_then(|rules| Ok((rules, Policy::of(set)?)));
        let (rules, policy) = match rules {
            Ok(read) => read,
            Err(message) => return Ok((Outcome::NoParameters { reason: REFUSED, message }, next)),
        };
        let live = self.live(set);
        let plan = plan(set, policy, wanted, &live);
        let (problems, again) = self.apply(set, &plan, &live, &rules).await?;
        let said: Vec<String> = plan.held.into_iter().chain(problems).collect();
        let outcome = match said.is_empty() {
            true => Outcome::Done,
            false => Outcome::NotApplied { message: said.join("; ") },
        };
        Ok((outcome, if again { SOON } else { next }))
    }

    /// When the set is looked at again: as often as it says, else as its repositories are.
    fn next(&self, set: &ApplicationSet, known: &Known) -> Duration {
        let polls = known.keys().filter_map(|need| match need {
            Need::Listing { repository, .. } => Some(self.parts.repositories.poll(repository)),
            Need::PullRequests(_) => Some(PULL_REQUESTS),
            Need::Files { .. } | Need::Filled(_) => None,
        });
        let said = set.spec.generators.iter().filter_map(requeue).min();
        let said = said.map(|said| Duration::from_secs(said).max(SHORTEST));
        polls.chain(said).min().unwrap_or(Duration::MAX)
    }

    /// The set, without the annotation that asked for this look.
    async fn looked(&self, set: Arc<ApplicationSet>) -> Result<Arc<ApplicationSet>, Error> {
        if !set.annotations().contains_key(REFRESH) {
            return Ok(set);
        }
        let body = json!({"metadata": {"annotations": {REFRESH: null}}});
        let done =
            self.api(&set).patch(&set.name_any(), &PatchParams::apply(MANAGER), &Patch::Merge(&body)).await;
        Ok(Arc::new(done.map_err(|source| Error::call("remove the refresh annotation", source))?))
    }

    fn api(&self, set: &ApplicationSet) -> Api<ApplicationSet> {
        Api::namespaced(self.parts.client.clone(), &set.namespace().unwrap_or_default())
    }
}

/// The shortest `requeueAfterSeconds` within a generator.
fn requeue(generator: &Value) -> Option<u64> {
    match generator {
        Value::Object(fields) => {
            let own =
                fields.get("requeueAfterSeconds").and_then(Value::as_u64).filter(|seconds| *seconds > 0);
            own.into_iter().chain(fields.values().filter_map(requeue)).min()
        }
        Value::Array(items) => items.iter().filter_map(requeue).min(),
        _ => None,
    }
}

impl Reconciler<ApplicationSet> for SetReconciler {
    type Error = Error;

    async fn reconcile(&self, set: Arc<ApplicationSet>) -> Result<Next, Error> {
        // What it made goes by its owner references, or stays.
        if set.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Done);
        }
        if !self.parts.applications.is_synced() {
            return Ok(Next::After(SOON));
        }
        let (outcome, next) = self.look(&set).await?;
        let before = set.status.clone().unwrap_or_default();
        let now = build(&before, &outcome, &self.live(&set), Timestamp::now());
        let set = self.looked(set).await?;
        status::write(&self.api(&set), SERVICE, set, &now).await?;
        Ok(if next == Duration::MAX { Next::Done } else { Next::After(next) })
    }
}
