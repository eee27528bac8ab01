//! From the spec to what is wanted: repository, files, objects, namespaces, tracking ids.
//!
//! Every refusal becomes a fault of the status, never an error of the loop: it waits for a person or
//! for the next look at the repository.

use mlp_crds::Application;
use mlp_crds::argocd::AppProjectSpec;
use mlp_model::Classified as _;
use mlp_reconcile::ObjectRef;
use serde_json::{Value, json};

use super::ApplicationReconciler;
use super::kinds::Kind;
use crate::domain::identity::{self, ObjectId, TRACKING_ID};
use crate::domain::manifest::{self, Manifest};
use crate::domain::object_options::ObjectOptions;
use crate::domain::project::{self, Scope, Tenant};
use crate::domain::request::Request;
use crate::domain::status::{COMPARISON, Fault, INVALID_SPEC};
use crate::error::Error;
use crate::store::{Checkout, Query};

/// Files that make a folder another tool's.
const OTHER_TOOLS: [(&str, &str); 4] = [
    ("Chart.yaml", "Helm"),
    ("kustomization.yaml", "Kustomize"),
    ("kustomization.yml", "Kustomize"),
    ("Kustomization", "Kustomize"),
];

/// One object that is wanted, ready to be applied.
#[derive(Clone, Debug)]
pub(super) struct Desired {
    pub(super) id: ObjectId,
    pub(super) options: ObjectOptions,
    /// None where the kind is not served (yet).
    pub(super) kind: Option<Kind>,
    pub(super) object: Value,
}

/// All objects of one commit.
pub(super) struct Rendered {
    pub(super) revision: String,
    pub(super) desired: Vec<Desired>,
}

/// A project and the Application's place, checked.
pub(super) struct Permission {
    project: Option<AppProjectSpec>,
    namespace: String,
    tenant: Tenant,
}

impl Permission {
    fn scope(&self) -> Scope<'_> {
        Scope { namespace: &self.namespace, tenant: &self.tenant, project: self.project.as_ref() }
    }
}

impl ApplicationReconciler {
    /// Whether the Application may do what its spec says, before anything is read.
    pub(super) fn permission(
        &self,
        application: &Application,
        request: &Request,
    ) -> Result<Permission, Fault> {
        let invalid = |message: String| Fault::new(INVALID_SPEC, message);
        let found = self
            .caches
            .projects
            .get(&ObjectRef::new(&request.project).within(&self.caches.control_namespace));
        if found.is_none() && request.project != project::DEFAULT {
            return Err(invalid(format!(
                "spec.project `{}` does not exist; make the AppProject, or write `default`",
                request.project
            )));
        }
        let namespace = application.metadata.namespace.clone().unwrap_or_default();
        let tenant = self.caches.tenant(&namespace).unwrap_or(Tenant::Nobody);
        let project = found.map(|project| project.spec.clone());
        let permission = Permission { project, namespace, tenant };
        if let Some(refusal) = project::check_source(permission.scope(), request) {
            return Err(invalid(refusal.to_string()));
        }
        if let Some(owner) = self.caches.tenant(&request.namespace) {
            project::check_namespace(permission.scope(), &request.project, &request.namespace, &owner)
                .map_err(|message| invalid(format!("spec.destination.namespace: {message}")))?;
        }
        Ok(permission)
    }

    /// Reads and renders the source at `revision`.
    pub(super) async fn render(
        &self,
        application: &Application,
        request: &Request,
        permission: &Permission,
        revision: &str,
        fresh: bool,
    ) -> Result<Result<Rendered, Fault>, Error> {
        let query = Query {
            url: request.repository.clone(),
            revision: revision.to_owned(),
            path: request.path.clone(),
            files: request.files.clone(),
            fresh,
        };
        let checkout = match self.repositories.read(query).await {
            Ok(checkout) => checkout,
            Err(error) => {
                tracing::info!(reason = error.reason(), %error, "source not read");
                return Ok(Err(Fault::new(COMPARISON, error.to_string())));
            }
        };
        let manifests = match manifests(application, &checkout, self.limits) {
            Ok(manifests) => manifests,
            Err(fault) => return Ok(Err(fault)),
        };
        self.place(application, request, permission, checkout.revision, manifests).await
    }

    /// Fills in namespaces and tracking ids, and checks each object against the project.
    async fn place(
        &self,
        application: &Application,
        request: &Request,
        permission: &Permission,
        revision: String,
        mut manifests: Vec<Manifest>,
    ) -> Result<Result<Rendered, Fault>, Error> {
        let instance = self.instance(application);
        let scopes: Vec<(String, String, bool)> = manifests.iter().filter_map(defined_scope).collect();
        let mut kinds = Vec::with_capacity(manifests.len());
        for manifest in &mut manifests {
            let kind = self.kinds.find(&manifest.id).await?;
            let defined = scopes
                .iter()
                .find(|(group, kind, _)| *group == manifest.id.group && *kind == manifest.id.kind);
            let namespaced =
                kind.as_ref().map(|kind| kind.namespaced).or(defined.map(|(_, _, namespaced)| *namespaced));
            let namespaced = namespaced.unwrap_or(true);
            set_namespace(manifest, namespaced, &request.namespace);
            if let Err(message) = self.check(permission, request, &manifest.id, namespaced) {
                let place = format!("{}:{}", manifest.file, manifest.line);
                return Ok(Err(Fault::new(INVALID_SPEC, format!("{place}: {message}"))));
            }
            kinds.push(kind);
        }
        if let Err(error) = manifest::refuse_repeats(&manifests) {
            return Ok(Err(Fault::new(COMPARISON, error.to_string())));
        }
        let desired = manifests.into_iter().zip(kinds).map(|(manifest, kind)| {
            let mut object = manifest.object;
            if let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") {
                let tracking = identity::tracking_id(&instance, &manifest.id);
                annotations.insert(TRACKING_ID.to_owned(), json!(tracking));
            }
            Desired { id: manifest.id, options: manifest.options, kind, object }
        });
        Ok(Ok(Rendered { revision, desired: desired.collect() }))
    }

    fn check(
        &self,
        permission: &Permission,
        request: &Request,
        id: &ObjectId,
        namespaced: bool,
    ) -> Result<(), String> {
        project::check_kind(permission.scope(), id, namespaced)?;
        if !namespaced || id.namespace == request.namespace {
            return Ok(());
        }
        let owner = self.caches.tenant(&id.namespace).unwrap_or(Tenant::Nobody);
        project::check_namespace(permission.scope(), &request.project, &id.namespace, &owner)
    }

    /// The name by which the Application tracks its objects.
    pub(super) fn instance(&self, application: &Application) -> String {
        let namespace = application.metadata.namespace.as_deref().unwrap_or_default();
        let name = application.metadata.name.as_deref().unwrap_or_default();
        identity::instance_name(&self.caches.control_namespace, namespace, name)
    }
}

fn manifests(
    application: &Application,
    checkout: &Checkout,
    limits: manifest::Limits,
) -> Result<Vec<Manifest>, Fault> {
    let directory = application.spec.source.as_ref().is_some_and(|source| source.directory.is_some());
    let other =
        OTHER_TOOLS.iter().find(|(file, _)| !directory && checkout.names.iter().any(|name| name == file));
    if let Some((file, tool)) = other {
        let message = format!(
            "the source holds {file}; {tool} is not supported: render it before, or set spec.source.directory to read the folder as plain manifests"
        );
        return Err(Fault::new(INVALID_SPEC, message));
    }
    manifest::parse_all(&checkout.files, limits).map_err(|error| Fault::new(COMPARISON, error.to_string()))
}

/// The scope that a CustomResourceDefinition of the same source gives a kind.
fn defined_scope(manifest: &Manifest) -> Option<(String, String, bool)> {
    let (group, kind) = defined_kind(&manifest.id, &manifest.object)?;
    let namespaced = manifest.object.pointer("/spec/scope").and_then(Value::as_str) != Some("Cluster");
    Some((group, kind, namespaced))
}

/// The (group, kind) that an object defines, where it is a CustomResourceDefinition.
pub(super) fn defined_kind(id: &ObjectId, object: &Value) -> Option<(String, String)> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    (id.kind == "CustomResourceDefinition").then_some(())?;
    Some((text("/spec/group")?, text("/spec/names/kind")?))
}

fn set_namespace(manifest: &mut Manifest, namespaced: bool, default: &str) {
    let namespace = match (namespaced, manifest.id.namespace.as_str()) {
        (true, "") => default.to_owned(),
        (true, own) => own.to_owned(),
        (false, _) => String::new(),
    };
    if let Some(metadata) = manifest.object.get_mut("metadata").and_then(Value::as_object_mut) {
        if namespace.is_empty() {
            metadata.remove("namespace");
        } else {
            metadata.insert("namespace".into(), json!(namespace));
        }
        // `null` annotations are legal YAML and would swallow the tracking id.
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if !annotations.is_object() {
            *annotations = json!({});
        }
    }
    manifest.id.namespace = namespace;
}
