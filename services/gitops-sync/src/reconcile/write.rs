//! Writing one object: applied on the server, after what tools before us declared of it is made ours, with what does
//! not count left as it is where that is asked for, and made anew where that is.

use kube::ResourceExt as _;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};

use super::ApplicationReconciler;
use super::apply::Work;
use super::kinds::Kind;
use super::observe::{as_value, with_managers};
use super::render::Desired;
use crate::domain::SERVICE;
use crate::domain::identity::{Owner, owner};
use crate::domain::ignore::respect;
use crate::domain::managed_fields;
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
        if is_new {
            return Ok((self.patch(wanted, kind, false).await?, Value::Null));
        }
        self.overwrite(work, wanted, kind).await
    }

    /// Applies an object that is there already; gives it as it is then, with the field managers that it had before.
    async fn overwrite(
        &self,
        work: &Work<'_>,
        wanted: &Desired,
        kind: &Kind,
    ) -> Result<(Value, Value), Error> {
        let request = work.request;
        let api = self.api(kind, &wanted.id.namespace);
        let found = api.get_opt(&wanted.id.name).await;
        let found = found.map_err(|source| Error::call(format!("read {}", wanted.id), source))?;
        let Some((_, live)) = found.and_then(|object| with_managers(kind, object)) else {
            return Ok((self.patch(wanted, kind, false).await?, Value::Null));
        };
        let taken_over =
            request.takes_over.then(|| managed_fields::taken_over(managed_fields::of(&live))).flatten();
        if let Some(managers) = taken_over {
            let version = live.pointer("/metadata/resourceVersion");
            let body = json!({"metadata": {"resourceVersion": version, "managedFields": managers}});
            let taken =
                api.patch_metadata(&wanted.id.name, &PatchParams::default(), &Patch::Merge(&body)).await;
            taken.map_err(|source| Error::call(format!("take over the fields of {}", wanted.id), source))?;
        }
        let mut wanted = wanted.clone();
        if request.respects_ignored {
            wanted.object = respect(&request.ignored, &wanted.id, &live, &wanted.object);
        }
        Ok((self.patch(&wanted, kind, false).await?, managed_fields::of(&live).clone()))
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
        let (uid, version) = (live.uid(), live.resource_version());
        let deleting = live.metadata.deletion_timestamp.is_some();
        let ours = as_value(kind, live)
            .is_some_and(|(_, object)| owner(&object) == Owner::Instance(work.instance.clone()));
        if deleting || !ours {
            return Ok(deleting && ours);
        }
        let preconditions = Some(Preconditions { uid, resource_version: version });
        let params = DeleteParams { preconditions, ..DeleteParams::foreground() };
        match api.delete(&wanted.id.name, &params).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
            Err(source) => Err(Error::call(action(), source)),
        }
    }
}
