//! What looks at a team have done since its facts were last stated, so that the next ones can say it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use mlp_model::labels;
use serde_json::Value;

use crate::domain::objects::Kind;
use crate::domain::objects::quota::NAME;
use crate::domain::plan::{Action, Observed, Plan, Step};

/// Entries of each list that are kept.
const KEPT: usize = 100;

/// Calls that were made for a team.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// All of them.
    pub(super) changes: Vec<String>,
    /// Those that put back what somebody had changed or deleted.
    pub(super) repairs: Vec<String>,
    /// Whether quota moved between namespaces of a team that was isolated already.
    pub(super) moved_quota: bool,
}

/// Work by team.
#[derive(Default)]
pub(super) struct Works(Mutex<HashMap<String, Work>>);

impl Works {
    /// Notes a plan that was carried out. `established`: the team was isolated as declared before.
    pub(super) fn note(&self, team: &str, plan: &Plan, observed: &Observed, established: bool) {
        if plan.steps.is_empty() {
            return;
        }
        let mut works = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let work = works.entry(team.to_owned()).or_default();
        for step in &plan.steps {
            keep(&mut work.changes, step.to_string());
            if is_repair(step, observed.live.get(&step.key()), established) {
                keep(&mut work.repairs, step.to_string());
            } else if established && step.key().kind == Kind::ResourceQuota && step.key().name == NAME {
                work.moved_quota = true;
            }
        }
    }

    /// What was done for the team.
    pub(super) fn of(&self, team: &str) -> Work {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(team).cloned().unwrap_or_default()
    }

    /// Forgets it: it is written down, or the team is gone.
    pub(super) fn forget(&self, team: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(team);
    }
}

fn keep(list: &mut Vec<String>, entry: String) {
    if list.len() < KEPT {
        list.push(entry);
    }
}

/// A step repairs where what we last said of the object is what we say now, and it is not there: changed
/// by others, or gone.
fn is_repair(step: &Step, maybe_live: Option<&Value>, established: bool) -> bool {
    let (Action::Create(object) | Action::Apply(object)) = &step.action else { return false };
    let hash = |object: &Value| {
        object.pointer("/metadata/annotations")?.get(labels::APPLIED_HASH)?.as_str().map(str::to_owned)
    };
    match maybe_live {
        Some(live) => hash(live) == hash(&object.json()),
        None => established,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::model::{Site, declare};
    use crate::domain::objects::{self, Surroundings};
    use crate::domain::plan::plan;

    fn plan_after(change: impl FnOnce(&mut Observed)) -> (Plan, Observed) {
        let team = json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": {"name": "ml", "uid": "u"},
            "spec": {"quota": {"objects": {"pods": 5}}}});
        let team = declare(&serde_json::from_value(team).unwrap(), &Site::default()).unwrap();
        let objects = objects::of(&team, &Surroundings::fresh(&team));
        let live = objects.iter().map(|object| (object.key(), object.json())).collect();
        let mut observed = Observed { live, quota_in_force: ["ml-team".to_owned()].into() };
        change(&mut observed);
        (plan(objects, &observed), observed)
    }

    #[test]
    fn what_others_changed_or_deleted_is_a_repair_and_a_new_declaration_is_none() {
        let works = Works::default();
        let (plan, observed) = plan_after(|observed| {
            let account = observed.live.keys().find(|key| key.kind == Kind::ServiceAccount).unwrap().clone();
            observed.live.remove(&account);
            let flows = observed.live.iter_mut().find(|(key, _)| key.name == "team-flows").unwrap().1;
            flows["spec"]["policyTypes"] = json!(["Ingress"]);
            let quota = observed.live.iter_mut().find(|(key, _)| key.kind == Kind::ResourceQuota).unwrap().1;
            quota["metadata"]["annotations"][labels::APPLIED_HASH] = json!("another");
        });
        works.note("ml", &plan, &observed, true);
        let work = works.of("ml");
        assert_eq!(
            work.repairs,
            ["apply ServiceAccount ml-team/ml-team", "apply NetworkPolicy ml-team/team-flows"]
        );
        assert!(work.moved_quota && work.changes.len() == 3);
        works.forget("ml");
        assert_eq!(works.of("ml"), Work::default());
    }
}
