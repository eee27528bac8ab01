//! What is live: one list per kind and namespace, compared with what is wanted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use kube::Api;
use kube::api::{DynamicObject, ListParams, TypeMeta};
use mlp_crds::Application;
use mlp_model::{Class, Classified as _};
use mlp_reconcile::pages;
use serde_json::Value;

use super::ApplicationReconciler;
use super::kinds::Kind;
use super::render::{Desired, Rendered, defined_kind};
use crate::domain::compare::{comparable, differences, digest};
use crate::domain::consent::Consent;
use crate::domain::hook;
use crate::domain::identity::{ObjectId, Owner, owner};
use crate::domain::ignore::{IgnoreRule, asks_for_managers};
use crate::domain::managed_fields;
use crate::domain::object_options::ObjectOptions;
use crate::domain::order;
use crate::domain::picture::{Extra, Item, LiveHook, Picture, Presence};
use crate::domain::request::Request;
use crate::error::Error;

/// Objects per page of a list.
const PAGE: u32 = 500;
/// Verdicts remembered; beyond it all are forgotten and asked again.
const VERDICTS: usize = 50_000;

/// How often an object that somebody changes meanwhile is compared before it counts as different.
const COMPARISONS: usize = 5;

/// What one comparison came to.
enum Compared {
    Is(Presence),
    /// Somebody wrote between the reading and the asking: what differs may be theirs.
    Moved,
}

impl Compared {
    fn of(same: bool) -> Self {
        Self::Is(if same { Presence::Synced } else { Presence::Modified })
    }
}

/// Whether a manifest and a live object agree, by their digests.
#[derive(Default)]
pub(super) struct Verdicts(Mutex<HashMap<(u64, u64), bool>>);

impl Verdicts {
    fn get(&self, key: (u64, u64)) -> Option<bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied()
    }

    pub(super) fn remember(&self, key: (u64, u64), same: bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= VERDICTS {
            all.clear();
        }
        all.insert(key, same);
    }
}

/// Group, kind and namespace (empty: the cluster): what one list shows.
type Place = (String, String, String);

impl ApplicationReconciler {
    /// Lists what is live and compares; gives the objects that are live, too.
    pub(super) async fn observe(
        &self,
        application: &Application,
        request: &Request,
        rendered: &Rendered,
    ) -> Result<(Picture, Vec<(ObjectId, Value)>), Error> {
        let mut picture = Picture { revision: rendered.revision.clone(), ..Picture::default() };
        let wanted: Vec<&Desired> = rendered.desired.iter().chain(&rendered.hooks).collect();
        let managed = asks_for_managers(&request.ignored);
        let live = self.live(application, &wanted, managed, &mut picture.gaps).await?;
        let instance = self.instance(application);
        for desired in &rendered.desired {
            let found = live.iter().find(|(id, _)| id.same_object(&desired.id)).map(|(_, object)| object);
            let presence = self.presence(desired, found, request, &instance, &mut picture.gaps).await?;
            let health = found.and_then(|object| self.health_of(&desired.id, object));
            picture.items.push(Item { id: desired.id.clone(), options: desired.options, presence, health });
        }
        picture.content = rendered.content.clone();
        (picture.hooks, picture.strangers) = self.live_hooks(&live, rendered, &instance);
        picture.extras = self.extras(&live, rendered, &picture.hooks, &instance);
        for extra in &mut picture.extras {
            extra.options.prune = extra.options.prune.max(request.pruning.consent);
        }
        let entries: Vec<_> = picture.items.iter().map(|item| (&item.id, item.options.wave)).collect();
        picture.stages = order::stages(&entries, |index| {
            let desired = rendered.desired.get(index)?;
            defined_kind(&desired.id, &desired.object)
        });
        Ok((picture, live))
    }

    /// Lists every kind and namespace that is wanted now or was applied before. What cannot be listed
    /// is a gap: nothing is deleted while there is one. With `managed`, objects come with their field managers.
    pub(super) async fn live(
        &self,
        application: &Application,
        desired: &[&Desired],
        managed: bool,
        gaps: &mut Vec<String>,
    ) -> Result<Vec<(ObjectId, Value)>, Error> {
        let mut places: BTreeMap<Place, Kind> = BTreeMap::new();
        for wanted in desired {
            if let Some(kind) = &wanted.kind {
                places.insert(place(kind, &wanted.id.namespace), kind.clone());
            }
        }
        for id in inventory(application) {
            if let Some(kind) = self.kinds.find(&id).await? {
                places.insert(place(&kind, &id.namespace), kind);
            }
        }
        let mut all = Vec::new();
        for ((_, _, namespace), kind) in places {
            self.watches.ensure(&kind.resource);
            match self.list(&kind, &namespace, managed).await {
                Ok(objects) => all.extend(objects),
                Err(error) if error.class() == Class::Transient => return Err(error),
                Err(error) => gaps.push(error.to_string()),
            }
        }
        Ok(all)
    }

    async fn list(
        &self,
        kind: &Kind,
        namespace: &str,
        managed: bool,
    ) -> Result<Vec<(ObjectId, Value)>, Error> {
        let api = self.api(kind, namespace);
        let read = |object| if managed { with_managers(kind, object) } else { as_value(kind, object) };
        let (api, params) = (&api, ListParams::default().limit(PAGE));
        let found = pages(params, |page| async move { api.list(&page).await }, read).await;
        let action = || format!("list {} in {namespace}", kind.resource.plural);
        found.map_err(|source| Error::call(action(), source))
    }

    async fn presence(
        &self,
        desired: &Desired,
        live: Option<&Value>,
        request: &Request,
        instance: &str,
        gaps: &mut Vec<String>,
    ) -> Result<Presence, Error> {
        let Some(kind) = &desired.kind else { return Ok(Presence::KindMissing) };
        let Some(live) = live else { return Ok(Presence::Missing) };
        if let Owner::Instance(other) = owner(live)
            && other != instance
            && self.is_application(&other)
        {
            return Ok(Presence::Foreign(other));
        }
        let mut newer = None;
        for _ in 0..COMPARISONS {
            match self.compare(desired, kind, newer.as_ref().unwrap_or(live), request, gaps).await? {
                Compared::Is(presence) => return Ok(presence),
                Compared::Moved => {}
            }
            let found = self.api(kind, &desired.id.namespace).get_opt(&desired.id.name).await;
            let found = found.map_err(|source| Error::call(format!("read {}", desired.id), source))?;
            let Some((_, found)) = found.and_then(|object| with_managers(kind, object)) else {
                return Ok(Presence::Missing);
            };
            newer = Some(found);
        }
        // It is written faster than it can be compared: an apply says what git says, whatever it is then.
        Ok(Presence::Modified)
    }

    /// Whether an apply would change the object, as it was read.
    async fn compare(
        &self,
        desired: &Desired,
        kind: &Kind,
        live: &Value,
        request: &Request,
        gaps: &mut Vec<String>,
    ) -> Result<Compared, Error> {
        let managed = managed_fields::of(live);
        let before = comparable(&desired.id, live, managed, &request.ignored);
        let key = verdict_key(&desired.object, &before, &request.ignored);
        if let Some(same) = self.verdicts.get(key) {
            return Ok(Compared::of(same));
        }
        let tried = match self.patch(desired, kind, true).await {
            Ok(object) => object,
            Err(error) if error.class() == Class::Transient => return Err(error),
            // A write would meet the same refusal, and say so in the operation.
            Err(error) if error.class() == Class::Terminal => return Ok(Compared::of(false)),
            Err(error) => {
                gaps.push(error.to_string());
                return Ok(Compared::of(false));
            }
        };
        let after = comparable(&desired.id, &tried, managed, &request.ignored);
        let same = before == after;
        if !same && version(&tried) != version(live) {
            return Ok(Compared::Moved);
        }
        if !same {
            tracing::info!(object = %desired.id, fields = ?differences(&before, &after, 5), "object differs from git");
        }
        self.verdicts.remember(key, same);
        Ok(Compared::of(same))
    }

    /// Whether an Application of this instance name exists. Objects of one that is gone may be taken.
    pub(super) fn is_application(&self, instance: &str) -> bool {
        self.applications.find(|application| self.instance(application) == instance).is_some()
    }

    pub(super) fn api(&self, kind: &Kind, namespace: &str) -> Api<DynamicObject> {
        match namespace {
            "" => Api::all_with(self.client.clone(), &kind.resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &kind.resource),
        }
    }
}

fn place(kind: &Kind, namespace: &str) -> Place {
    let namespace = if kind.namespaced { namespace } else { "" };
    (kind.resource.group.clone(), kind.resource.kind.clone(), namespace.to_owned())
}

fn version(object: &Value) -> Option<&str> {
    object.pointer("/metadata/resourceVersion")?.as_str()
}

/// What the Application was last said to have.
fn inventory(application: &Application) -> BTreeSet<ObjectId> {
    let resources = application.status.iter().flat_map(|status| &status.resources);
    let ids = resources.map(|resource| ObjectId {
        group: resource.group.clone(),
        version: resource.version.clone(),
        kind: resource.kind.clone(),
        namespace: resource.namespace.clone(),
        // One list per kind and namespace: names do not count here.
        name: String::new(),
    });
    ids.collect()
}

/// An object, what is live of it, and what does not count: a verdict holds for all three.
pub(super) fn verdict_key(wanted: &Value, live: &Value, ignored: &[IgnoreRule]) -> (u64, u64) {
    (digest(wanted) ^ digest(&Value::String(format!("{ignored:?}"))), digest(live))
}

/// An object as JSON, with its field managers.
pub(super) fn with_managers(kind: &Kind, mut object: DynamicObject) -> Option<(ObjectId, Value)> {
    let managers = serde_json::to_value(object.metadata.managed_fields.take()).ok()?;
    let (id, mut value) = as_value(kind, object)?;
    value.get_mut("metadata")?.as_object_mut()?.insert("managedFields".to_owned(), managers);
    Some((id, value))
}

/// A listed object as JSON, without the field managers that nobody here reads.
pub(super) fn as_value(kind: &Kind, mut object: DynamicObject) -> Option<(ObjectId, Value)> {
    object.metadata.managed_fields = None;
    // Items of a list carry no type.
    object.types =
        Some(TypeMeta { api_version: kind.resource.api_version.clone(), kind: kind.resource.kind.clone() });
    let value = serde_json::to_value(object).ok()?;
    Some((ObjectId::of(&value)?, value))
}

fn is_wanted_hook(id: &ObjectId, rendered: &Rendered) -> bool {
    rendered.hooks.iter().any(|wanted| wanted.id.same_object(id))
}

impl ApplicationReconciler {
    /// The hooks of the Application among what is live, and what stands in the place of one and is not the Application's.
    pub(super) fn live_hooks(
        &self,
        live: &[(ObjectId, Value)],
        rendered: &Rendered,
        instance: &str,
    ) -> (Vec<LiveHook>, Vec<ObjectId>) {
        let hooks = live.iter().filter_map(|(id, object)| self.live_hook(id, object, rendered, instance));
        let strangers = live.iter().filter(|(id, object)| {
            is_wanted_hook(id, rendered) && owner(object) != Owner::Instance(instance.to_owned())
        });
        (hooks.collect(), strangers.map(|(id, _)| id.clone()).collect())
    }

    /// A live object as a hook, where it is one and ours; an object of ours in the place of a hook is in its way.
    pub(super) fn live_hook(
        &self,
        id: &ObjectId,
        object: &Value,
        rendered: &Rendered,
        instance: &str,
    ) -> Option<LiveHook> {
        let annotation =
            |key: &str| object.pointer("/metadata/annotations").and_then(|all| all.get(key)?.as_str());
        let is_hook =
            [hook::HOOK, hook::HELM_HOOK, hook::ATTEMPT].iter().any(|key| annotation(key).is_some());
        let is_ordinary = rendered.desired.iter().any(|wanted| wanted.id.same_object(id));
        let counts = (is_hook && !is_ordinary) || is_wanted_hook(id, rendered);
        if !counts || owner(object) != Owner::Instance(instance.to_owned()) {
            return None;
        }
        let mut alive = object.clone();
        if let Some(metadata) = alive.get_mut("metadata").and_then(Value::as_object_mut) {
            // What it came to counts, whether it is being deleted or not.
            metadata.remove("deletionTimestamp");
        }
        let live = hook::Live {
            attempt: annotation(hook::ATTEMPT).unwrap_or_default().to_owned(),
            deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
            health: self.health_of(id, &alive),
        };
        Some(LiveHook { id: id.clone(), live })
    }

    fn extras(
        &self,
        live: &[(ObjectId, Value)],
        rendered: &Rendered,
        hooks: &[LiveHook],
        instance: &str,
    ) -> Vec<Extra> {
        let ours = live.iter().filter(|(_, object)| owner(object) == Owner::Instance(instance.to_owned()));
        let left = ours.filter(|(id, _)| !rendered.desired.iter().any(|wanted| wanted.id.same_object(id)));
        // Hooks go by their own policy.
        let left = left.filter(|(id, _)| !hooks.iter().any(|hook| hook.id.same_object(id)));
        left.map(|(id, object)| Extra {
            id: id.clone(),
            // An object whose options cannot be read is kept rather than deleted.
            options: ObjectOptions::read(object).unwrap_or(ObjectOptions {
                prune: Consent::Withheld,
                delete: Consent::Withheld,
                ..ObjectOptions::default()
            }),
            deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
            health: self.health_of(id, object),
        })
        .collect()
    }
}
