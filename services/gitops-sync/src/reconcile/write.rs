//! Writing one object: applied on the server, after what tools before us declared of it is made ours, with what does
//! not count left as it is where that is asked for, and made anew where that is; and deleting one.

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::{Api, ResourceExt as _};
use mlp_model::{Class, Classified as _};
use serde_json::{Value, json};

use super::ApplicationReconciler;
use super::apply::Work;
use super::kinds::Kind;
use super::observe::{as_value, with_managers};
use super::render::Desired;
use crate::domain::SERVICE;
use crate::domain::identity::{Owner, owner};
use crate::domain::ignore::{managers, respect};
use crate::domain::managed_fields::{self, Taken};
use crate::domain::picture::Extra;
use crate::domain::request::{Propagation, Request};
use crate::error::Error;

impl ApplicationReconciler {
    /// Applies an object; gives it as it is then, with the field managers that it had before.
    pub(super) async fn write(
        &self,
        work: &Work<'_>,
        wanted: &Desired,
        kind: &Kind,
        is_new: bool,
    ) -> Result<(Value, Value), Error> {
        let request = work.request;
        let api = self.api(kind, &wanted.id.namespace);
        let found = if is_new { Ok(None) } else { api.get_opt(&wanted.id.name).await };
        let found = found.map_err(|source| Error::call(format!("read {}", wanted.id), source))?;
        let Some((_, live)) = found.and_then(|object| with_managers(kind, object)) else {
            return Ok((self.patch(wanted, kind, false).await?, Value::Null));
        };
        self.take_over(&api, request, wanted, &live).await?;
        let mut wanted = wanted.clone();
        if request.respects_ignored {
            wanted.object = respect(&request.ignored, &wanted.id, &live, &wanted.object);
        }
        Ok((self.patch(&wanted, kind, false).await?, managed_fields::of(&live).clone()))
    }

    /// Makes ours what tools before us declared of an object, or all of it where it is to be replaced. An object that is
    /// not let through as it is, is taken over by the apply alone: fields that git does not say then stay.
    async fn take_over(
        &self,
        api: &Api<DynamicObject>,
        request: &Request,
        wanted: &Desired,
        live: &Value,
    ) -> Result<(), Error> {
        let taken = match wanted.options.replace.unwrap_or(request.replaces) {
            true => Taken::All,
            false if request.takes_over => Taken::Declared,
            false => return Ok(()),
        };
        let spared = managers(&request.ignored, &wanted.id);
        let Some(fields) = managed_fields::taken_over(managed_fields::of(live), &spared, taken) else {
            return Ok(());
        };
        let version = live.pointer("/metadata/resourceVersion");
        let body = json!({"metadata": {"resourceVersion": version, "managedFields": fields}});
        let patched =
            api.patch_metadata(&wanted.id.name, &PatchParams::default(), &Patch::Merge(&body)).await;
        match patched.map_err(|source| Error::call(format!("take over the fields of {}", wanted.id), source))
        {
            Err(error) if taken == Taken::Declared && error.class() == Class::Terminal => {
                tracing::warn!(object = %wanted.id, %error, "fields of other tools are left theirs");
                Ok(())
            }
            patched => patched.map(drop),
        }
    }

    /// Server-side apply under our field manager. What somebody else changed is taken back.
    pub(super) async fn patch(&self, desired: &Desired, kind: &Kind, dry_run: bool) -> Result<Value, Error> {
        let params = PatchParams {
            dry_run,
            force: true,
            field_manager: Some(SERVICE.into()),
            ..PatchParams::default()
        };
        let api = self.api(kind, &desired.id.namespace);
        let verb = if dry_run { "compare" } else { "apply" };
        let action = || format!("{verb} {}", desired.id);
        let object = api.patch(&desired.id.name, &params, &Patch::Apply(&desired.object)).await;
        let object: DynamicObject = object.map_err(|source| Error::call(action(), source))?;
        Ok(as_value(kind, object).map(|(_, value)| value).unwrap_or_default())
    }

    /// Deletes an object that the API server does not let become what git wants (`Force=true`): whether it is of this
    /// Application and on its way out, so that it can be made anew.
    pub(super) async fn clears(&self, work: &Work<'_>, wanted: &Desired, kind: &Kind) -> Result<bool, Error> {
        let api = self.api(kind, &wanted.id.namespace);
        let action = || format!("delete {}, to make it anew", wanted.id);
        let found = api.get_opt(&wanted.id.name).await;
        let Some(live) = found.map_err(|source| Error::call(action(), source))? else { return Ok(false) };
        let deleting = live.metadata.deletion_timestamp.is_some();
        let seen = Seen::of(&live);
        let ours = as_value(kind, live)
            .is_some_and(|(_, object)| owner(&object) == Owner::Instance(work.instance.clone()));
        if deleting || !ours {
            return Ok(deleting && ours);
        }
        seen.delete(&api, Propagation::Foreground).await.map_err(|source| Error::call(action(), source))?;
        Ok(true)
    }

    /// Deletes one object, and only the very one that was seen with a tracking id of ours.
    pub(super) async fn delete(&self, extra: &Extra, propagation: Propagation) -> Result<(), Error> {
        let Some(kind) = self.kinds.find(&extra.id).await? else { return Ok(()) };
        let api = self.api(&kind, &extra.id.namespace);
        let action = || format!("delete {}", extra.id);
        let found = api.get_opt(&extra.id.name).await;
        let Some(live) = found.map_err(|source| Error::call(action(), source))? else { return Ok(()) };
        let seen = Seen::of(&live);
        let tracked = as_value(&kind, live).map(|(_, value)| owner(&value));
        if !matches!(tracked, Some(Owner::Instance(_))) {
            return Ok(());
        }
        seen.delete(&api, propagation).await.map_err(|source| Error::call(action(), source))
    }
}

/// The very version of an object that was looked at.
struct Seen {
    name: String,
    preconditions: Preconditions,
}

impl Seen {
    fn of(live: &DynamicObject) -> Self {
        let preconditions = Preconditions { uid: live.uid(), resource_version: live.resource_version() };
        Self { name: live.name_any(), preconditions }
    }

    /// Deletes it where it is still the same; one that is gone counts as done.
    async fn delete(self, api: &Api<DynamicObject>, propagation: Propagation) -> Result<(), kube::Error> {
        let propagation_policy = Some(match propagation {
            Propagation::Foreground => PropagationPolicy::Foreground,
            Propagation::Background => PropagationPolicy::Background,
            Propagation::Orphan => PropagationPolicy::Orphan,
        });
        let preconditions = Some(self.preconditions);
        let params = DeleteParams { preconditions, propagation_policy, ..DeleteParams::default() };
        match api.delete(&self.name, &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop),
        }
    }
}
