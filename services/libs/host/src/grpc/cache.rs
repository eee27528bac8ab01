//! A small bounded cache whose entries expire.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// At most `capacity` answers, each until it expires; when full, the one that expires first goes.
pub(super) struct Cache<K, V> {
    entries: Mutex<HashMap<K, (V, Instant)>>,
    capacity: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: Mutex::default(), capacity }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|(_, expires)| Instant::now() < *expires).map(|(value, _)| value.clone())
    }

    pub(super) fn put(&self, key: K, value: V, keep: Duration) {
        let now = Instant::now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.capacity && !entries.contains_key(&key) {
            entries.retain(|_, (_, expires)| now < *expires);
        }
        if entries.len() >= self.capacity && !entries.contains_key(&key) {
            let first = entries.iter().min_by_key(|(_, (_, expires))| *expires).map(|(key, _)| key.clone());
            if let Some(first) = first {
                entries.remove(&first);
            }
        }
        entries.insert(key, (value, now + keep));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answers_expire_and_the_number_of_them_is_bounded() {
        let cache = Cache::new(2);
        cache.put("a", 1, Duration::from_secs(1));
        cache.put("b", 2, Duration::from_secs(10));
        cache.put("c", 3, Duration::from_secs(10));
        assert_eq!((cache.get(&"a"), cache.get(&"b"), cache.get(&"c")), (None, Some(2), Some(3)));
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!((cache.get(&"b"), cache.get(&"c")), (None, None));
        cache.put("d", 4, Duration::from_secs(1));
        assert_eq!(cache.entries.lock().unwrap().len(), 1, "expired ones are dropped first");
    }
}
