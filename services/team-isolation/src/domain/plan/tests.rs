use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::model::{DeclaredTeam, Site, declare};
use crate::domain::objects::{self, Surroundings};

fn declared(name: &str, namespaces: &[String], cpu: u32, groups: &[String], policy: bool) -> DeclaredTeam {
    let namespaces: Vec<_> = namespaces.iter().map(|name| json!({"name": name})).collect();
    let team = json!({
        "apiVersion": "mlplatform.dev/v1alpha1",
        "kind": "Team",
        "metadata": {"name": name, "uid": "u-1", "generation": 1},
        "spec": {
            "namespaces": namespaces,
            "quota": {"requests": {"cpu": cpu}},
            "access": {"view": {"groups": groups}},
            "networkPolicy": {"mode": if policy { "Enforced" } else { "Off" }},
        },
    });
    declare(&serde_json::from_value(team).unwrap(), &Site::default()).unwrap()
}

fn fresh(team: &DeclaredTeam) -> Vec<Object> {
    objects::of(team, &Surroundings::fresh(team))
}

/// What the cluster holds after all steps of a plan were carried out and quotas took effect.
fn carried_out(mut observed: Observed, plan: &Plan) -> Observed {
    for step in &plan.steps {
        match &step.action {
            Action::Create(object) | Action::Apply(object) => {
                observed.live.insert(object.key(), object.json());
            }
            Action::Delete(key) => {
                observed.live.remove(key);
            }
        }
    }
    let quotas = observed.live.keys().filter(|key| key.kind == Kind::ResourceQuota);
    observed.quota_in_force = quotas.map(|key| key.namespace.clone()).collect();
    observed
}

fn team() -> impl Strategy<Value = DeclaredTeam> {
    let namespaces = proptest::collection::btree_set("[a-c]{1,2}", 1..4);
    let groups = proptest::collection::vec("[a-z]{1,4}", 0..3);
    (namespaces, 0_u32..100, groups, any::<bool>()).prop_map(|(namespaces, cpu, groups, policy)| {
        let namespaces: Vec<_> = namespaces.into_iter().map(|suffix| format!("ml-{suffix}")).collect();
        declared("ml", &namespaces, cpu, &groups, policy)
    })
}

proptest! {
    #[test]
    fn carrying_out_a_plan_leaves_nothing_to_do(before in team(), after in team()) {
        let first = carried_out(Observed::default(), &plan(fresh(&before), &Observed::default()));
        let change = plan(fresh(&after), &first);
        let second = carried_out(first, &change);
        let rest = plan(fresh(&after), &second);
        prop_assert!(rest.is_empty(), "{rest}");
    }

    #[test]
    fn a_plan_stays_within_the_team(before in team(), after in team()) {
        let observed = carried_out(Observed::default(), &plan(fresh(&before), &Observed::default()));
        let own: BTreeSet<_> = [before.namespace_names(), after.namespace_names()].concat().into_iter().collect();
        for step in plan(fresh(&after), &observed).steps {
            prop_assert!(own.contains(&step.key().namespace), "{step}");
            let data = step.key().kind == Kind::Namespace && matches!(step.action, Action::Delete(_));
            prop_assert!(!data, "{step}");
        }
    }

    #[test]
    fn rights_come_last_and_go_first(before in team(), after in team()) {
        let observed = carried_out(Observed::default(), &plan(fresh(&before), &Observed::default()));
        let steps = plan(fresh(&after), &observed).steps;
        let place = |wanted: &dyn Fn(&Step) -> bool| steps.iter().position(wanted);
        let first_cut = place(&|step| step.stage == Stage::CutRights);
        let first_other = place(&|step| step.stage != Stage::CutRights);
        if let (Some(cut), Some(other)) = (first_cut, first_other) {
            prop_assert!(cut < other);
        }
        for (index, step) in steps.iter().enumerate() {
            if step.stage == Stage::Rights {
                prop_assert!(steps[index..].iter().all(|later| later.stage >= Stage::Rights));
            }
        }
    }
}

#[test]
fn a_plan_reads_as_a_list_of_calls() {
    let team = declared("ml", &["ml-team".to_owned()], 20, &["ml-engineers".to_owned()], true);
    let printed = plan(fresh(&team), &Observed::default()).to_string();
    assert_eq!(
        printed.lines().collect::<Vec<_>>(),
        [
            "create Namespace ml-team",
            "apply ServiceAccount ml-team/ml-team",
            "apply ResourceQuota ml-team/team-quota",
            "apply NetworkPolicy ml-team/team-flows",
            "apply RoleBinding ml-team/team-edit",
            "apply RoleBinding ml-team/team-view",
            "wait for the quota of ml-team",
        ]
    );
}

#[test]
fn what_somebody_changed_is_put_back_and_nothing_else() {
    let team = declared("ml", &["ml-team".to_owned()], 20, &[], true);
    let mut observed = carried_out(Observed::default(), &plan(fresh(&team), &Observed::default()));
    for (key, live) in &mut observed.live {
        if key.kind == Kind::ResourceQuota {
            live["spec"]["hard"]["requests.cpu"] = json!("999");
        }
    }
    assert_eq!(
        plan(fresh(&team), &observed).to_string(),
        "apply ResourceQuota ml-team/team-quota\nwait for the quota of ml-team\n"
    );
}
