//! One look at one ApplicationSet: ask what its generators need, make the Applications, report.
//!
//! [`discover`] answers what generators ask ([`answers`] are kept of forges), [`apply`] makes the calls. A set whose generators cannot be asked changes
//! nothing; one whose Applications are as wanted costs no call but the look at its repositories.

mod answers;
mod apply;
mod discover;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Patch;
use kube::{Api, ResourceExt as _};
use mlp_crds::argocd::ApplicationSet;
use mlp_crds::{AppProject, Application};
use mlp_reconcile::{
    Applier, Controller, Handle, Next, ObjectRef, Ownership, Reconciler, Store, finalizer, status, watcher,
};
use serde_json::{Value, json};

use super::tenancy::Caches;
use crate::domain::SERVICE;
use crate::domain::application_set::made::{self, SET};
use crate::domain::application_set::plan::{Policy, ignored, plan, stranger};
use crate::domain::application_set::status::{Outcome, REFUSED, build};
use crate::domain::application_set::{Halt, Known, Need, visible};
use crate::domain::credential::SECRET_TYPE;
use crate::error::Error;
use crate::forge::Forges;
use crate::render::Renderers;
use crate::store::Repositories;
use answers::Answers;

/// Field manager of what a set makes: another than that of an Application's own status and operation.
const MANAGER: &str = "gitops-sync-sets";
/// The annotation that asks for a look at repositories and forges now.
const REFRESH: &str = "argocd.argoproj.io/application-set-refresh";
/// Questions that the generators of one set may ask.
const QUESTIONS: usize = 200;
/// Bytes of what is answered.
const KNOWN: usize = 64 * 1024 * 1024;
/// When pull requests are asked for again where the set does not say; Argo CD's own default.
const PULL_REQUESTS: Duration = Duration::from_secs(1_800);
/// The shortest time between looks that a set may ask for.
const SHORTEST: Duration = Duration::from_secs(10);
/// When it is looked at again while other caches are being filled.
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
    answers: Answers,
}

/// What came of asking.
struct Asked {
    wanted: Result<Vec<Application>, Outcome>,
    /// What was asked, answered or not.
    needs: Vec<Need>,
    /// When what was not answered is asked again.
    again: Option<Duration>,
}

impl Default for Asked {
    fn default() -> Self {
        Self { wanted: Ok(Vec::new()), needs: Vec::new(), again: None }
    }
}

/// Adds the watches that wake sets: of generated Applications, which are kept, and of projects and Secrets that a set
/// may wait for.
pub fn generated(
    controller: Controller<ApplicationSet>,
    client: &kube::Client,
    control_namespace: &str,
) -> (Controller<ApplicationSet>, Store<Application>) {
    let (store, writer) = mlp_reconcile::store();
    let labelled = watcher::Config::default().labels(SET);
    let all = Api::<Application>::all(client.clone());
    let controller = controller.watches_declared_into(writer, all, labelled, |application: &Application| {
        let named = application.labels().get(SET).zip(application.namespace());
        named.map(|(name, namespace)| ObjectRef::new(name).within(&namespace)).into_iter().collect()
    });
    let sets = controller.handle().store().clone();
    let projects = Api::<AppProject>::namespaced(client.clone(), control_namespace);
    let controller = controller.watches(projects, watcher::Config::default(), move |project: &AppProject| {
        let name = project.name_any();
        let is_of = |set: &ApplicationSet| {
            let named = set.spec.template.pointer("/spec/project").and_then(Value::as_str);
            named.is_some_and(|named| named == name || named.contains("{{"))
        };
        references(&sets, is_of)
    });
    let sets = controller.handle().store().clone();
    let secrets = Api::<Secret>::namespaced(client.clone(), control_namespace);
    let typed = watcher::Config::default().labels(SECRET_TYPE);
    let controller = controller.watches(secrets, typed, move |_: &Secret| references(&sets, |_| true));
    (controller, store)
}

fn references(
    sets: &Store<ApplicationSet>,
    chosen: impl Fn(&ApplicationSet) -> bool,
) -> Vec<ObjectRef<ApplicationSet>> {
    sets.state_filter(|set| chosen(set)).iter().map(|set| ObjectRef::from_obj(&**set)).collect()
}

impl SetReconciler {
    /// A reconciler from its parts.
    pub fn new(parts: SetParts) -> Self {
        let applier = Applier::new(parts.client.clone(), MANAGER).owning_by(Ownership::Adopt);
        Self { parts, applier, answers: Answers::default() }
    }

    /// Asks forges anew with the next look at the set.
    pub(super) fn ask_again(&self, set: &ApplicationSet) {
        self.answers.forget(set);
    }

    /// What the set wants, or why that is not known; and what was asked for it.
    async fn wanted(&self, set: &Arc<ApplicationSet>, fresh: bool) -> Asked {
        let refused = |message: String| Outcome::NoParameters { reason: REFUSED, message };
        let namespace = set.namespace().unwrap_or_default();
        let caches = &self.parts.caches;
        let clusters = visible(caches.clusters(), caches.tenant(&namespace).as_ref());
        let (mut asked, mut known, mut held) = (Asked::default(), Known::new(), 0);
        for _ in 0..QUESTIONS {
            // Whoever writes a set says how much there is to do: it is done beside the loops.
            let (set_too, clusters_too) = (Arc::clone(set), clusters.clone());
            let evaluated = tokio::task::spawn_blocking(move || {
                let made = made::applications(&set_too, &known, &clusters_too);
                (made, known)
            });
            let Ok((made, knows)) = evaluated.await else {
                asked.wanted = Err(refused("spec: cannot be evaluated".to_owned()));
                return asked;
            };
            known = knows;
            let need = match made {
                Ok(all) => {
                    asked.wanted = Ok(all);
                    return asked;
                }
                Err(Halt::Refused(message)) => {
                    asked.wanted = Err(refused(message));
                    return asked;
                }
                Err(Halt::Needs(need)) => need,
            };
            asked.needs.push(need.clone());
            match self.answer(set, &need, fresh).await {
                Ok(found) => {
                    held += found.bytes();
                    known.insert(need, found);
                }
                Err(failed) => {
                    (asked.wanted, asked.again) = (Err(failed.outcome), Some(failed.again));
                    return asked;
                }
            }
            if held > KNOWN {
                break;
            }
        }
        let message = format!(
            "spec.generators: ask for more than {QUESTIONS} things, or for more than {} MiB; split the set",
            KNOWN / (1024 * 1024)
        );
        asked.wanted = Err(refused(message));
        asked
    }

    /// Applications of the set, by name.
    fn live(&self, set: &ApplicationSet) -> BTreeMap<String, Arc<Application>> {
        let (name, namespace) = (set.name_any(), set.namespace());
        let of_set = |one: &Application| {
            one.namespace() == namespace
                && one.labels().get(SET) == Some(&name)
                && stranger(set, one).is_none()
        };
        let found = self.parts.generated.state_filter(of_set);
        found.into_iter().map(|one| (one.name_any(), one)).collect()
    }

    async fn look(&self, set: &Arc<ApplicationSet>) -> Result<(Outcome, Duration), Error> {
        let rules = ignored(set).and_then(|rules| Ok((rules, Policy::of(set)?)));
        let (rules, policy) = match rules {
            Ok(read) => read,
            Err(message) => return Ok((Outcome::NoParameters { reason: REFUSED, message }, Duration::MAX)),
        };
        // Whatever generators say: the set's end must not take them along.
        if !policy.deletes {
            self.let_go(set).await?;
        }
        let asked = self.wanted(set, set.annotations().contains_key(REFRESH)).await;
        let next = self.next(set, &asked);
        let wanted = match asked.wanted {
            Ok(wanted) => wanted,
            Err(outcome) => return Ok((outcome, next)),
        };
        let live = self.live(set);
        let plan = plan(set, policy, wanted, &live);
        let (problems, again) = self.apply(set, &plan, &live, &rules).await;
        let said: Vec<String> = plan.held.into_iter().chain(problems).collect();
        let outcome = match said.is_empty() {
            true => Outcome::Done,
            false => Outcome::NotApplied { message: said.join("; ") },
        };
        Ok((outcome, again.map_or(next, |again| again.min(next))))
    }

    /// When the set is looked at again: as often as it says, else as its repositories are, and sooner where something
    /// was not answered.
    fn next(&self, set: &ApplicationSet, asked: &Asked) -> Duration {
        let polls = asked.needs.iter().filter_map(|need| match need {
            Need::Listing { repository, .. } => Some(self.parts.repositories.poll(repository)),
            Need::PullRequests(_) => Some(requeue_of(set).unwrap_or(PULL_REQUESTS)),
            Need::Files { .. } | Need::Filled(_) => None,
        });
        polls.chain(requeue_of(set)).chain(asked.again).min().unwrap_or(Duration::MAX)
    }

    /// The way out: what the set made goes by its owner references, or stays.
    async fn leave(&self, set: Arc<ApplicationSet>) -> Result<Next, Error> {
        if !Policy::of(&set).is_ok_and(|policy| policy.deletes) {
            self.let_go(&set).await?;
        }
        self.answers.forget(&set);
        // Argo CD's way to have the controller be asked first.
        finalizer::remove(&self.api(&set), MANAGER, &set, made::FINALIZER).await?;
        Ok(Next::Done)
    }

    /// The set, without the annotation that asked for this look.
    async fn looked(&self, set: Arc<ApplicationSet>) -> Result<Arc<ApplicationSet>, Error> {
        if !set.annotations().contains_key(REFRESH) {
            return Ok(set);
        }
        let body = json!({"metadata": {"annotations": {REFRESH: null}}});
        let done = self.api(&set).patch(&set.name_any(), &apply::as_us(), &Patch::Merge(&body)).await;
        Ok(Arc::new(done.map_err(|source| Error::call("remove the refresh annotation", source))?))
    }

    fn api(&self, set: &ApplicationSet) -> Api<ApplicationSet> {
        Api::namespaced(self.parts.client.clone(), &set.namespace().unwrap_or_default())
    }
}

/// How often the set asks to be looked at.
fn requeue_of(set: &ApplicationSet) -> Option<Duration> {
    let said = set.spec.generators.iter().filter_map(requeue).min()?;
    Some(Duration::from_secs(said).max(SHORTEST))
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
        if set.metadata.deletion_timestamp.is_some() {
            return self.leave(set).await;
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
