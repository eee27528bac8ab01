//! Not reconciling from a cache that is older than what this process wrote itself.
//!
//! After a status write the watch needs a moment to show the new version. A reconcile in that
//! moment would compute from the old one and be refused by its own fence. So each run notes the
//! versions that it wrote, and the next run of the key is put off until the cache has them.

use std::cell::RefCell;
use std::future::Future;

use kube::Resource;

tokio::task_local! {
    /// (uid, resourceVersion) of objects written by the reconcile that runs in this task.
    static WRITTEN: RefCell<Vec<(String, u64)>>;
}

/// Notes that `object` is the newest version of itself because this task wrote it.
pub(crate) fn note(object: &impl Resource) {
    let meta = object.meta();
    let (Some(uid), Some(version)) = (&meta.uid, version_of(object)) else { return };
    // Outside of a reconcile nobody asks.
    let _ = WRITTEN.try_with(|written| written.borrow_mut().push((uid.clone(), version)));
}

/// Runs `reconcile`; returns its result and the newest version that it wrote of the object with `uid`.
pub(crate) async fn noting<F: Future>(uid: &str, reconcile: F) -> (F::Output, Option<u64>) {
    let run = async {
        let output = reconcile.await;
        let written = WRITTEN.with(RefCell::take);
        let newest =
            written.into_iter().filter(|(written, _)| written == uid).map(|(_, version)| version).max();
        (output, newest)
    };
    WRITTEN.scope(RefCell::default(), run).await
}

/// The resourceVersion as a number: versions of one kind grow with time.
pub(crate) fn version_of(object: &impl Resource) -> Option<u64> {
    object.meta().resource_version.as_deref()?.parse().ok()
}
