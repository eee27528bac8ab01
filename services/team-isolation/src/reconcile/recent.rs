//! What this process wrote a moment ago, until the watch shows it.
//!
//! Without it the first watch event of a plan would start a look that misses the rest and writes it
//! again. An entry is trusted for [`LAG`] at most: after that the cache is right, whatever it shows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::domain::objects::{Key, Kind};

/// How far the watch may be behind before it is believed all the same; some seconds under a burst of
/// teams. What it shows earlier is believed earlier, so this bounds only how late a deletion is met
/// that came before the watch had shown the object at all.
pub(super) const LAG: Duration = Duration::from_secs(10);
/// How long after a look the next one comes, while something written is not shown yet.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Objects that were just written, by team. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Recent(Arc<Mutex<HashMap<String, HashMap<Key, Entry>>>>);

/// Since when teams wait for something that usually comes at once.
#[derive(Default)]
pub(super) struct Waiting(Mutex<HashMap<String, Instant>>);

impl Waiting {
    /// How long the team has been waiting, beginning now where it was not.
    pub(super) fn waits(&self, team: &str) -> Duration {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.entry(team.to_owned()).or_insert_with(Instant::now).elapsed()
    }

    /// Whether the team waits.
    pub(super) fn is_waiting(&self, team: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(team)
    }

    /// The team waits no longer.
    pub(super) fn stops(&self, team: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(team);
    }
}

/// uids of namespaces that this process made for a team: whose they are need not be asked.
#[derive(Default)]
pub(super) struct Made(Mutex<HashMap<String, BTreeSet<String>>>);

impl Made {
    /// Notes a namespace that was made for the team.
    pub(super) fn add(&self, team: &str, uid: String) {
        let mut teams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        teams.entry(team.to_owned()).or_default().insert(uid);
    }

    /// The uids of the team's namespaces that were made here.
    pub(super) fn uids(&self, team: &str) -> BTreeSet<String> {
        let teams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        teams.get(team).cloned().unwrap_or_default()
    }

    /// Forgets a team that is gone.
    pub(super) fn forget(&self, team: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(team);
    }
}

struct Entry {
    at: Instant,
    /// Nothing where the object was deleted.
    written: Option<Value>,
    version: u64,
}

impl Recent {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, HashMap<Key, Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the API server answered to a write.
    pub(super) fn wrote(&self, team: &str, key: Key, object: Value) {
        let version = version_of(&object);
        let entry = Entry { at: Instant::now(), written: Some(object), version };
        self.lock().entry(team.to_owned()).or_default().insert(key, entry);
    }

    /// Notes that the object seen as `live` was deleted.
    pub(super) fn deleted(&self, team: &str, key: Key, live: Option<&Value>) {
        let version = live.map(version_of).unwrap_or_default();
        let entry = Entry { at: Instant::now(), written: None, version };
        self.lock().entry(team.to_owned()).or_default().insert(key, entry);
    }

    /// Whether a watch event of this version shows what was written here, and no more. The cache has it
    /// by then, so the entry has done its part.
    pub(super) fn is_echo(&self, team: &str, key: &Key, maybe_version: Option<&str>) -> bool {
        let Some(version) = maybe_version.and_then(|text| text.parse::<u64>().ok()) else { return false };
        let mut teams = self.lock();
        let Some(entries) = teams.get_mut(team) else { return false };
        let echoes =
            entries.get(key).is_some_and(|entry| entry.written.is_some() && entry.version == version);
        if echoes {
            entries.remove(key);
        }
        echoes
    }

    /// Lays what was just written over what the caches show, and forgets what they show already; `live` holds the kinds
    /// that count.
    pub(super) fn overlay(&self, team: &str, live: &mut BTreeMap<Key, Value>, counts: impl Fn(Kind) -> bool) {
        let mut teams = self.lock();
        let Some(entries) = teams.get_mut(team) else { return };
        entries.retain(|key, entry| {
            let shown = live.get(key).map(version_of);
            match &entry.written {
                _ if !counts(key.kind) => true,
                _ if entry.at.elapsed() >= LAG => false,
                Some(_) if shown.is_some_and(|shown| shown >= entry.version) => false,
                Some(object) => {
                    live.insert(key.clone(), object.clone());
                    true
                }
                None if shown.is_none_or(|shown| shown > entry.version) => false,
                None => {
                    live.remove(key);
                    true
                }
            }
        });
        if entries.is_empty() {
            teams.remove(team);
        }
    }

    /// Whether something written is not shown yet, so that the team deserves another look.
    pub(super) fn is_lagging(&self, team: &str) -> bool {
        self.lock().get(team).is_some_and(|entries| !entries.is_empty())
    }

    /// Forgets a team that is gone.
    pub(super) fn forget(&self, team: &str) {
        self.lock().remove(team);
    }
}

/// The resource version as a number; Kubernetes orders them so (KEP-5504), and 0 is older than all.
fn version_of(object: &Value) -> u64 {
    let text = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key() -> Key {
        Key { kind: Kind::Role, namespace: "ml-team".to_owned(), name: "team-edit".to_owned() }
    }

    fn object(version: &str) -> Value {
        json!({"metadata": {"resourceVersion": version}})
    }

    #[test]
    fn what_was_written_shows_until_the_watch_has_caught_up() {
        let recent = Recent::default();
        recent.wrote("ml", key(), object("7"));
        for (shown, expected, lagging) in [
            (None, Some(object("7")), true),
            (Some(object("5")), Some(object("7")), true),
            (Some(object("8")), Some(object("8")), false),
        ] {
            let mut live: BTreeMap<_, _> = shown.map(|object| (key(), object)).into_iter().collect();
            recent.overlay("ml", &mut live, |_| true);
            assert_eq!((live.get(&key()).cloned(), recent.is_lagging("ml")), (expected, lagging));
        }
    }

    #[test]
    fn only_the_very_version_that_was_written_is_an_echo() {
        let recent = Recent::default();
        recent.wrote("ml", key(), object("7"));
        let echo = |version| recent.is_echo("ml", &key(), Some(version));
        assert!(!echo("6") && !echo("8"));
        assert!(!recent.is_echo("app", &key(), Some("7")) && !recent.is_echo("ml", &key(), None));
        assert!(echo("7"), "the cache shows it");
        let mut live = BTreeMap::new();
        recent.overlay("ml", &mut live, |_| true);
        assert!(live.is_empty(), "so what the cache no longer shows is gone, and not hidden");
        recent.deleted("ml", key(), Some(&object("9")));
        assert!(!echo("9"));
    }

    #[test]
    fn what_was_deleted_is_hidden_until_it_is_made_anew() {
        let recent = Recent::default();
        recent.deleted("ml", key(), Some(&object("5")));
        recent.overlay("ml", &mut BTreeMap::new(), |kind| kind != key().kind);
        let mut live: BTreeMap<_, _> = [(key(), object("5"))].into();
        recent.overlay("ml", &mut live, |_| true);
        assert!(live.is_empty());
        let mut anew: BTreeMap<_, _> = [(key(), object("9"))].into();
        recent.overlay("ml", &mut anew, |_| true);
        assert!(anew.contains_key(&key()) && !recent.is_lagging("ml"));
    }
}
