//! From the spec to manifests: each source is read from its repository, and a tool makes manifests of it.

use mlp_crds::Application;
use mlp_model::Classified as _;

use super::ApplicationReconciler;
use super::render::{Permission, Rendered};
use crate::domain::glob::Glob;
use crate::domain::helm::beside;
use crate::domain::manifest::{self, Manifest};
use crate::domain::request::{FileRules, Origin, Rendering, Request};
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
    permission: &'a Permission,
    /// Whether remotes are asked now.
    fresh: bool,
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
        let look = Look { application, request, permission, fresh };
        let origins = || request.origins.iter().zip(revisions);
        // One commit of each source that others take values from, whatever is pushed in the meantime.
        let mut named = Vec::new();
        for (origin, revision) in origins() {
            if let Some(name) = origin.name() {
                let nothing =
                    Rendering { tool: Some(Tool::Directory), files: one_file(""), ..Rendering::default() };
                let checkout = or_fault!(self.read(self.query(look, origin, revision, "", nothing)).await?);
                named.push((name, origin, checkout.revision));
            }
        }
        let (mut commits, mut tools, mut manifests) = (Vec::new(), Vec::new(), Vec::new());
        for (origin, revision) in origins() {
            let known =
                named.iter().find(|(_, one, _)| one.field == origin.field).map(|(_, _, commit)| commit);
            if let Some(commit) = known.filter(|_| !origin.has_manifests()) {
                commits.push(commit.clone());
                continue;
            }
            let values = or_fault!(self.values(look, origin, &named).await?);
            let revision = known.unwrap_or(revision);
            let checkout = or_fault!(
                self.read(self.query(look, origin, revision, &origin.path, origin.rendering.clone())).await?
            );
            commits.push(checkout.revision.clone());
            let made = or_fault!(self.manifests(look, origin, checkout, values).await?);
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

    async fn read(&self, query: Result<Query, Fault>) -> Read<Checkout> {
        let query = or_fault!(query);
        Ok(self.repositories.read(query).await.map_err(|error| unread(&error, error.reason())))
    }

    /// What is to be read of a source.
    fn query(
        &self,
        look: Look<'_>,
        origin: &Origin,
        revision: &str,
        path: &str,
        rendering: Rendering,
    ) -> Result<Query, Fault> {
        let credential = self.credential(look.request, origin, look.permission)?;
        Ok(Query {
            credential,
            url: origin.repository.clone(),
            revision: revision.to_owned(),
            path: path.to_owned(),
            application: look.application.metadata.name.clone().unwrap_or_default(),
            rendering,
            fresh: look.fresh,
        })
    }

    /// The value files that a chart takes from other sources, by their places in its tree.
    async fn values(
        &self,
        look: Look<'_>,
        origin: &Origin,
        named: &[(&str, &Origin, String)],
    ) -> Read<Vec<(String, String)>> {
        let helm = &origin.rendering.helm;
        let mut values = Vec::new();
        for (index, name, path) in helm.references() {
            let Some((_, other, commit)) = named.iter().find(|(known, _, _)| *known == name) else {
                continue;
            };
            let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
            let files = one_file(file);
            let rendering = Rendering { tool: Some(Tool::Directory), files, ..Rendering::default() };
            let query = or_fault!(self.query(look, other, commit, folder, rendering));
            let found = match self.repositories.read(query).await.map(|checkout| checkout.content) {
                Ok(Content::Manifests(files)) => files.into_iter().next(),
                Ok(Content::Tree(..)) | Err(store::Error::NoPath { .. }) => None,
                Err(error) => return Ok(Err(unread(&error, error.reason()))),
            };
            match found {
                Some((_, text)) => values.push((beside(name, &path), text)),
                None if helm.ignores_missing() => {}
                None => {
                    let message = format!(
                        "{}.helm.valueFiles[{index}]: source `{name}` has no file {path} at {commit}; or set ignoreMissingValueFiles",
                        origin.field
                    );
                    return Ok(Err(Fault::new(COMPARISON, message)));
                }
            }
        }
        Ok(Ok(values))
    }

    /// The manifests of a checkout.
    async fn manifests(
        &self,
        look: Look<'_>,
        origin: &Origin,
        checkout: Checkout,
        values: Vec<(String, String)>,
    ) -> Read<Made> {
        let tool = checkout.content.tool();
        let read = match checkout.content {
            Content::Manifests(files) => manifest::parse_all(&files, self.limits),
            Content::Tree(tool, entries) => {
                let renderer = self.renderer(look, origin, tool, values).await?;
                let credential = or_fault!(self.credential(look.request, origin, look.permission));
                let source = Source { url: &origin.repository, credential: credential.as_ref() };
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
        values: Vec<(String, String)>,
    ) -> Result<Box<dyn Renderer>, Error> {
        let folder = origin.path.clone();
        if tool != Tool::Helm {
            return Ok(Box::new(Kustomize { folder }));
        }
        let served = self.kinds.served().await?;
        Ok(Box::new(Helm {
            folder,
            options: origin.rendering.helm.clone(),
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

/// Takes one file of a folder, and none where it has no name.
fn one_file(name: &str) -> FileRules {
    // A value file whose name is a pattern was refused; a pattern that cannot be read takes nothing.
    FileRules {
        recurse: false,
        include: Glob::new(name).ok(),
        exclude: Glob::new(if name.is_empty() { "*" } else { "" }).ok(),
    }
}
