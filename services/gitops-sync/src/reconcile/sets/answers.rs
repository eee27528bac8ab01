//! What forges answered, kept for as long as a set lets it be: a set is looked at far more often than that, and a forge counts calls.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use mlp_crds::argocd::ApplicationSet;

use crate::domain::application_set::pull_requests::{PullRequest, Query};

/// The longest time that an answer is kept.
const LONGEST: Duration = Duration::from_secs(86_400);

/// The set's uid, and what was asked.
type Key = (String, Query);

/// When something was answered, and what.
type Answer = (Instant, Vec<PullRequest>);

/// Answers by set and question.
#[derive(Default)]
pub(super) struct Answers(Mutex<BTreeMap<Key, Answer>>);

impl Answers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, where it is not older than `age`.
    pub(super) fn get(&self, set: &ApplicationSet, query: &Query, age: Duration) -> Option<Vec<PullRequest>> {
        let all = self.lock();
        let (at, found) = all.get(&(set.uid().unwrap_or_default(), query.clone()))?;
        (at.elapsed() < age).then(|| found.clone())
    }

    pub(super) fn put(&self, set: &ApplicationSet, query: &Query, found: &[PullRequest]) {
        let mut all = self.lock();
        all.retain(|_, (at, _)| at.elapsed() < LONGEST);
        all.insert((set.uid().unwrap_or_default(), query.clone()), (Instant::now(), found.to_vec()));
    }

    pub(super) fn forget(&self, set: &ApplicationSet) {
        let uid = set.uid().unwrap_or_default();
        self.lock().retain(|(of, _), _| *of != uid);
    }
}
