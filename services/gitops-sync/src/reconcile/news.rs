//! Webhooks: of the Applications of a repository that was pushed to, those are looked at now for which git holds something else.
//! The others are as they were, and see the newer commit with the poll of their repository.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{Stream, StreamExt as _, pin_mut, stream};
use kube::ResourceExt as _;
use mlp_crds::Application;
use mlp_crds::argocd::ApplicationSet;
use mlp_reconcile::{Handle, ObjectRef};
use tokio_util::sync::CancellationToken;

use super::ApplicationReconciler;
use super::sets::SetReconciler;
use crate::domain::application_set::news::concerns;
use crate::domain::delivery::{Change, Notice};
use crate::domain::{hold, request};
use crate::store::Content;

/// Applications compared at the same time.
const LOOKS: usize = 8;
/// Applications of which it is remembered; beyond it all are forgotten, and count as changed once.
const CONTENTS: usize = 50_000;
/// Notices taken together where more came than could be followed.
const TOGETHER: usize = 256;

/// What each Application was last made of: a digest by its uid.
#[derive(Default)]
pub(super) struct Contents(Mutex<HashMap<String, [u8; 32]>>);

impl Contents {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, [u8; 32]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seen(&self, application: &Application, content: &Content) {
        let mut all = self.lock();
        if all.len() >= CONTENTS {
            all.clear();
        }
        all.insert(application.uid().unwrap_or_default(), content.digest());
    }

    pub(super) fn differs(&self, application: &Application, content: &Content) -> bool {
        self.lock().get(&application.uid().unwrap_or_default()) != Some(&content.digest())
    }

    pub(super) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }
}

/// Follows notices.
pub struct Notices {
    /// Wakes Applications.
    pub applications: Handle<Application>,
    /// Wakes ApplicationSets.
    pub sets: Handle<ApplicationSet>,
    /// Knows what Applications were made of.
    pub reconciler: Arc<ApplicationReconciler>,
    /// Keeps what forges answered, which a notice makes old.
    pub set_reconciler: Arc<SetReconciler>,
}

impl Notices {
    /// Follows each notice until `shutdown` is cancelled, several at once where they come faster.
    pub async fn run(self, notices: impl Stream<Item = Notice> + Send, shutdown: CancellationToken) {
        if shutdown.run_until_cancelled(self.applications.wait_synced()).await.is_none() {
            return;
        }
        let notices = notices.ready_chunks(TOGETHER);
        pin_mut!(notices);
        while let Some(Some(some)) = shutdown.run_until_cancelled(notices.next()).await {
            if shutdown.run_until_cancelled(self.follow(&some)).await.is_none() {
                return;
            }
        }
    }

    async fn follow(&self, notices: &[Notice]) {
        let pushed: Vec<&Notice> =
            notices.iter().filter(|notice| matches!(notice.change, Change::Push { .. })).collect();
        self.reconciler.repositories.outdate(|url| pushed.iter().any(|notice| notice.is_of(url)));
        let woken = self.sets.wake_all_where(|set| {
            let is_meant = notices.iter().any(|notice| concerns(&set.spec.generators, notice));
            if is_meant {
                self.set_reconciler.ask_again(set);
            }
            is_meant
        });
        let moved = |application: &Application| pushed.iter().any(|notice| moves(application, notice));
        let meant = self.applications.store().state_filter(moved);
        let (all, mut news) = (meant.len(), 0_usize);
        let looks = stream::iter(meant).map(|application| async move {
            self.reconciler.has_news(&application).await.then_some(application)
        });
        let mut looks = std::pin::pin!(looks.buffer_unordered(LOOKS));
        while let Some(found) = looks.next().await {
            if let Some(application) = found {
                news += 1;
                self.applications.wake(ObjectRef::from_obj(&*application));
            }
        }
        tracing::info!(notices = notices.len(), applications = all, news, sets = woken, "followed webhooks");
    }
}

/// Whether a push may be one of what the Application is made of.
fn moves(application: &Application, notice: &Notice) -> bool {
    let held = hold::held(application.annotations());
    // What is held does not move; a spec that cannot be read is no matter of git.
    let (None, Ok(request)) = (held, request::validate(&application.spec)) else { return false };
    request.origins.iter().any(|origin| notice.is_of(&origin.repository) && notice.moves(&origin.revision))
}
