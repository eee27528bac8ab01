//! Kubernetes objects of one kind, read and written on behalf of a caller.
//!
//! Every service's API is a face of its custom resources: it reads them, and writes nothing else.
//! Each call is authorised as the same call to the Kubernetes API would be.

use std::marker::PhantomData;

use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions, WatchEvent, WatchParams,
};
use kube::core::ApiResource;
use kube::{Client, Resource};
use mlp_model::labels;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tonic::{Code, Request, Status};
use tonic_types::{FieldViolation, StatusExt as _};

use super::authorize::{Access, Authorizer};
use super::status::{TRANSIENT_RETRY, details, invalid_fields, refusal, shortened, unavailable};

mod watch;

pub use watch::Changes;

/// Objects on a page where the caller names no number, and the most it may name.
const PAGE: (u32, u32) = (100, 500);

/// Reads and writes objects of kind `K` for callers.
#[derive(Clone)]
pub struct Objects<K> {
    client: Client,
    authorizer: Authorizer,
    manager: &'static str,
    resource: ApiResource,
    kind: PhantomData<fn() -> K>,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<K> {
    /// By namespace and name.
    pub items: Vec<K>,
    /// Token of the next page; empty on the last.
    pub next: String,
    /// Resource version of the list, to start a watch from.
    pub version: String,
}

/// What [`Objects::apply`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The object was as asked for; nothing was written.
    Unchanged,
    /// The object was made.
    Created,
    /// The object was changed.
    Configured,
}

/// What happened to a watched object.
#[derive(Clone, Debug)]
pub enum Changed<K> {
    /// It exists; sent for each existing one first.
    Added(K),
    /// It changed.
    Modified(K),
    /// It is gone.
    Deleted(K),
    /// Nothing happened; the version to resume from.
    Bookmark(String),
}

impl<K> Objects<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Send + 'static,
{
    /// Calls the API server through `client`, after `authorizer` agreed; writes as `manager`.
    pub fn new(client: Client, authorizer: Authorizer, manager: &'static str) -> Self {
        let resource = ApiResource::erase::<K>(&());
        Self { client, authorizer, manager, resource, kind: PhantomData }
    }

    fn api(&self, namespace: &str) -> Api<DynamicObject> {
        match namespace {
            "" => Api::all_with(self.client.clone(), &self.resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &self.resource),
        }
    }

    async fn allow<T>(
        &self,
        request: &Request<T>,
        verb: &str,
        namespace: &str,
        name: &str,
    ) -> Result<(), Status> {
        let access = Access::new(verb, &*self.resource.group, &*self.resource.plural);
        self.authorizer.check(request, &access.in_namespace(namespace).named(name)).await
    }

    /// One object. `namespace` is empty for cluster-scoped kinds.
    ///
    /// # Errors
    /// The caller may not, or there is none.
    pub async fn get<T>(&self, request: &Request<T>, namespace: &str, name: &str) -> Result<K, Status> {
        named(name)?;
        self.allow(request, "get", namespace, name).await?;
        let found = self.api(namespace).get(name).await;
        parse(found.map_err(|error| refused(&error))?)
    }

    /// A page of a namespace, or of all where it is empty.
    ///
    /// # Errors
    /// The caller may not, or the token is too old.
    pub async fn list<T>(
        &self,
        request: &Request<T>,
        namespace: &str,
        size: i32,
        token: &str,
    ) -> Result<Page<K>, Status> {
        let (usual, most) = PAGE;
        let asked = u32::try_from(size).map_err(|_| invalid_fields([("page_size", "write 0 to 500")]))?;
        let limit = if asked == 0 { usual } else { asked.min(most) };
        self.allow(request, "list", namespace, "").await?;
        let mut params = ListParams::default().limit(limit);
        if !token.is_empty() {
            params = params.continue_token(token);
        }
        let list = self.api(namespace).list(&params).await.map_err(|error| refused(&error))?;
        let next = list.metadata.continue_.unwrap_or_default();
        let version = list.metadata.resource_version.unwrap_or_default();
        let items = list.items.into_iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Page { items, next, version })
    }

    /// Objects as they change, from `version` on; all of them first where it is empty. Only those
    /// called `name`, where it is not empty.
    ///
    /// # Errors
    /// The caller may not, or the version is too old (`OUT_OF_RANGE`): list again.
    pub async fn watch<T>(
        &self,
        request: &Request<T>,
        namespace: &str,
        name: &str,
        version: &str,
    ) -> Result<Changes<K>, Status> {
        self.allow(request, "watch", namespace, name).await?;
        let fields = (!name.is_empty()).then(|| format!("metadata.name={name}"));
        let mut known = Vec::new();
        let mut version = version.to_owned();
        if version.is_empty() {
            self.allow(request, "list", namespace, name).await?;
            let params = ListParams { field_selector: fields.clone(), ..ListParams::default() };
            let list = self.api(namespace).list(&params).await.map_err(|error| refused(&error))?;
            version = list.metadata.resource_version.unwrap_or_default();
            known = list.items;
        }
        let params = WatchParams { field_selector: fields, bookmarks: true, ..WatchParams::default() };
        Ok(watch::changes(self.api(namespace), params, known, version))
    }

    /// Creates the object or makes its spec as given, by server-side apply. The caller's trace
    /// becomes the flow of the change. Applying what is so already writes nothing.
    ///
    /// # Errors
    /// The caller may not, or the API server refuses the spec; the status names the fields.
    pub async fn apply<T>(
        &self,
        request: &Request<T>,
        namespace: &str,
        name: &str,
        spec: Value,
        dry_run: bool,
    ) -> Result<(K, Change), Status> {
        named(name)?;
        let api = self.api(namespace);
        self.allow(request, "patch", namespace, name).await?;
        let before = api.get_opt(name).await.map_err(|error| refused(&error))?;
        if before.is_none() {
            self.allow(request, "create", namespace, name).await?;
        }
        let former = before.as_ref().and_then(traceparent_of);
        let tried = self.patch(&api, name, &spec, former.as_deref(), true).await?;
        let change = match &before {
            None => Change::Created,
            Some(before) if before.metadata.generation == tried.metadata.generation => Change::Unchanged,
            Some(_) => Change::Configured,
        };
        let after = match (before, change) {
            (Some(before), Change::Unchanged) => before,
            _ if dry_run => tried,
            _ => {
                let flow = super::call::current_traceparent();
                self.patch(&api, name, &spec, flow.as_deref(), false).await?
            }
        };
        Ok((parse(after)?, change))
    }

    /// Makes a part of the spec as given for a caller who was authorised for just that; the rest stays. The part
    /// belongs to `manager`, and goes when it leaves out what it had.
    ///
    /// # Errors
    /// The object is no longer as it was read (`ABORTED`: read it and decide anew), or the API server refuses the
    /// spec; the status names the fields.
    pub async fn apply_part(&self, manager: &str, object: &K, spec: &Value) -> Result<K, Status> {
        let flow = super::call::current_traceparent();
        let meta = object.meta();
        let name = meta.name.clone().unwrap_or_default();
        let mut body = self.body(&name, spec, flow.as_deref());
        if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
            // The uid keeps an object that has gone from being made anew.
            metadata.insert("uid".to_owned(), json!(meta.uid));
            metadata.insert("resourceVersion".to_owned(), json!(meta.resource_version));
        }
        let params = PatchParams::apply(manager).force();
        let namespace = meta.namespace.clone().unwrap_or_default();
        let patched = self.api(&namespace).patch(&name, &params, &Patch::Apply(&body)).await;
        parse(patched.map_err(|error| refused(&error))?)
    }

    /// Asks for deletion; an object that is gone is no error. With `uid`, only that very object.
    ///
    /// # Errors
    /// The caller may not, or the object has another uid.
    pub async fn delete<T>(
        &self,
        request: &Request<T>,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<(), Status> {
        named(name)?;
        self.allow(request, "delete", namespace, name).await?;
        let preconditions =
            (!uid.is_empty()).then(|| Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        match self.api(namespace).delete(name, &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(refused(&error)),
            Ok(_) => Ok(()),
        }
    }

    async fn patch(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        spec: &Value,
        flow: Option<&str>,
        dry_run: bool,
    ) -> Result<DynamicObject, Status> {
        let body = self.body(name, spec, flow);
        let params = PatchParams { dry_run, ..PatchParams::apply(self.manager).force() };
        api.patch(name, &params, &Patch::Apply(&body)).await.map_err(|error| refused(&error))
    }

    /// What is applied: the spec, and the flow that the change belongs to.
    fn body(&self, name: &str, spec: &Value, flow: Option<&str>) -> Value {
        let annotations = flow.map(|flow| json!({ labels::TRACEPARENT: flow })).unwrap_or_else(|| json!({}));
        json!({
            "apiVersion": self.resource.api_version,
            "kind": self.resource.kind,
            "metadata": {"name": name, "annotations": annotations},
            "spec": spec,
        })
    }
}

fn named(name: &str) -> Result<(), Status> {
    if name.is_empty() { Err(invalid_fields([("name", "write the object's name")])) } else { Ok(()) }
}

fn traceparent_of(object: &DynamicObject) -> Option<String> {
    object.metadata.annotations.as_ref()?.get(labels::TRACEPARENT).cloned()
}

fn parse<K: Resource<DynamicType = ()> + DeserializeOwned>(object: DynamicObject) -> Result<K, Status> {
    object.try_parse().map_err(|error| {
        tracing::error!(%error, "an object does not fit its kind");
        refusal(
            Code::Internal,
            "Internal",
            "the object does not fit its kind; is the CRD the platform's own?",
        )
    })
}

/// The API server's answer as a gRPC status, with its fields.
fn refused(error: &kube::Error) -> Status {
    let kube::Error::Api(answer) = error else {
        tracing::warn!(%error, "the api server does not answer");
        return unavailable("the API server does not answer at the moment");
    };
    let (code, reason) = match answer.code {
        400 | 422 => (Code::InvalidArgument, "InvalidRequest"),
        403 => (Code::PermissionDenied, "Forbidden"),
        404 => (Code::NotFound, "NotFound"),
        409 => (Code::Aborted, "Conflict"),
        410 => (Code::OutOfRange, "Gone"),
        _ => return unavailable(&answer.message),
    };
    let mut details = details(reason);
    if code == Code::Aborted {
        details.set_retry_info(Some(TRANSIENT_RETRY));
    }
    let causes = answer.details.iter().flat_map(|details| &details.causes);
    let violations: Vec<_> = causes
        .filter(|cause| !cause.field.is_empty())
        .map(|cause| FieldViolation::new(&cause.field, &cause.message))
        .collect();
    if !violations.is_empty() {
        details.set_bad_request(violations);
    }
    Status::with_error_details(code, shortened(&answer.message), details)
}
