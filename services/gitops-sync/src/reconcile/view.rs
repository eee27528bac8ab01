//! What a sync to a revision would change, for whoever asks: the engine's own rendering and comparison, and no write.
//!
//! Any replica answers. What the leader's watches keep is read for the one call; a mirror of the repository is kept as ever.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt as _};
use mlp_bus::Relay;
use mlp_crds::argocd::ApplicationSpec;
use mlp_crds::{AppProject, Application, PolicyExemption, Team};
use mlp_model::{Class, Classified as _};
use mlp_reconcile::{Store, pages, watcher};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::kinds::Kind;
use super::render::Desired;
use super::tenancy::SETTINGS;
use super::{ApplicationReconciler, Caches, Parts, Watches};
use crate::domain::compare::comparable;
use crate::domain::credential::SECRET_TYPE;
use crate::domain::identity::ObjectId;
use crate::domain::manifest::Limits;
use crate::domain::picture::Presence;
use crate::domain::status::{COMPARISON, Fault, INVALID_SPEC};
use crate::domain::view::{Seen, Standing, View, mask};
use crate::domain::{hold, managed_fields, request, revision};
use crate::error::Error;
use crate::render::Renderers;
use crate::store::Repositories;

/// Views made at the same time; others wait. One, so that a place for rendering is left for syncs.
const AT_ONCE: usize = 1;
/// How long one may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// Objects in a page of a list.
const PAGE: u32 = 500;

/// Makes views.
#[derive(Clone)]
pub struct Viewer {
    client: kube::Client,
    control_namespace: String,
    repositories: Arc<Repositories>,
    renderers: Arc<Renderers>,
    limits: Limits,
    /// A reconciler has one; nothing is published here.
    relay: Relay,
    slots: Arc<Semaphore>,
}

impl Viewer {
    /// A viewer from its parts.
    pub fn new(
        client: kube::Client,
        control_namespace: &str,
        repositories: Arc<Repositories>,
        renderers: Arc<Renderers>,
        limits: Limits,
        relay: Relay,
    ) -> Self {
        let (control_namespace, slots) = (control_namespace.to_owned(), Arc::new(Semaphore::new(AT_ONCE)));
        Self { client, control_namespace, repositories, renderers, limits, relay, slots }
    }

    /// What the Application is at a revision; at its own where none is named. Objects are compared with what is live where
    /// `compares` says so, and else only named.
    ///
    /// # Errors
    /// The API server does not answer. What is wrong with the Application or its source is a [`Fault`].
    pub async fn view(
        &self,
        application: &Application,
        revision: Option<&str>,
        compares: bool,
    ) -> Result<Result<View, Fault>, Error> {
        let _slot = self.slots.acquire().await;
        let viewing = tokio::time::timeout(DEADLINE, self.look(application, revision, compares));
        viewing.await.unwrap_or_else(|_| {
            let seconds = DEADLINE.as_secs();
            Ok(Err(Fault::new(COMPARISON, format!("it takes longer than {seconds} s to render and compare"))))
        })
    }

    async fn look(
        &self,
        application: &Application,
        revision: Option<&str>,
        compares: bool,
    ) -> Result<Result<View, Fault>, Error> {
        let (caches, applications) = self.caches().await?;
        let reconciler = ApplicationReconciler::new(Parts {
            client: self.client.clone(),
            applications,
            caches,
            repositories: Arc::clone(&self.repositories),
            renderers: Arc::clone(&self.renderers),
            limits: self.limits,
            watches: Watches::none(),
            relay: self.relay.clone(),
        });
        reconciler.view(application, revision, compares).await
    }

    /// What watches keep elsewhere, read once.
    async fn caches(&self) -> Result<(Caches, Store<Application>), Error> {
        let (client, own) = (&self.client, self.control_namespace.as_str());
        let any = ListParams::default();
        let names = Api::<Application>::all(client.clone());
        let (namespaces, teams, projects, settings, credentials, exemptions, applications) = tokio::try_join!(
            all(Api::<Namespace>::all(client.clone()), any.clone(), "namespaces"),
            all(Api::<Team>::all(client.clone()), any.clone(), "teams"),
            all(Api::<AppProject>::namespaced(client.clone(), own), any.clone(), "projects"),
            all(
                Api::<ConfigMap>::namespaced(client.clone(), own),
                any.clone().fields(&format!("metadata.name={SETTINGS}")),
                "settings"
            ),
            all(
                Api::<Secret>::namespaced(client.clone(), own),
                any.clone().labels(SECRET_TYPE),
                "credentials"
            ),
            all(Api::<PolicyExemption>::all(client.clone()), any, "exemptions"),
            placed(names),
        )?;
        let (records, _) = mlp_reconcile::store();
        let control_namespace = own.to_owned();
        let caches = Caches {
            control_namespace,
            namespaces,
            teams,
            projects,
            records,
            settings,
            credentials,
            exemptions,
        };
        Ok((caches, applications))
    }
}

/// All objects of a kind.
async fn all<K>(api: Api<K>, chosen: ListParams, what: &str) -> Result<Store<K>, Error>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let api = &api;
    let found = pages(chosen.limit(PAGE), |page| async move { api.list(&page).await }, Some).await;
    found.map(filled).map_err(|source| Error::call(format!("list {what}"), source))
}

/// Which Applications there are; what they want is no matter here.
async fn placed(api: Api<Application>) -> Result<Store<Application>, Error> {
    let named = |one: PartialObjectMeta<Application>| {
        let mut application = Application::new(&one.name_any(), ApplicationSpec::default());
        application.metadata.namespace = one.namespace();
        Some(application)
    };
    let (api, params) = (&api, ListParams::default().limit(PAGE));
    let found = pages(params, |page| async move { api.list_metadata(&page).await }, named).await;
    found.map(filled).map_err(|source| Error::call("list applications", source))
}

fn filled<K>(items: Vec<K>) -> Store<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    let (store, mut writer) = mlp_reconcile::store();
    writer.apply_watcher_event(&watcher::Event::Init);
    for item in items {
        writer.apply_watcher_event(&watcher::Event::InitApply(item));
    }
    writer.apply_watcher_event(&watcher::Event::InitDone);
    store
}

impl ApplicationReconciler {
    async fn view(
        &self,
        application: &Application,
        revision: Option<&str>,
        compares: bool,
    ) -> Result<Result<View, Fault>, Error> {
        let request = match request::validate(&application.spec) {
            Ok(request) => request,
            Err(refusals) => return Ok(Err(Fault::new(INVALID_SPEC, request::words(&refusals)))),
        };
        let permission = match self.permission(application, &request) {
            Ok(permission) => permission,
            Err(refused) => return Ok(Err(refused)),
        };
        let held = hold::held(application.annotations());
        let misfit = match revision {
            Some(named) => {
                let sources = request.origins.len();
                revision::misfit(named, sources).map(|names| {
                    format!("revision `{named}` names {names}, and the Application has {sources} sources; name one for each, with commas")
                })
            }
            None => held.as_deref().and_then(|held| hold::misfit(held, &request)),
        };
        if let Some(wrong) = misfit {
            return Ok(Err(Fault::new(COMPARISON, wrong)));
        }
        let revisions = request.revisions(revision.or(held.as_deref()));
        let rendered = match self.render(application, &request, &permission, &revisions, true).await? {
            Ok(rendered) => rendered,
            Err(unread) => return Ok(Err(unread)),
        };
        let findings = self.findings(application, rendered.all());
        let mut view = View { revision: rendered.revision.clone(), findings, ..View::default() };
        if !compares {
            let all = rendered.desired.iter().chain(&rendered.hooks);
            view.objects.extend(all.map(|desired| {
                let mut wanted = Some(desired.object.clone());
                mask(&desired.id, &mut None, &mut wanted);
                Seen { id: desired.id.clone(), standing: Standing::Same, live: None, wanted }
            }));
            return Ok(Ok(view));
        }
        let (picture, live) = self.observe(application, &request, &rendered).await?;
        view.gaps = picture.gaps;
        for (desired, item) in rendered.desired.iter().zip(picture.items) {
            let found = live.iter().find(|(id, _)| id.same_object(&desired.id)).map(|(_, object)| object);
            let managed = found.map(managed_fields::of).unwrap_or(&Value::Null);
            let shown = |object: &Value| comparable(&desired.id, object, managed, &request.ignored);
            let before = found.map(shown);
            let (standing, wanted) = match item.presence {
                Presence::Synced => (Standing::Same, None),
                Presence::Missing => {
                    let tried = match &desired.kind {
                        // It is not known yet what would be said of it.
                        Some(kind) if !self.waits(desired) => self.tried(desired, kind).await?.err(),
                        _ => None,
                    };
                    (tried.map_or(Standing::Missing, Standing::Refused), Some(desired.object.clone()))
                }
                Presence::KindMissing => (Standing::KindMissing, Some(desired.object.clone())),
                // What is another's is not shown.
                Presence::Foreign(other) => {
                    view.objects.push(seen(&desired.id, Standing::Foreign(other), None, None));
                    continue;
                }
                Presence::Modified => match &desired.kind {
                    Some(kind) => match self.tried(desired, kind).await? {
                        Ok(tried) => (Standing::Changed, Some(shown(&tried))),
                        Err(why) => (Standing::Refused(why), Some(desired.object.clone())),
                    },
                    None => (Standing::KindMissing, None),
                },
            };
            view.objects.push(seen(&desired.id, standing, before, wanted));
        }
        for extra in picture.extras {
            let found = live.iter().find(|(id, _)| id.same_object(&extra.id)).map(|(_, object)| object);
            let before = found
                .map(|object| comparable(&extra.id, object, managed_fields::of(object), &request.ignored));
            view.objects.push(seen(&extra.id, Standing::Extra, before, None));
        }
        Ok(Ok(view))
    }
}

impl ApplicationReconciler {
    /// Whether an object's namespace is not made, or not isolated, yet.
    fn waits(&self, desired: &Desired) -> bool {
        !desired.id.namespace.is_empty() && self.caches.obstacle(&desired.id.namespace).is_some()
    }

    /// What a sync would make of an object, or why the API server would not let it.
    async fn tried(&self, desired: &Desired, kind: &Kind) -> Result<Result<Value, String>, Error> {
        match self.patch(desired, kind, true).await {
            Err(error) if error.class() == Class::Transient => Err(error),
            tried => Ok(tried.map_err(|error| words(&desired.id, &error))),
        }
    }
}

/// What the API server says of an object; of a Secret not in its own words, which may hold a value.
fn words(id: &ObjectId, error: &Error) -> String {
    match id.kind.as_str() {
        "Secret" => format!("the API server does not take {id} as it is"),
        _ => error.to_string(),
    }
}

fn seen(id: &ObjectId, standing: Standing, mut live: Option<Value>, mut wanted: Option<Value>) -> Seen {
    mask(id, &mut live, &mut wanted);
    Seen { id: id.clone(), standing, live, wanted }
}
