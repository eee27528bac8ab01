//! The credential with which a source of an Application is read.

use super::ApplicationReconciler;
use super::render::Permission;
use crate::domain::credential::{self, Asker, Credential};
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
        let all = self.caches.credentials();
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
