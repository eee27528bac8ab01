//! Answers to what generators ask: repositories, pull requests, filled templates.

use std::collections::HashSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};
use mlp_crds::argocd::ApplicationSet;
use mlp_model::{Class, Classified, Secret as Hidden};
use mlp_reconcile::ObjectRef;

use super::{PULL_REQUESTS, SetReconciler, requeue_of};
use crate::domain::application_set::pull_requests::{Query as PullRequests, TokenRef};
use crate::domain::application_set::status::{Outcome, REFUSED};
use crate::domain::application_set::{Found, Need};
use crate::domain::credential::{self, Asker, Credential, SECRET_TYPE};
use crate::domain::project::{self, Scope, Tenant};
use crate::domain::request::Rendering;
use crate::forge;
use crate::reconcile::tenancy::texts;
use crate::store::{Listing, Query, Source};

/// What labels a Secret that a team's set may show to a forge.
const FORGE: &str = "scm-creds";

/// When what a person must change is asked for again.
const CHANGED: Duration = Duration::from_secs(60);
/// When what passes by itself is asked for again.
const PASSED: Duration = Duration::from_secs(10);

/// Something that was not answered.
pub(super) struct Unanswered {
    pub(super) outcome: Outcome,
    /// When it is asked again.
    pub(super) again: Duration,
}

fn refused(message: impl Into<String>) -> Unanswered {
    let outcome = Outcome::NoParameters { reason: REFUSED, message: message.into() };
    Unanswered { outcome, again: CHANGED }
}

fn failed(error: &(impl Classified + std::fmt::Display)) -> Unanswered {
    let reason = error.reason();
    tracing::info!(reason, %error, "generator not answered");
    let again = match error.class() {
        Class::Transient => PASSED,
        Class::Waiting(delay) => delay,
        Class::Terminal => CHANGED,
    };
    Unanswered { outcome: Outcome::NoParameters { reason, message: error.to_string() }, again }
}

impl SetReconciler {
    /// Finds out what is asked.
    pub(super) async fn answer(
        &self,
        set: &ApplicationSet,
        need: &Need,
        fresh: bool,
    ) -> Result<Found, Unanswered> {
        match need {
            Need::Listing { repository, revision } => {
                let (listing, _) = self.listing(set, repository, revision, fresh).await?;
                let files = listing.files.into_iter().map(|file| file.path).collect();
                Ok(Found::Listing { revision: listing.revision, folders: listing.folders, files })
            }
            Need::Files { repository, revision, paths } => self.files(set, repository, revision, paths).await,
            Need::PullRequests(query) => self.pull_requests(set, query, fresh).await,
            Need::Filled(input) => {
                let filled = self.parts.renderers.fill(input).await;
                filled.map(Found::Filled).map_err(|error| failed(&error))
            }
        }
    }

    async fn listing(
        &self,
        set: &ApplicationSet,
        repository: &str,
        revision: &str,
        fresh: bool,
    ) -> Result<(Listing, Option<Credential>), Unanswered> {
        let credential = self.may_read(set, repository)?;
        let query = Query {
            url: repository.to_owned(),
            credential: credential.clone(),
            revision: revision.to_owned(),
            path: String::new(),
            application: set.name_any(),
            rendering: Rendering::default(),
            source: None,
            fresh,
        };
        let listing = self.parts.repositories.listing(query).await;
        Ok((listing.map_err(|error| failed(&error))?, credential))
    }

    async fn files(
        &self,
        set: &ApplicationSet,
        repository: &str,
        revision: &str,
        paths: &[String],
    ) -> Result<Found, Unanswered> {
        let (listing, credential) = self.listing(set, repository, revision, false).await?;
        let paths: HashSet<&String> = paths.iter().collect();
        let wanted = listing.files.into_iter().filter(|file| paths.contains(&file.path)).collect();
        let source = Source { url: repository, credential: credential.as_ref() };
        let read = self.parts.repositories.contents(source, wanted).await;
        let read = read.map_err(|error| failed(&error))?;
        let texts = read.into_iter().map(|(path, data)| match String::from_utf8(data) {
            Ok(text) => Ok((path, text)),
            Err(_) => Err(refused(format!("{path}: is not UTF-8 text"))),
        });
        texts.collect::<Result<_, _>>().map(Found::Files)
    }

    /// The credential with which the set reads a repository, where its project lets it.
    fn may_read(&self, set: &ApplicationSet, repository: &str) -> Result<Option<Credential>, Unanswered> {
        const FIELD: &str = "spec.template.spec.project";
        let namespace = set.namespace().unwrap_or_default();
        let caches = &self.parts.caches;
        let tenant = caches.tenant(&namespace).unwrap_or(Tenant::Nobody);
        let name = set.spec.template.pointer("/spec/project").and_then(|name| name.as_str());
        let name = name.unwrap_or_default();
        // What a template comes to is known only once the repository was read.
        let is_template = name.contains("{{");
        if is_template && tenant != Tenant::Platform {
            return Err(refused(format!("{FIELD}: is a template; a team's set names its project")));
        }
        let found = caches.projects.get(&ObjectRef::new(name).within(&caches.control_namespace));
        if found.is_none() && !is_template && name != project::DEFAULT {
            let message =
                format!("{FIELD}: `{name}` does not exist; make the AppProject, or write `default`");
            return Err(refused(message));
        }
        let project = found.as_ref().map(|project| &project.spec);
        let scope = Scope { namespace: &namespace, tenant: &tenant, project };
        let field = "spec.generators: repoURL".to_owned();
        if let Some(refusal) = project::check_sources(scope, name, &[(field, repository)]) {
            return Err(refused(refusal.to_string()));
        }
        let asker = Asker { url: repository, project: name, is_checked: found.is_some(), tenant: &tenant };
        let all = caches.credentials();
        let chosen = credential::choose(&all, asker).map_err(|why| refused(format!("repoURL: {why}")))?;
        Ok(chosen.cloned())
    }

    async fn pull_requests(
        &self,
        set: &ApplicationSet,
        query: &PullRequests,
        fresh: bool,
    ) -> Result<Found, Unanswered> {
        let age = requeue_of(set).unwrap_or(PULL_REQUESTS).mul_f64(0.9);
        if let Some(found) = self.answers.get(set, query, age).filter(|_| !fresh) {
            return Ok(Found::PullRequests(found));
        }
        let namespace = set.namespace().unwrap_or_default();
        let tenant = self.parts.caches.tenant(&namespace).unwrap_or(Tenant::Nobody);
        let is_platform = tenant == Tenant::Platform;
        let token = match &query.token {
            Some(named) => Some(self.token(&namespace, named, is_platform).await?),
            None => None,
        };
        let asker = forge::Asker { is_platform, token };
        let open = self.parts.forges.open(query, &asker).await.map_err(|error| failed(&error))?;
        self.answers.put(set, query, &open);
        Ok(Found::PullRequests(open))
    }

    /// A token in the set's namespace. Whoever writes a team's set need not be one who may read its Secrets: only one
    /// that is labelled for it is used.
    async fn token(
        &self,
        namespace: &str,
        named: &TokenRef,
        is_platform: bool,
    ) -> Result<Hidden<String>, Unanswered> {
        let TokenRef { secret_name, key } = named;
        let api = Api::<Secret>::namespaced(self.parts.client.clone(), namespace);
        let found = api.get_opt(secret_name).await;
        let found = found.map_err(|error| failed(&mlp_reconcile::Error::of("read the token", error)))?;
        let missing = || {
            refused(format!("tokenRef: there is no Secret {secret_name} with a text `{key}` in {namespace}"))
        };
        let secret = found.ok_or_else(missing)?;
        if !is_platform && secret.labels().get(SECRET_TYPE).is_none_or(|kind| kind != FORGE) {
            return Err(refused(format!("tokenRef: label the Secret {secret_name} {SECRET_TYPE}={FORGE}")));
        }
        texts(&secret).remove(key).map(|text| Hidden::new(text.trim().to_owned())).ok_or_else(missing)
    }
}
