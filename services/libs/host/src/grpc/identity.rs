//! Who calls: from a client certificate or from a token that the API server vouches for.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::UserInfo;
use tonic::transport::CertificateDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The group that Kubernetes gives to everyone it knows.
const AUTHENTICATED: &str = "system:authenticated";

/// An authenticated caller, in Kubernetes' terms. Handlers find it in the request's extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// User name, such as `system:serviceaccount:ml-team:trainer`.
    pub user: String,
    /// The user's uid, where there is one.
    pub uid: Option<String>,
    /// Groups, sorted.
    pub groups: Vec<String>,
    /// What else the API server knows of the user; passed on to its access reviews.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Identity {
    /// The caller of a request that came through the server's authentication.
    pub fn of<T>(request: &tonic::Request<T>) -> Option<&Self> {
        request.extensions().get::<Self>()
    }

    /// The user that a TokenReview names, if it names one.
    pub(super) fn from_review(user: UserInfo) -> Option<Self> {
        let mut groups = user.groups.unwrap_or_default();
        groups.sort();
        let extra = user.extra.unwrap_or_default();
        user.username.filter(|name| !name.is_empty()).map(|name| Self {
            user: name,
            uid: user.uid,
            groups,
            extra,
        })
    }

    /// The subject of a verified client certificate, read as the API server reads it: common name
    /// is the user, organizations are the groups.
    pub(super) fn from_certificate(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate.as_ref()).ok()?;
        let subject = certificate.subject();
        let user = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        let organizations = subject.iter_organization().filter_map(|name| name.as_str().ok());
        let mut groups: Vec<String> = organizations.map(str::to_owned).collect();
        groups.push(AUTHENTICATED.to_owned());
        groups.sort();
        (!user.is_empty()).then_some(Self { user, groups, ..Self::default() })
    }
}
