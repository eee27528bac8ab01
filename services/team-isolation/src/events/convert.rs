//! Teams as the messages of `mlp.team.events.v1`.

use kube::ResourceExt;
use mlp_crds::Team;
use mlp_model::Environment;
use mlp_proto::team::events::v1 as proto;

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
