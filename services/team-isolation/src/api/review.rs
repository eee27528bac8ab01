//! What would be done for a team, and whether it has every piece of its isolation.

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};
use mlp_crds::Team;
use mlp_crds::team::Role;
use mlp_proto::team::api::v1 as proto;
use tonic::Status;

use super::{live, refused};
use crate::domain::compliance::Installed;
use crate::domain::model::{DeclaredTeam, Site, declare};
use crate::domain::objects::{self, Surroundings};
use crate::domain::{compliance, lease, opening, plan, rights};

/// The calls that would make `team` true, or what is in the way. The caller may look into the namespaces of
/// others that are in `visible`.
pub(super) async fn plan(
    client: &Client,
    site: &Site,
    team: &Team,
    visible: &BTreeSet<String>,
) -> Result<proto::PlanTeamResponse, Status> {
    let declared = match declare(team, site) {
        Ok(declared) => declared,
        Err(problems) => {
            let problems = problems.iter().map(ToString::to_string).collect();
            return Ok(proto::PlanTeamResponse { problems, ..proto::PlanTeamResponse::default() });
        }
    };
    let mut observed = live::observed(client, declared.name.as_str()).await?;
    let adopted =
        live::adopted(client, &declared, &team.uid().unwrap_or_default(), visible, &mut observed).await?;
    if !adopted.problems.is_empty() {
        let (names, problems): (Vec<_>, Vec<_>) = adopted.problems.into_iter().unzip();
        // What a member opened keeps nothing that is declared from being made true.
        let Some(rest) = opening::without(team, &names) else {
            return Ok(proto::PlanTeamResponse { problems, ..proto::PlanTeamResponse::default() });
        };
        let mut planned = Box::pin(plan(client, site, &rest, visible)).await?;
        planned
            .kept
            .extend(problems.into_iter().map(|why| format!("opened by a member and left out: {why}")));
        return Ok(planned);
    }
    let leaving = leaving(&declared, &observed);
    let split = lease::of(&declared, &observed, &leaving, &lease::Demands::new());
    let around = Surroundings { split, leaving, ..Surroundings::default() };
    let planned = plan::plan(objects::of(&declared, &around), &observed);
    let steps = planned.steps.iter().map(ToString::to_string).collect();
    Ok(proto::PlanTeamResponse { steps, problems: Vec::new(), kept: adopted.kept, offers: adopted.offers })
}

/// Namespaces of the team that its declaration no longer names.
fn leaving(declared: &DeclaredTeam, observed: &plan::Observed) -> Vec<String> {
    let names = declared.namespace_names();
    let there = observed.live.keys().filter(|key| key.kind == objects::Kind::Namespace);
    there.map(|key| key.name.clone()).filter(|name| !names.contains(name)).collect()
}

/// Which of the roles of teams are there.
async fn installed_roles(client: &Client) -> Result<BTreeSet<String>, Status> {
    let mut installed = BTreeSet::new();
    for name in Role::ALL.map(rights::role_name) {
        let found = Api::<ClusterRole>::all(client.clone()).get_metadata_opt(name).await;
        let found = found.map_err(|error| refused("read the roles of teams", &error))?;
        installed.extend(found.map(|_| name.to_owned()));
    }
    Ok(installed)
}

/// Every check of every namespace.
pub(super) async fn compliance(
    client: &Client,
    site: &Site,
    team: &Team,
) -> Result<proto::GetComplianceResponse, Status> {
    let declared = declare(team, site).map_err(|problems| {
        let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
        Status::failed_precondition(format!("the team cannot be made true: {}", said.join("; ")))
    })?;
    let observed = live::observed(client, declared.name.as_str()).await?;
    let bindings =
        Api::<ValidatingAdmissionPolicyBinding>::all(client.clone()).list(&ListParams::default()).await;
    let bindings = bindings.map_err(|error| refused("read admission policies", &error))?;
    let policies = bindings.into_iter().filter_map(|binding| binding.spec?.policy_name).collect();
    let installed = Installed { policies, roles: installed_roles(client).await? };
    let checks = compliance::checks(&declared, &observed, &installed);
    let percent = compliance::percent(&checks);
    let said = checks.into_iter().map(|check| proto::ComplianceCheck {
        id: check.id.to_owned(),
        title: check.title.to_owned(),
        namespace: check.namespace,
        holds: check.missing.is_none(),
        detail: check.missing.unwrap_or_default(),
    });
    Ok(proto::GetComplianceResponse { percent, checks: said.collect() })
}
