//! What a sync would do, asked of the API server without a write.

use mlp_crds::argocd::OperationState;
use mlp_model::{Class, Classified as _};

use super::ApplicationReconciler;
use super::apply::{FAILED_RESULT, Work, is_anothers, record, result};
use super::render::Desired;
use crate::domain::consent::Consent;
use crate::domain::operation::may_prune;
use crate::domain::picture::{Picture, Presence};
use crate::domain::selection;
use crate::error::Error;

impl ApplicationReconciler {
    /// Says what a sync would do, and does nothing; gives what would fail.
    pub(super) async fn rehearse(
        &self,
        work: &Work<'_>,
        picture: &Picture,
        state: &mut OperationState,
    ) -> Result<Vec<String>, Error> {
        let named = selection::named(state).to_vec();
        let mut failures = Vec::new();
        let all = work.rendered.desired.iter().zip(&picture.items);
        for (wanted, item) in all.filter(|(wanted, _)| selection::takes(&named, &wanted.id)) {
            let would = match &item.presence {
                Presence::Synced => continue,
                Presence::Foreign(other) => Err(is_anothers(&wanted.id, other)),
                _ => self.would(wanted).await?,
            };
            match would {
                Ok(message) => record(state, result(&wanted.id, "Synced", &message)),
                Err(message) => {
                    record(state, result(&wanted.id, FAILED_RESULT, &message));
                    failures.push(message);
                }
            }
        }
        let prunes = may_prune(state, work.request, picture);
        for extra in picture.extras.iter().filter(|extra| selection::takes(&named, &extra.id)) {
            let (word, message) = match extra.options.prune {
                Consent::Given if prunes => ("Pruned", "would be pruned (dry run)"),
                Consent::Asked if prunes => ("PruneSkipped", "would wait to be confirmed (dry run)"),
                _ => ("PruneSkipped", "would be left (dry run)"),
            };
            record(state, result(&extra.id, word, message));
        }
        Ok(failures)
    }

    /// What an apply would come to, or why it would fail.
    async fn would(&self, wanted: &Desired) -> Result<Result<String, String>, Error> {
        let Some(kind) = &wanted.kind else {
            return Ok(Ok("would wait for its kind to be installed (dry run)".to_owned()));
        };
        match self.patch(wanted, kind, true).await {
            Ok(_) => Ok(Ok("would be applied (dry run)".to_owned())),
            Err(error) => match error.class() {
                Class::Transient => Err(error),
                Class::Waiting(_) => Ok(Ok(format!("would wait (dry run): {error}"))),
                Class::Terminal if wanted.options.force => {
                    Ok(Ok(format!("would be made anew (dry run): {error}")))
                }
                Class::Terminal => Ok(Err(format!("{}: {error}", wanted.id))),
            },
        }
    }

    /// Whether the API server takes what is to be applied: asked once, before a hook does what cannot be undone.
    pub(super) async fn refused(
        &self,
        work: &Work<'_>,
        picture: &Picture,
        state: &mut OperationState,
    ) -> Result<Vec<String>, Error> {
        let mut refused = Vec::new();
        for (wanted, item) in work.rendered.desired.iter().zip(&picture.items) {
            // What is made anew where it is refused is refused now, and not then.
            if item.presence == Presence::Synced || wanted.options.force {
                continue;
            }
            if let Err(message) = self.would(wanted).await? {
                record(state, result(&wanted.id, FAILED_RESULT, &message));
                refused.push(message);
            }
        }
        Ok(refused)
    }
}
