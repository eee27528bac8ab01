//! Authorization: whoever may do it through the Kubernetes API may do it through gRPC.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;
use tonic::{Code, Status};

use super::cache::Cache;
use super::identity::Identity;
use super::status::{refusal, unavailable};

/// How many answers are remembered.
const ANSWERS: usize = 4_096;
/// How long an answer holds: what a revoked right may still do.
const ALLOWED_FOR: Duration = Duration::from_secs(10);
/// How long a refusal holds.
const DENIED_FOR: Duration = Duration::from_secs(5);
/// How long the API server may take to answer.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(5);

/// An action on a resource, as Kubernetes RBAC knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// get, list, watch, create, update, patch, delete.
    pub verb: String,
    /// API group, such as `mlplatform.dev`.
    pub group: String,
    /// Plural name of the kind, such as `teams`.
    pub resource: String,
    /// Namespace; empty for cluster-scoped kinds, or for all namespaces.
    pub namespace: String,
    /// Name of the object; empty for all.
    pub name: String,
}

impl Access {
    /// `verb` on all `resource` objects of `group`, in all namespaces.
    pub fn new(verb: impl Into<String>, group: impl Into<String>, resource: impl Into<String>) -> Self {
        let (verb, group, resource) = (verb.into(), group.into(), resource.into());
        Self { verb, group, resource, ..Self::default() }
    }

    /// In this namespace only.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// On the object of this name only.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

/// Asks the API server whether a caller may do something, and remembers the answer for a while.
#[derive(Clone)]
pub struct Authorizer {
    reviews: Api<SubjectAccessReview>,
    answers: Arc<Cache<(Identity, Access), bool>>,
}

impl Authorizer {
    /// Asks through `client`, whose account needs `create` on `subjectaccessreviews`.
    pub fn new(client: kube::Client) -> Self {
        Self { reviews: Api::all(client), answers: Arc::new(Cache::new(ANSWERS)) }
    }

    /// Lets the caller of `request` go on, or says why not.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` without an identity, `PERMISSION_DENIED` when the API server says no,
    /// `UNAVAILABLE` when it says nothing.
    pub async fn check<T>(&self, request: &tonic::Request<T>, access: &Access) -> Result<(), Status> {
        let identity = Identity::of(request).ok_or_else(|| {
            refusal(Code::Unauthenticated, "Unauthenticated", "the call carries no identity")
        })?;
        self.check_identity(identity, access).await
    }

    /// As [`Authorizer::check`], for a known identity.
    ///
    /// # Errors
    /// As [`Authorizer::check`].
    pub async fn check_identity(&self, identity: &Identity, access: &Access) -> Result<(), Status> {
        let key = (identity.clone(), access.clone());
        let allowed = match self.answers.get(&key) {
            Some(allowed) => allowed,
            None => {
                let allowed = self.review(identity, access).await?;
                self.answers.put(key, allowed, if allowed { ALLOWED_FOR } else { DENIED_FOR });
                allowed
            }
        };
        if allowed { Ok(()) } else { Err(denied(identity, access)) }
    }

    async fn review(&self, identity: &Identity, access: &Access) -> Result<bool, Status> {
        let spec = SubjectAccessReviewSpec {
            user: Some(identity.user.clone()),
            uid: identity.uid.clone(),
            groups: Some(identity.groups.clone()),
            extra: Some(identity.extra.clone()).filter(|extra| !extra.is_empty()),
            resource_attributes: Some(attributes(access)),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let params = PostParams::default();
        let asked = self.reviews.create(&params, &review);
        match tokio::time::timeout(REVIEW_TIMEOUT, asked).await {
            Ok(Ok(answer)) => Ok(answer.status.is_some_and(|status| status.allowed)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "access review failed");
                Err(unavailable("the API server cannot review access at the moment"))
            }
            Err(_) => Err(unavailable("the API server takes too long to review access")),
        }
    }
}

fn attributes(access: &Access) -> ResourceAttributes {
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    ResourceAttributes {
        verb: some(&access.verb),
        group: some(&access.group),
        resource: some(&access.resource),
        namespace: some(&access.namespace),
        name: some(&access.name),
        ..ResourceAttributes::default()
    }
}

fn denied(identity: &Identity, access: &Access) -> Status {
    let place = match (access.namespace.as_str(), access.name.as_str()) {
        ("", "") => String::new(),
        ("", name) => format!(" {name}"),
        (namespace, "") => format!(" in namespace {namespace}"),
        (namespace, name) => format!(" {namespace}/{name}"),
    };
    let Access { verb, resource, group, .. } = access;
    let message =
        format!("{} may not {verb} {resource}.{group}{place}; ask for a RoleBinding", identity.user);
    refusal(Code::PermissionDenied, "Forbidden", &message)
}
