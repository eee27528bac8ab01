//! Which objects of ours belong to a team, so that a look at one team does not search all of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::objects::Key;

/// Keys by team, added as the watches show them. Clones share their content.
#[derive(Clone, Default)]
pub(super) struct Index(Arc<Mutex<HashMap<String, BTreeSet<Key>>>>);

impl Index {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, BTreeSet<Key>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the cache has shown an object of the team.
    pub(super) fn add(&self, team: &str, key: Key) {
        let mut teams = self.lock();
        match teams.get_mut(team) {
            Some(keys) => drop(keys.insert(key)),
            None => drop(teams.insert(team.to_owned(), [key].into())),
        }
    }

    /// The keys of the team, of objects that may be gone by now.
    ///
    /// Keys are never forgotten: a team's objects have a handful of fixed names in each of its
    /// namespaces, so their number is bounded by that of the namespaces a team ever had.
    pub(super) fn keys(&self, team: &str) -> BTreeSet<Key> {
        self.lock().get(team).cloned().unwrap_or_default()
    }
}
