//! What was refused for want of quota a moment ago, and where: headroom is moved there.
//!
//! Controllers say so in an Event (`FailedCreate`), people get the refusal themselves and the API
//! server's audit log has it. A demand is forgotten after [`LASTING`]; one that still stands is
//! refused, and noted, again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::lease::Demands;
use crate::domain::quantity::Quantity;
use crate::domain::refusal;

/// How long a refusal counts as a wish.
const LASTING: Duration = Duration::from_secs(120);

type ByKey = HashMap<String, (Quantity, Instant)>;

/// Demands by namespace. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Demand(Arc<Mutex<HashMap<String, ByKey>>>);

impl Demand {
    /// Notes a refusal, as the API server words it; returns whether it was about a team's quota.
    pub(super) fn note(&self, namespace: &str, message: &str) -> bool {
        let asked = refusal::over_quota(message);
        if asked.is_empty() {
            return false;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, keys| {
            keys.retain(|_, (_, at)| at.elapsed() < LASTING);
            !keys.is_empty()
        });
        let keys = all.entry(namespace.to_owned()).or_default();
        for (key, amount) in asked {
            keys.insert(key, (amount, Instant::now()));
        }
        true
    }

    /// What these namespaces still want.
    pub(super) fn of(&self, namespaces: &[String]) -> Demands {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = namespaces.iter().filter_map(|name| Some((name.clone(), all.get(name)?)));
        wanted
            .map(|(name, keys)| {
                let lasting = keys.iter().filter(|(_, (_, at))| at.elapsed() < LASTING);
                (name, lasting.map(|(key, (amount, _))| (key.clone(), *amount)).collect::<BTreeMap<_, _>>())
            })
            .collect()
    }
}
