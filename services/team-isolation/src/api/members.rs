//! What members of a team may ask: about their own namespaces, use, refusals and rights.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt as _};
use mlp_crds::Team;
use mlp_crds::team::{QuotaStatus, Role};
use mlp_host::grpc::{Access, Authorizer, Identity};
use mlp_proto::team::api::v1 as proto;
use tonic::{Request, Status};

use super::refused;
use crate::domain::rights;

/// Verbs that are asked about.
const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
/// Questions to the API server at the same time: there are hundreds for each namespace.
const QUESTIONS: usize = 16;
/// What nobody in a team may write, shown so that one sees it.
const GUARDED: [(&str, &str); 4] =
    [("", "resourcequotas"), ("", "limitranges"), ("", "namespaces"), ("mlplatform.dev", "teams")];

/// The team, for a caller who is a member of it or may read teams.
pub(super) async fn team_for_member<T>(
    client: &Client,
    authorizer: &Authorizer,
    request: &Request<T>,
    name: &str,
) -> Result<Team, Status> {
    let found = Api::<Team>::all(client.clone()).get_opt(name).await;
    let found = found.map_err(|error| refused("read the team", &error))?;
    // Whoever may not read it learns nothing, not even whether there is one.
    // Those that it holds: a declaration may name another's.
    let status = found.as_ref().and_then(|team| team.status.as_ref());
    let namespaces: Vec<_> =
        status.iter().flat_map(|status| &status.namespaces).map(|it| it.name.clone()).collect();
    let mut verdict =
        authorizer.check(request, &Access::new("get", "mlplatform.dev", "teams").named(name)).await;
    for namespace in namespaces {
        if verdict.is_ok() {
            break;
        }
        let member = Access::new("get", "", "resourcequotas").in_namespace(namespace);
        verdict = authorizer.check(request, &member).await.or(verdict);
    }
    verdict?;
    found.ok_or_else(|| Status::not_found(format!("there is no team {name}")))
}

/// The caller's namespaces, by team.
pub(super) async fn namespaces(
    client: &Client,
    identity: &Identity,
) -> Result<Vec<proto::MemberNamespace>, Status> {
    let teams = Api::<Team>::all(client.clone()).list(&ListParams::default()).await;
    let teams = teams.map_err(|error| refused("read the teams", &error))?;
    let mut found = Vec::new();
    for team in &teams {
        let Some(role) = role_of(team, identity) else { continue };
        let status = team.status.clone().unwrap_or_default();
        found.extend(status.namespaces.into_iter().map(|namespace| proto::MemberNamespace {
            name: namespace.name,
            team: team.name_any(),
            role: role.as_str().to_owned(),
            environment: namespace.environment,
        }));
    }
    Ok(found)
}

/// The strongest role that somebody holds in a team.
fn role_of(team: &Team, identity: &Identity) -> Option<Role> {
    let access = team.spec.access.as_ref()?;
    let listed = [(Role::Admin, &access.admin), (Role::Edit, &access.edit), (Role::View, &access.view)];
    let holds = listed.into_iter().find(|(_, members)| {
        members.as_ref().is_some_and(|members| {
            members.users.contains(&identity.user)
                || members.groups.iter().any(|group| identity.groups.contains(group))
        })
    });
    holds.map(|(role, _)| role)
}

/// Quota and use, from the team's status.
pub(super) fn usage(team: &Team) -> proto::GetUsageResponse {
    let status = team.status.clone().unwrap_or_default();
    let parts = status
        .namespaces
        .into_iter()
        .filter_map(|namespace| Some((namespace.name, amounts(namespace.quota?))));
    proto::GetUsageResponse { total: status.quota.map(amounts), namespaces: parts.collect() }
}

fn amounts(quota: QuotaStatus) -> proto::Usage {
    let written = |map: BTreeMap<String, mlp_crds::Amount>| {
        map.into_iter().map(|(key, amount)| (key, amount.to_string())).collect()
    };
    proto::Usage { hard: written(quota.hard), used: written(quota.used) }
}

/// Refusals, from the team's status.
pub(super) fn denials(team: &Team) -> Vec<proto::Denial> {
    let denials = team.status.clone().unwrap_or_default().denials;
    let said = denials.into_iter().map(|denial| proto::Denial {
        namespace: denial.namespace,
        user: denial.user,
        action: denial.action,
        name: denial.name,
        control: denial.control,
        rule: denial.rule,
        message: denial.message,
        admitted: denial.admitted,
        count: i64::from(denial.count),
        last: denial.last,
    });
    said.collect()
}

/// What somebody may do, as the API server says, in each namespace of the team.
pub(super) async fn rights(
    client: &Client,
    team: &Team,
    who: &Identity,
) -> Result<Vec<proto::ResourceRights>, Status> {
    let mut all = Vec::new();
    for namespace in team.namespace_names() {
        let of_namespace = resources().into_iter().map(|(group, resource)| proto::ResourceRights {
            namespace: namespace.clone(),
            group,
            resource,
            verbs: Vec::new(),
        });
        all.extend(of_namespace);
    }
    let questions = all.iter().flat_map(|rights| VERBS.map(|verb| (rights, verb)));
    let answers = questions.map(|(rights, verb)| is_allowed(client, who, rights, verb));
    let answers =
        stream::iter(answers.collect::<Vec<_>>()).buffered(QUESTIONS).try_collect::<Vec<_>>().await?;
    for (rights, allowed) in all.iter_mut().zip(answers.chunks(VERBS.len())) {
        let verbs = VERBS.iter().zip(allowed).filter(|(_, allowed)| **allowed);
        rights.verbs = verbs.map(|(verb, _)| (*verb).to_owned()).collect();
    }
    Ok(all)
}

/// Every kind that a role of a team speaks of, and those that none may write.
fn resources() -> Vec<(String, String)> {
    let of_roles = rights::rules(Role::Admin).into_iter().flat_map(|rule| {
        let group = rule.api_groups.and_then(|groups| groups.into_iter().next()).unwrap_or_default();
        rule.resources.unwrap_or_default().into_iter().map(move |resource| (group.clone(), resource))
    });
    let guarded = GUARDED.iter().map(|(group, resource)| ((*group).to_owned(), (*resource).to_owned()));
    let mut all: Vec<_> = of_roles.chain(guarded).collect();
    all.sort();
    all.dedup();
    all
}

async fn is_allowed(
    client: &Client,
    who: &Identity,
    rights: &proto::ResourceRights,
    verb: &str,
) -> Result<bool, Status> {
    let (resource, subresource) = match rights.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (rights.resource.as_str(), None),
    };
    let attributes = ResourceAttributes {
        namespace: Some(rights.namespace.clone()),
        group: Some(rights.group.clone()),
        resource: Some(resource.to_owned()),
        subresource,
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(who.user.clone()),
            groups: Some(who.groups.clone()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let answer =
        Api::<SubjectAccessReview>::all(client.clone()).create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|error| refused("review access", &error))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
