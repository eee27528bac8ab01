//! What is in a destination and of no Application: asked of the API server once in a while, and only where a project wants
//! to be told.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, api::DynamicObject};
use mlp_model::{Class, Classified as _, labels};
use mlp_reconcile::pages;
use serde_json::json;

use super::ApplicationReconciler;
use super::kinds::Kind;
use super::render::Permission;
use crate::domain::identity::{ObjectId, Owner, owner};
use crate::domain::orphan;
use crate::domain::picture::Picture;
use crate::domain::request::Request;
use crate::domain::status::{Fault, ORPHANED};
use crate::error::Error;

/// How long it counts what a namespace holds.
const FRESH: Duration = Duration::from_secs(60);
/// How long a kind that may not be listed is not asked for again.
const REFUSED: Duration = Duration::from_secs(600);
/// Namespaces of which it is remembered.
const NAMESPACES: usize = 2_000;
/// Kinds listed at the same time.
const LISTS: usize = 8;
/// Objects of a namespace that are remembered; what is beyond is not told of.
const OBJECTS: usize = 20_000;
/// Objects per page.
const PAGE: u32 = 500;
/// What everything that the platform makes carries.
const OURS: &str = "ml-platform";

/// An object that nothing owns, with the instance name of the Application that it is tracked by.
type Unowned = (ObjectId, Option<String>);

/// What a namespace holds, and when that was asked for.
type Held = (Instant, Arc<Vec<Unowned>>);

/// Group and kind of those that may not be listed, and since when it is known.
type Refused = (Instant, BTreeSet<(String, String)>);

/// What namespaces hold.
#[derive(Default)]
pub(super) struct Strays {
    held: Mutex<HashMap<String, Held>>,
    refused: Mutex<Option<Refused>>,
}

impl Strays {
    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, namespace: &str, all: &Arc<Vec<Unowned>>) {
        let mut held = self.held();
        if held.len() >= NAMESPACES {
            held.clear();
        }
        held.insert(namespace.to_owned(), (Instant::now(), Arc::clone(all)));
    }

    fn is_refused(&self, kind: &Kind) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.as_ref().is_some_and(|(since, _)| since.elapsed() > REFUSED) {
            *refused = None;
        }
        refused.as_ref().is_some_and(|(_, kinds)| kinds.contains(&key(kind)))
    }

    fn refuse(&self, kind: &Kind) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get_or_insert_with(|| (Instant::now(), BTreeSet::new())).1.insert(key(kind));
    }
}

fn key(kind: &Kind) -> (String, String) {
    (kind.resource.group.clone(), kind.resource.kind.clone())
}

impl ApplicationReconciler {
    /// What is to be told of the destination's objects that no Application manages. Where that cannot be found out it is
    /// what was known before: it holds nothing up.
    pub(super) async fn orphans(
        &self,
        request: &Request,
        permission: &Permission,
        picture: &Picture,
    ) -> Option<Fault> {
        let settings = permission.orphaned_resources()?;
        let held = self.unowned(&request.namespace).await;
        let named: BTreeSet<&String> = held.iter().filter_map(|(_, instance)| instance.as_ref()).collect();
        let living: BTreeSet<&String> = named.into_iter().filter(|name| self.is_application(name)).collect();
        let is_managed =
            |instance: &Option<String>| instance.as_ref().is_some_and(|name| living.contains(name));
        let unmanaged = held.iter().filter(|(id, instance)| !is_managed(instance) && permission.permits(id));
        // What it is about to take, or took since it was asked.
        let wants = |id: &ObjectId| picture.items.iter().any(|item| item.id.same_object(id));
        let unmanaged = unmanaged.map(|(id, _)| id).filter(|id| !wants(id));
        let words = orphan::told(unmanaged, settings, &request.namespace, &request.project)?;
        Some(Fault::new(ORPHANED, words))
    }

    async fn unowned(&self, namespace: &str) -> Arc<Vec<Unowned>> {
        let known = self.strays.held().get(namespace).cloned();
        if let Some((_, all)) = known.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Arc::clone(all);
        }
        match self.survey(namespace).await {
            Ok(all) => {
                let all = Arc::new(all);
                self.strays.remember(namespace, &all);
                all
            }
            Err(error) => {
                tracing::info!(namespace, %error, "orphaned resources not looked for");
                known.map(|(_, all)| all).unwrap_or_default()
            }
        }
    }

    /// Everything in a namespace that no other object owns, of all kinds that may be listed.
    async fn survey(&self, namespace: &str) -> Result<Vec<Unowned>, Error> {
        let served = self.kinds.served().await?;
        let counts = |kind: &&Kind| {
            orphan::counts(&kind.resource.group, &kind.resource.kind) && !self.strays.is_refused(kind)
        };
        let kinds: Vec<Kind> = served.listable.iter().filter(counts).cloned().collect();
        let mut lists = stream::iter(kinds)
            .map(|kind| async move { (self.unowned_of(&kind, namespace).await, kind) })
            .buffer_unordered(LISTS);
        let mut all = Vec::new();
        while let Some((listed, kind)) = lists.next().await {
            match listed {
                Err(error) if error.class() != Class::Transient => {
                    tracing::debug!(kind = kind.resource.kind, %error, "not looked for among orphaned resources");
                    self.strays.refuse(&kind);
                }
                listed => all.extend(listed?.into_iter().take(OBJECTS.saturating_sub(all.len()))),
            }
        }
        Ok(all)
    }

    async fn unowned_of(&self, kind: &Kind, namespace: &str) -> Result<Vec<Unowned>, Error> {
        let api: &Api<DynamicObject> = &self.api(kind, namespace);
        let params = ListParams::default().limit(PAGE);
        let keep = |object| unowned(kind, &object);
        let found = pages(params, |page| async move { api.list_metadata(&page).await }, keep).await;
        let action = || format!("list {} in {namespace}", kind.resource.plural);
        found.map_err(|source| Error::call(action(), source))
    }
}

fn unowned(kind: &Kind, object: &PartialObjectMeta<DynamicObject>) -> Option<Unowned> {
    let metadata = &object.metadata;
    let is_ours =
        metadata.labels.as_ref().and_then(|all| all.get(labels::PART_OF)).is_some_and(|it| it == OURS);
    if is_ours || metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty()) {
        return None;
    }
    let annotations = &metadata.annotations;
    let value = json!({"apiVersion": kind.resource.api_version, "kind": kind.resource.kind, "metadata":
        {"name": metadata.name, "namespace": metadata.namespace, "annotations": annotations}});
    let instance = match owner(&value) {
        Owner::Instance(instance) => Some(instance),
        Owner::Nobody => None,
    };
    Some((ObjectId::of(&value)?, instance))
}
