//! Refusals by team, gathered until the team's status says them: at most once in [`PAUSE`] for a team,
//! at most [`KEPT`] of them, however many there were.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mlp_crds::team::Denial;

use crate::audit::Refused;

/// How often a team's refusals are stated at most.
pub(super) const PAUSE: Duration = Duration::from_secs(30);
/// Different refusals that are kept for a team.
const KEPT: usize = 10;
/// Teams that are remembered; a flood over more of them loses the oldest.
const TEAMS: usize = 10_000;

#[derive(Default)]
struct OfTeam {
    stated: Option<Instant>,
    waiting: Vec<Denial>,
}

/// Refusals that wait to be stated. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Denials(Arc<Mutex<HashMap<String, OfTeam>>>);

impl Denials {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, OfTeam>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a refusal; returns whether it is the first that waits, so that the team deserves a look.
    pub(super) fn note(&self, team: &str, refused: Refused) -> bool {
        let mut teams = self.lock();
        if teams.len() >= TEAMS && !teams.contains_key(team) {
            return false;
        }
        let of_team = teams.entry(team.to_owned()).or_default();
        let first = of_team.waiting.is_empty();
        of_team.waiting = merged(std::mem::take(&mut of_team.waiting), denial(refused));
        first
    }

    /// What is to be stated now, with what the status says already; nothing where there is no news.
    pub(super) fn news(&self, team: &str, known: &[Denial]) -> Option<Vec<Denial>> {
        let teams = self.lock();
        let of_team = teams.get(team)?;
        if of_team.waiting.is_empty() || of_team.stated.is_some_and(|at| at.elapsed() < PAUSE) {
            return None;
        }
        Some(of_team.waiting.iter().cloned().fold(known.to_vec(), merged))
    }

    /// What was news is written down. What came in meanwhile, if only once more of the same, waits.
    pub(super) fn stated(&self, team: &str, written: &[Denial]) {
        let mut teams = self.lock();
        let Some(of_team) = teams.get_mut(team) else { return };
        of_team.stated = Some(Instant::now());
        of_team
            .waiting
            .retain(|waiting| !written.iter().any(|one| is_same(one, waiting) && one.last >= waiting.last));
    }

    /// After how long the next refusals of the team may be stated, where some wait.
    pub(super) fn due_in(&self, team: &str) -> Option<Duration> {
        let teams = self.lock();
        let of_team = teams.get(team).filter(|of_team| !of_team.waiting.is_empty())?;
        Some(of_team.stated.map_or(Duration::ZERO, |at| PAUSE.saturating_sub(at.elapsed())))
    }

    /// Forgets a team that is gone.
    pub(super) fn forget(&self, team: &str) {
        self.lock().remove(team);
    }
}

fn denial(refused: Refused) -> Denial {
    Denial {
        namespace: refused.namespace,
        user: refused.user,
        action: refused.action,
        name: refused.name,
        control: refused.refusal.control.as_str().to_owned(),
        rule: refused.refusal.rule,
        message: refused.refusal.message,
        admitted: refused.admitted,
        count: 1,
        last: refused.time,
    }
}

/// Whether two are the same refusal, at different times.
fn is_same(one: &Denial, other: &Denial) -> bool {
    (&one.namespace, &one.user, &one.action, &one.rule)
        == (&other.namespace, &other.user, &other.action, &other.rule)
}

/// Adds a refusal: to the one it repeats, or as the newest; the oldest goes.
fn merged(mut all: Vec<Denial>, mut next: Denial) -> Vec<Denial> {
    if let Some(at) = all.iter().position(|one| is_same(one, &next)) {
        let before = all.remove(at);
        next.count = next.count.saturating_add(before.count);
    }
    all.push(next);
    let extra = all.len().saturating_sub(KEPT);
    all.drain(..extra);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refusal::{Control, Refusal};

    fn refused(rule: &str) -> Refused {
        Refused {
            namespace: "ml-team".to_owned(),
            user: "eve".to_owned(),
            action: "create pods".to_owned(),
            name: String::new(),
            time: "2026-01-01T00:00:00Z".to_owned(),
            admitted: false,
            refusal: Refusal { control: Control::Policy, rule: rule.to_owned(), message: String::new() },
            said: String::new(),
        }
    }

    #[test]
    fn repeats_are_counted_and_the_oldest_goes() {
        let denials = Denials::default();
        assert!(denials.note("ml", refused("a")) && !denials.note("ml", refused("a")));
        for number in 0..KEPT {
            denials.note("ml", refused(&number.to_string()));
        }
        let stated = denials.news("ml", &[]).unwrap();
        assert_eq!(stated.len(), KEPT);
        assert!(stated.iter().all(|denial| denial.rule != "a"));
        assert!(denials.news("ml", &[]).is_some(), "until it is written down");
        denials.stated("ml", &stated);
        denials.note("ml", refused("another"));
        assert!(denials.news("ml", &stated).is_none(), "not twice in a moment");
        assert!(denials.due_in("ml").unwrap() > Duration::ZERO);
    }
}
