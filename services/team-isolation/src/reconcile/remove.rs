//! The way out: count, cut rights, count again, delete namespaces, wait until they are gone.
//!
//! A namespace is deleted only when it is ours and nothing in it is work or data. The second count
//! closes the gap in which somebody who still had rights could have made something.

use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind, PartialObjectMeta};
use kube::{Api, ResourceExt};
use mlp_crds::Team;
use mlp_model::labels;
use mlp_reconcile::Error as CallError;

use super::TeamReconciler;
use super::observe::known_uids;
use crate::domain::contents::{BLOCKING, Blocking, Contents};
use crate::domain::outcome::Outcome;
use crate::domain::{SERVICE, offboarding};
use crate::error::Error;

/// Lists at the same time.
const CONCURRENT_LISTS: usize = 10;

impl TeamReconciler {
    /// One step of a removal. While it is blocked the team stays isolated as declared: what keeps it
    /// must be deleted by somebody who has rights.
    pub(super) async fn remove(&self, team: &Team) -> Result<Outcome, Error> {
        let namespaces = self.own_namespaces(team).await?;
        if namespaces.is_empty() {
            // The cache may not show yet what this process, or the leader before it, has made.
            return match self.stray_namespace(team).await? {
                None => Ok(Outcome::Removed),
                Some(name) => Err(Error::NamespaceAppeared(name)),
            };
        }
        // Before a namespace goes: whoever waits for its name is woken when it has gone.
        self.bury(team).await?;
        let phase = team.spec.offboarding.as_ref().map(|spec| spec.phase).unwrap_or_default();
        let reached = team.status.as_ref().and_then(|status| status.offboarding.as_ref());
        if offboarding::may_purge(phase, reached, Timestamp::now()) {
            let adopted = self.adopted(&namespaces);
            if !adopted.is_empty() {
                return Ok(Outcome::RemovalBlocked(adopted));
            }
            self.purge(&namespaces).await?;
            return Ok(Outcome::Removing(self.held_up(namespaces)));
        }
        match self.take_away(&namespaces).await? {
            Some(contents) => {
                let maintained = self.isolate(team).await?;
                tracing::debug!(
                    reason = maintained.reason(),
                    "isolation maintained while removal is blocked"
                );
                match maintained {
                    // The way out goes on, and ends in the removal when the retention is over.
                    Outcome::Stopping(_) | Outcome::Retained(_) => Ok(maintained),
                    _ => Ok(Outcome::RemovalBlocked(contents)),
                }
            }
            None => Ok(Outcome::Removing(self.held_up(namespaces))),
        }
    }

    /// The namespaces, each with what Kubernetes says holds it up: kinds that are left, finalizers of others.
    fn held_up(&self, namespaces: Vec<String>) -> Vec<String> {
        let said = |name: &String| {
            let live = self.namespace(name)?;
            let conditions = live.status.as_ref()?.conditions.as_ref()?;
            let holding =
                conditions.iter().filter(|one| one.status == "True").filter_map(|one| one.message.clone());
            let holding: Vec<_> = holding.collect();
            (!holding.is_empty()).then(|| format!("{name} ({})", holding.join("; ")))
        };
        namespaces.into_iter().map(|name| said(&name).unwrap_or(name)).collect()
    }

    /// Namespaces of the team, verifiably, that its declaration no longer names and that still stand. One that
    /// is on its way out takes nothing more.
    pub(super) async fn leftovers(&self, team: &Team, declared: &[String]) -> Result<Vec<String>, Error> {
        let labelled = self.labelled_namespaces(&team.name_any());
        if labelled.iter().all(|name| declared.contains(name)) {
            return Ok(Vec::new());
        }
        let owned = self.own_namespaces(team).await?.into_iter();
        let standing = |name: &String| {
            self.namespace(name).is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_none())
        };
        Ok(owned.filter(|name| !declared.contains(name) && standing(name)).collect())
    }

    /// Removes leftover namespaces that are empty; the team is isolated either way. Nobody keeps rights in them,
    /// by a binding of the team's own neither; in one that was adopted they are not ours to take.
    pub(super) async fn sweep(&self, leftovers: Vec<String>) -> Result<Outcome, Error> {
        for name in leftovers.iter().filter(|name| self.adopted(std::slice::from_ref(*name)).is_empty()) {
            if self.has_bindings(name).await? {
                self.cut_rights(name).await?;
            }
        }
        Ok(match self.take_away(&leftovers).await? {
            Some(contents) => Outcome::LeftoverInUse(contents),
            None => Outcome::Isolated,
        })
    }

    /// The team's namespaces that exist and are verifiably ours.
    async fn own_namespaces(&self, team: &Team) -> Result<Vec<String>, Error> {
        let name = team.name_any();
        let existing = self.existing(team, &self.labelled_namespaces(&name)).await?;
        let ours = existing.into_iter().filter(|(_, entry)| entry.team.as_deref() == Some(name.as_str()));
        Ok(ours.map(|(namespace, _)| namespace).collect())
    }

    /// A namespace of the team that the API server knows of, whatever the cache shows.
    async fn stray_namespace(&self, team: &Team) -> Result<Option<String>, Error> {
        let name = team.name_any();
        let selector = format!("{}={SERVICE},{}={name}", labels::MANAGED_BY, labels::TEAM);
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let listed = namespaces.list_metadata(&ListParams::default().labels(&selector).limit(16)).await;
        let listed =
            listed.map_err(|source| CallError::of(format!("list the namespaces of team {name}"), source))?;
        let known = known_uids(team);
        let ours = |item: &PartialObjectMeta<Namespace>| {
            let uid = item.metadata.uid.clone().unwrap_or_default();
            let managers = item.metadata.managed_fields.iter().flatten();
            known.contains(&uid)
                || managers.into_iter().any(|entry| entry.manager.as_deref() == Some(SERVICE))
        };
        Ok(listed.items.iter().find(|item| ours(item)).map(ResourceExt::name_any))
    }

    /// Deletes the namespaces with all that they hold: somebody asked for it, the team was suspended, and
    /// its retention is over.
    async fn purge(&self, namespaces: &[String]) -> Result<(), Error> {
        let live = namespaces.iter().filter_map(|name| self.namespace(name));
        for namespace in live.filter(|namespace| namespace.metadata.deletion_timestamp.is_none()) {
            self.delete_namespace(&namespace).await?;
        }
        Ok(())
    }

    /// Deletes the namespaces, or says what is in the way.
    async fn take_away(&self, namespaces: &[String]) -> Result<Option<Contents>, Error> {
        let live: Vec<_> = namespaces.iter().filter_map(|name| self.namespace(name)).collect();
        let standing: Vec<_> =
            live.iter().filter(|namespace| namespace.metadata.deletion_timestamp.is_none()).collect();
        let names: Vec<_> = standing.iter().map(|namespace| namespace.name_any()).collect();
        let adopted = self.adopted(&names);
        if !adopted.is_empty() {
            return Ok(Some(adopted));
        }
        let before = self.contents(&names).await?;
        if !before.is_empty() {
            return Ok(Some(before));
        }
        for name in &names {
            self.cut_rights(name).await?;
        }
        let after = self.contents(&names).await?;
        if !after.is_empty() {
            return Ok(Some(after));
        }
        for namespace in standing {
            self.delete_namespace(namespace).await?;
        }
        Ok(None)
    }

    /// Those of the namespaces that were there before the team: whoever offered them says when they go.
    fn adopted(&self, namespaces: &[String]) -> Contents {
        let mut contents = Contents::default();
        for name in namespaces {
            let live = self.namespace(name);
            if live.is_some_and(|namespace| namespace.annotations().contains_key(labels::ADOPT_BY)) {
                contents.adopted(name);
            }
        }
        contents
    }

    async fn has_bindings(&self, namespace: &str) -> Result<bool, Error> {
        let bindings = Api::<RoleBinding>::namespaced(self.client.clone(), namespace);
        let listed = bindings.list_metadata(&ListParams::default().limit(1)).await;
        let listed = listed
            .map_err(|source| CallError::of(format!("list the RoleBindings of {namespace}"), source))?;
        Ok(!listed.items.is_empty())
    }

    /// Takes everybody's rights, those that the team granted itself included.
    async fn cut_rights(&self, namespace: &str) -> Result<(), Error> {
        let bindings = Api::<RoleBinding>::namespaced(self.client.clone(), namespace);
        let deleted = bindings.delete_collection(&DeleteParams::default(), &ListParams::default()).await;
        deleted.map_err(|source| CallError::of(format!("delete the RoleBindings of {namespace}"), source))?;
        Ok(())
    }

    async fn delete_namespace(&self, namespace: &Namespace) -> Result<(), Error> {
        let name = namespace.name_any();
        let preconditions = Preconditions { uid: namespace.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        let deleted = Api::<Namespace>::all(self.client.clone()).delete(&name, &params).await;
        match deleted.map_err(|source| CallError::of(format!("delete Namespace {name}"), source)) {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Counts what blocks a removal, in all namespaces at the same time.
    async fn contents(&self, namespaces: &[String]) -> Result<Contents, Error> {
        let pairs = namespaces.iter().flat_map(|name| BLOCKING.iter().map(move |kind| (name, kind)));
        let counts = pairs.map(|(name, kind)| async move { (name, kind, self.count(name, kind).await) });
        let mut counts = stream::iter(counts.collect::<Vec<_>>()).buffer_unordered(CONCURRENT_LISTS);
        let mut contents = Contents::default();
        while let Some((namespace, blocking, counted)) = counts.next().await {
            contents.note(namespace, blocking.kind, counted?);
        }
        drop(counts);
        for (namespace, count) in self.applications_into(namespaces).await? {
            contents.note(&namespace, "Application", count);
        }
        Ok(contents)
    }

    /// How many objects of one kind a namespace holds; a kind that is not installed has none.
    async fn count(&self, namespace: &str, blocking: &Blocking) -> Result<usize, Error> {
        let resource = resource(blocking);
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &resource);
        let listed = api.list_metadata(&ListParams::default().limit(1)).await;
        match listed
            .map_err(|source| CallError::of(format!("count {} in {namespace}", blocking.plural), source))
        {
            Ok(list) => {
                let rest = list.metadata.remaining_item_count.and_then(|count| usize::try_from(count).ok());
                Ok(list.items.len() + rest.unwrap_or_default())
            }
            Err(error) if error.is_not_found() => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Applications that live elsewhere and deploy into one of these namespaces.
    async fn applications_into(&self, namespaces: &[String]) -> Result<Vec<(String, usize)>, Error> {
        let Some(blocking) = BLOCKING.iter().find(|blocking| blocking.kind == "Application") else {
            return Ok(Vec::new());
        };
        if namespaces.is_empty() {
            return Ok(Vec::new());
        }
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &resource(blocking));
        let listed = api.list(&ListParams::default()).await;
        let list = match listed.map_err(|source| CallError::of("list Applications", source)) {
            Ok(list) => list,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let into = |namespace: &String| {
            let elsewhere = list.items.iter().filter(|item| item.namespace().as_ref() != Some(namespace));
            let target = |item: &&DynamicObject| {
                item.data.pointer("/spec/destination/namespace").and_then(serde_json::Value::as_str)
                    == Some(namespace.as_str())
            };
            (namespace.clone(), elsewhere.filter(target).count())
        };
        Ok(namespaces.iter().map(into).collect())
    }
}

fn resource(blocking: &Blocking) -> ApiResource {
    let kind = GroupVersionKind::gvk(blocking.group, blocking.version, blocking.kind);
    ApiResource::from_gvk_with_plural(&kind, blocking.plural)
}
