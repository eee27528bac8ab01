//! Teams as the messages of `mlp.team.events.v1`.

use kube::ResourceExt;
use mlp_crds::Team;
use mlp_model::Environment;
use mlp_proto::team::events::v1 as proto;

use super::publish::Told;
use crate::domain::notes;
use crate::domain::outcome::InForce;

pub(super) fn declared(team: &Team) -> proto::TeamDeclared {
    proto::TeamDeclared {
        team: team.name_any(),
        uid: uid(team),
        generation: generation(team),
        display_name: display_name(team),
        cost_center: team.cost_center().to_owned(),
        namespaces: team.namespace_names(),
    }
}

pub(super) fn isolated(team: &Team, in_force: &InForce, environment: Environment) -> proto::TeamIsolated {
    let account = team.spec.access.as_ref().and_then(|access| access.service_account.as_ref()?.name.clone());
    let hard = in_force.quota.iter().flat_map(|quota| &quota.hard);
    proto::TeamIsolated {
        team: team.name_any(),
        uid: uid(team),
        generation: generation(team),
        display_name: display_name(team),
        cost_center: team.cost_center().to_owned(),
        environment: environment.to_string(),
        namespaces: namespaces(in_force),
        service_account: account.unwrap_or_else(|| format!("{}-team", team.name_any())),
        quota: hard.map(|(key, amount)| (key.clone(), amount.to_string())).collect(),
    }
}

pub(super) fn removed(team: &Team, in_force: &InForce) -> proto::TeamRemoved {
    proto::TeamRemoved {
        team: team.name_any(),
        uid: uid(team),
        generation: generation(team),
        namespaces: namespaces(in_force),
    }
}

pub(super) fn changed(team: &Team, told: &Told) -> proto::TeamChanged {
    proto::TeamChanged {
        team: team.name_any(),
        uid: uid(team),
        generation: generation(team),
        previous_generation: told.before,
        changes: told.changes.clone(),
    }
}

pub(super) fn near_limit(team: &Team, in_force: &InForce) -> proto::QuotaNearLimit {
    let quota = in_force.quota.clone().unwrap_or_default();
    let near = notes::near(&quota);
    let keys = near.into_iter().map(|near| proto::QuotaUse {
        key: near.key,
        used: near.used.to_string(),
        hard: near.hard.to_string(),
        percent: near.percent,
    });
    proto::QuotaNearLimit {
        team: team.name_any(),
        uid: uid(team),
        generation: generation(team),
        keys: keys.collect(),
    }
}

pub(super) fn rebalanced(team: &Team, in_force: &InForce) -> proto::QuotaRebalanced {
    let namespaces = in_force.namespaces.iter().map(|namespace| {
        let hard = namespace.quota.iter().flat_map(|quota| &quota.hard);
        proto::NamespaceQuota {
            namespace: namespace.name.clone(),
            hard: hard.map(|(key, amount)| (key.clone(), amount.to_string())).collect(),
        }
    });
    proto::QuotaRebalanced {
        team: team.name_any(),
        uid: uid(team),
        generation: generation(team),
        namespaces: namespaces.collect(),
    }
}

pub(super) fn repaired(team: &Team, told: &Told) -> proto::IsolationDriftRepaired {
    let repairs = told.repairs.clone();
    proto::IsolationDriftRepaired {
        team: team.name_any(),
        uid: uid(team),
        generation: generation(team),
        repairs,
    }
}

pub(super) fn denied(team: &Team, told: &Told) -> proto::AdmissionDenied {
    let denials = told.denials.iter().map(|denial| proto::Denial {
        namespace: denial.namespace.clone(),
        user: denial.user.clone(),
        action: denial.action.clone(),
        name: denial.name.clone(),
        control: denial.control.clone(),
        rule: denial.rule.clone(),
        message: denial.message.clone(),
        admitted: denial.admitted,
        count: i64::from(denial.count),
        last: denial.last.clone(),
    });
    proto::AdmissionDenied {
        team: team.name_any(),
        uid: uid(team),
        generation: generation(team),
        denials: denials.collect(),
    }
}

pub(super) fn offboarding(team: &Team, told: &Told) -> proto::TeamOffboarding {
    proto::TeamOffboarding {
        team: team.name_any(),
        uid: uid(team),
        generation: generation(team),
        step: format!("{:?}", told.offboarding.step),
        retained_until: told.offboarding.retained_until.clone().unwrap_or_default(),
    }
}

fn namespaces(in_force: &InForce) -> Vec<proto::TeamNamespace> {
    let namespaces = in_force.namespaces.iter();
    namespaces.map(|it| proto::TeamNamespace { name: it.name.clone(), uid: it.uid.clone() }).collect()
}

fn uid(team: &Team) -> String {
    team.metadata.uid.clone().unwrap_or_default()
}

fn generation(team: &Team) -> i64 {
    team.metadata.generation.unwrap_or_default()
}

fn display_name(team: &Team) -> String {
    team.spec.display_name.clone().unwrap_or_default()
}
