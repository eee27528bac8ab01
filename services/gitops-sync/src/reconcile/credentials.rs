//! The credential with which a source of an Application is read.

use kube::ResourceExt as _;

use super::ApplicationReconciler;
use super::render::Permission;
use crate::domain::credential::{self, Asker, Credential, SECRET_TYPE};
use crate::domain::request::{Origin, Request};
use crate::domain::status::{Fault, INVALID_SPEC};

impl ApplicationReconciler {
    /// The credential; none where the repository is open to all, or nobody gave one.
    pub(super) fn credential(
        &self,
        request: &Request,
        origin: &Origin,
        permission: &Permission,
    ) -> Result<Option<Credential>, Fault> {
        let secrets = self.caches.credentials.state_filter(|_| true);
        let all: Vec<Credential> = secrets
            .iter()
            .filter_map(|secret| {
                let data = secret.data.clone().unwrap_or_default().into_iter();
                let texts = data.filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?)));
                let kind = secret.labels().get(SECRET_TYPE)?;
                let (uid, version) =
                    (secret.uid().unwrap_or_default(), secret.resource_version().unwrap_or_default());
                Credential::read(&secret.name_any(), &uid, &version, kind, &texts.collect())
            })
            .collect();
        let asker = Asker {
            url: &origin.repository,
            project: &request.project,
            is_checked: permission.has_project(),
            tenant: permission.tenant(),
        };
        let chosen = credential::choose(&all, asker);
        chosen
            .map(Option::<&Credential>::cloned)
            .map_err(|why| Fault::new(INVALID_SPEC, format!("{}.repoURL: {why}", origin.field)))
    }
}
