//! From manifests to what is wanted: objects, namespaces, tracking ids, and what the project says of each.
//!
//! Every refusal becomes a fault of the status, never an error of the loop: it waits for a person or
//! for the next look at the repository.

use jiff::Timestamp;
use mlp_crds::Application;
use mlp_crds::argocd::{AppProjectSpec, OrphanedResources};
use mlp_reconcile::ObjectRef;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::ApplicationReconciler;
use super::kinds::Kind;
use crate::domain::hook::Hook;
use crate::domain::identity::{self, ObjectId, TRACKING_ID};
use crate::domain::manifest::{self, Manifest};
use crate::domain::object_options::ObjectOptions;
use crate::domain::project::{self, Scope, Tenant};
use crate::domain::request::{self, Request};
use crate::domain::status::{COMPARISON, Fault, INVALID_SPEC};
use crate::domain::tool::Tool;
use crate::domain::window::{self, Subject, Windows};
use crate::error::Error;

/// One object that is wanted, ready to be applied.
#[derive(Clone, Debug)]
pub(super) struct Desired {
    pub(super) id: ObjectId,
    pub(super) options: ObjectOptions,
    /// None where the kind is not served (yet).
    pub(super) kind: Option<Kind>,
    pub(super) object: Value,
    /// Path of its file, or what it was rendered by.
    pub(super) file: String,
    /// Line where it starts.
    pub(super) line: u64,
}

/// All objects of one commit.
pub(super) struct Rendered {
    pub(super) revision: String,
    /// What made the manifests, for each source.
    pub(super) tools: Vec<Tool>,
    pub(super) desired: Vec<Desired>,
    /// Those that run in a sync.
    pub(super) hooks: Vec<Desired>,
    /// Those that run at the Application's end.
    pub(super) ends: Vec<Desired>,
    /// A digest of all of it.
    pub(super) content: String,
}

impl Rendered {
    /// All that is or may be applied, each once.
    pub(super) fn all(&self) -> impl Iterator<Item = &Desired> {
        let ends = self.ends.iter().filter(|one| !self.hooks.iter().any(|hook| hook.id == one.id));
        self.desired.iter().chain(&self.hooks).chain(ends)
    }
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

    /// Whether the project exists, so that what it says was checked.
    pub(super) const fn has_project(&self) -> bool {
        self.project.is_some()
    }

    /// What the project wants to be told of objects that no Application manages, where it does.
    pub(super) fn orphaned_resources(&self) -> Option<&OrphanedResources> {
        self.project.as_ref()?.orphaned_resources.as_ref()
    }

    /// Whether the Application may have a namespaced object.
    pub(super) fn permits(&self, id: &ObjectId) -> bool {
        project::check_kind(self.scope(), id, true).is_ok()
    }

    /// Whose the Application is.
    pub(super) const fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// What the project's windows say about the Application now.
    pub(super) fn windows(
        &self,
        application: &Application,
        request: &Request,
        now: Timestamp,
    ) -> Result<Windows, Fault> {
        let windows = self.project.as_ref().and_then(|project| project.rest.get("syncWindows"));
        let subject = Subject {
            application: application.metadata.name.as_deref().unwrap_or_default(),
            namespace: &request.namespace,
            clusters: [request::IN_CLUSTER_SERVER, request::IN_CLUSTER_NAME],
        };
        let judged = window::judge(windows.unwrap_or(&Value::Null), subject, now);
        judged
            .map_err(|message| Fault::new(INVALID_SPEC, format!("project `{}`: {message}", request.project)))
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
        if let Some(refusal) =
            project::check_sources(permission.scope(), &request.project, &request.repositories())
        {
            return Err(invalid(refusal.to_string()));
        }
        if let Some(owner) = self.caches.tenant(&request.namespace) {
            project::check_namespace(permission.scope(), &request.project, &request.namespace, &owner)
                .map_err(|message| invalid(format!("spec.destination.namespace: {message}")))?;
        }
        Ok(permission)
    }

    /// Fills in namespaces and tracking ids, and checks each object against the project.
    pub(super) async fn place(
        &self,
        application: &Application,
        request: &Request,
        permission: &Permission,
        (revision, tools): (String, Vec<Tool>),
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
        let all = manifests.into_iter().zip(kinds).map(|(manifest, kind)| {
            let mut object = manifest.object;
            if let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") {
                let tracking = identity::tracking_id(&instance, &manifest.id);
                annotations.insert(TRACKING_ID.to_owned(), json!(tracking));
            }
            let Manifest { id, options, file, line, .. } = manifest;
            Desired { id, options, kind, object, file, line }
        });
        let (hooks, desired): (Vec<_>, Vec<_>) = all.partition(|one: &Desired| one.options.hook.is_some());
        let ends = hooks.iter().filter(|one| one.options.hook.is_some_and(Hook::runs_at_the_end));
        let ends = ends.cloned().collect();
        let hooks: Vec<_> =
            hooks.into_iter().filter(|one| one.options.hook.is_some_and(Hook::runs_in_sync)).collect();
        let content = content(desired.iter().chain(&hooks));
        Ok(Ok(Rendered { revision, tools, desired, hooks, ends, content }))
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

/// The same for the same objects, in whatever order they stand in git.
fn content<'a>(all: impl Iterator<Item = &'a Desired>) -> String {
    let mut objects: Vec<String> = all.map(|desired| desired.object.to_string()).collect();
    objects.sort_unstable();
    let mut digest = Sha256::new();
    for object in objects {
        digest.update(object.len().to_le_bytes());
        digest.update(object.as_bytes());
    }
    digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
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
