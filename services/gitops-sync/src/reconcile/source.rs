//! From the spec to manifests: each source is read from its repository, and a tool makes manifests of it.

use kube::ResourceExt as _;
use mlp_crds::Application;
use mlp_model::Classified as _;

use super::ApplicationReconciler;
use super::render::{Permission, Rendered};
use crate::domain::credential::Credential;
use crate::domain::glob::Glob;
use crate::domain::helm::{self, beside};
use crate::domain::manifest::{self, Manifest};
use crate::domain::request::{self, FileRules, Origin, Rendering, Request};
use crate::domain::revision;
use crate::domain::status::{COMPARISON, Fault};
use crate::domain::tool::Tool;
use crate::error::Error;
use crate::render::{Helm, Kustomize, Renderer};
use crate::store::{self, Checkout, Content, Query, Source};

/// What one source came to.
struct Made {
    tool: Tool,
    manifests: Vec<Manifest>,
}

/// What all sources of one look have in common.
#[derive(Clone, Copy)]
struct Look<'a> {
    application: &'a Application,
    request: &'a Request,
    /// Whether remotes are asked now.
    fresh: bool,
}

/// One source of the look, with what it is read.
struct Reading<'a> {
    origin: &'a Origin,
    revision: String,
    credential: Option<Credential>,
}

/// What cannot be read is a fault of the Application, and no error of the loop.
type Read<T> = Result<Result<T, Fault>, Error>;

/// Gives up with a fault.
macro_rules! or_fault {
    ($read:expr) => {
        match $read {
            Ok(read) => read,
            Err(fault) => return Ok(Err(fault)),
        }
    };
}

impl ApplicationReconciler {
    /// Reads and renders each source at its revision.
    pub(super) async fn render(
        &self,
        application: &Application,
        request: &Request,
        permission: &Permission,
        revisions: &[String],
        fresh: bool,
    ) -> Read<Rendered> {
        let look = Look { application, request, fresh };
        // What cannot be read is news once it can.
        self.contents.forget(&application.uid().unwrap_or_default());
        let mut readings = Vec::with_capacity(request.origins.len());
        for (origin, revision) in request.origins.iter().zip(revisions) {
            let credential = or_fault!(self.credential(request, origin, permission));
            readings.push(Reading { origin, revision: revision.clone(), credential });
        }
        // One commit of each source that others take values from, whatever is pushed in the meantime.
        for reading in readings.iter_mut().filter(|reading| reading.origin.name().is_some()) {
            let query = query(look, reading, "", one_file(""));
            reading.revision = or_fault!(self.read(query).await).revision;
        }
        let (mut commits, mut tools, mut manifests) = (Vec::new(), Vec::new(), Vec::new());
        for reading in &readings {
            let origin = reading.origin;
            if !origin.has_manifests() {
                commits.push(reading.revision.clone());
                continue;
            }
            let checkout = or_fault!(self.read(whole(look, reading)).await);
            let rendering = checkout.overridden.clone().unwrap_or_else(|| origin.rendering.clone());
            let values = or_fault!(self.values(look, reading, &rendering.helm, &readings).await);
            // Of several sources it would be of one.
            if readings.len() == 1 {
                self.contents.seen(application, &checkout.content);
            }
            commits.push(checkout.revision.clone());
            let made = or_fault!(self.manifests(look, reading, checkout, rendering.helm, values).await?);
            tools.push(made.tool);
            manifests.extend(made.manifests);
        }
        if manifests.len() > self.limits.objects {
            let most = self.limits.objects;
            let message =
                format!("spec.sources hold more than {most} objects together; split the Application");
            return Ok(Err(Fault::new(COMPARISON, message)));
        }
        let revision = revision::joined("", &commits);
        self.place(application, request, permission, (revision, tools), manifests).await
    }

    /// Whether git holds something else for the Application than it was last made of. Where that would take more than
    /// one look at one source to tell, it counts as news: a look tells.
    pub(super) async fn has_news(&self, application: &Application) -> bool {
        let Ok(request) = request::validate(&application.spec) else { return false };
        let under_way = application.status.as_ref().and_then(|status| status.operation_state.as_ref());
        let is_under_way = under_way.is_some_and(|state| state.finished_at.is_none());
        let [origin] = request.origins.as_slice() else { return true };
        if is_under_way || application.operation.is_some() {
            return true;
        }
        let Ok(permission) = self.permission(application, &request) else { return false };
        let revision = origin.revision.clone();
        let Ok(credential) = self.credential(&request, origin, &permission) else { return true };
        let look = Look { application, request: &request, fresh: false };
        let reading = Reading { origin, revision, credential };
        match self.repositories.read(whole(look, &reading)).await {
            Ok(checkout) => self.contents.differs(application, &checkout.content),
            Err(_) => true,
        }
    }

    async fn read(&self, query: Query) -> Result<Checkout, Fault> {
        self.repositories.read(query).await.map_err(|error| unread(&error, error.reason()))
    }

    /// The value files that a chart takes from other sources, by their places in its tree.
    async fn values(
        &self,
        look: Look<'_>,
        reading: &Reading<'_>,
        helm: &helm::Options,
        readings: &[Reading<'_>],
    ) -> Result<Vec<(String, String)>, Fault> {
        let mut values = Vec::new();
        for (index, name, path) in helm.references() {
            let field = format!("{}.helm.valueFiles[{index}]", reading.origin.field);
            let Some(other) = readings.iter().find(|one| one.origin.name() == Some(name)) else {
                let message =
                    format!("{field}: names the source `{name}`, and none of spec.sources has `ref: {name}`");
                return Err(Fault::new(COMPARISON, message));
            };
            let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
            let query = query(look, other, folder, one_file(file));
            let found = match self.repositories.read(query).await.map(|checkout| checkout.content) {
                Ok(Content::Manifests(files)) => files.into_iter().find(|(found, _)| *found == path),
                Ok(Content::Tree(..)) | Err(store::Error::NoPath { .. }) => None,
                Err(error) => return Err(unread(&error, error.reason())),
            };
            match found {
                Some((_, text)) => values.push((beside(name, &path), text)),
                None if helm.ignores_missing() => {}
                None => {
                    let message = format!(
                        "{field}: source `{name}` has no file {path} at {}; or set ignoreMissingValueFiles",
                        other.revision
                    );
                    return Err(Fault::new(COMPARISON, message));
                }
            }
        }
        Ok(values)
    }

    /// The manifests of a checkout.
    async fn manifests(
        &self,
        look: Look<'_>,
        reading: &Reading<'_>,
        checkout: Checkout,
        helm: helm::Options,
        values: Vec<(String, String)>,
    ) -> Read<Made> {
        let (origin, tool) = (reading.origin, checkout.content.tool());
        let read = match checkout.content {
            Content::Manifests(files) => manifest::parse_all(&files, self.limits),
            Content::Tree(tool, entries) => {
                let renderer = self.renderer(look, origin, tool, helm, values).await?;
                let source = Source { url: &origin.repository, credential: reading.credential.as_ref() };
                let made = self.renderers.render(&self.repositories, source, entries, &*renderer).await;
                let made = or_fault!(made.map_err(|error| unread(&error, error.reason())));
                let folder = if origin.path.is_empty() { "the root" } else { &origin.path };
                manifest::parse_all(
                    &[(format!("{} of {folder}", tool.as_str()), made.to_string())],
                    self.limits,
                )
            }
        };
        let read = read.map_err(|error| Fault::new(COMPARISON, error.to_string()));
        Ok(read.map(|manifests| Made { tool, manifests }))
    }

    /// The tool with what it is told.
    async fn renderer(
        &self,
        look: Look<'_>,
        origin: &Origin,
        tool: Tool,
        options: helm::Options,
        values: Vec<(String, String)>,
    ) -> Result<Box<dyn Renderer>, Error> {
        let folder = origin.path.clone();
        if tool != Tool::Helm {
            return Ok(Box::new(Kustomize { folder }));
        }
        let served = self.kinds.served().await?;
        Ok(Box::new(Helm {
            folder,
            options,
            values,
            application: look.application.metadata.name.clone().unwrap_or_default(),
            namespace: look.request.namespace.clone(),
            kube_version: served.version.clone(),
            api_versions: served.kinds.clone(),
        }))
    }
}

fn unread(error: &dyn std::fmt::Display, reason: &str) -> Fault {
    tracing::info!(reason, %error, "source not read");
    Fault::new(COMPARISON, error.to_string())
}

/// What is to be read of a source.
fn query(look: Look<'_>, reading: &Reading<'_>, path: &str, rendering: Rendering) -> Query {
    Query {
        credential: reading.credential.clone(),
        url: reading.origin.repository.clone(),
        revision: reading.revision.clone(),
        path: path.to_owned(),
        application: look.application.metadata.name.clone().unwrap_or_default(),
        rendering,
        source: None,
        fresh: look.fresh,
    }
}

/// What manifests are made of.
fn whole(look: Look<'_>, reading: &Reading<'_>) -> Query {
    let origin = reading.origin;
    let query = query(look, reading, &origin.path, origin.rendering.clone());
    Query { source: Some(origin.source.clone()), ..query }
}

/// Takes one file of a folder as it is, and none where it has no name.
fn one_file(name: &str) -> Rendering {
    let glob = |pattern| Glob::new(pattern).ok();
    let exclude = if name.is_empty() { glob("*") } else { None };
    let files = FileRules { recurse: false, include: glob(name), exclude };
    Rendering { tool: Some(Tool::Directory), files, ..Rendering::default() }
}
