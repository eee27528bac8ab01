//! The namespace's share of the team's quota.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ResourceQuota, ResourceQuotaSpec, ScopeSelector, ScopedResourceSelectorRequirement,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use mlp_crds::team::OffboardingPhase;

use super::{Surroundings, metadata};
use crate::domain::model::DeclaredTeam;
use crate::domain::quantity::Quantity as Amount;

/// Name of the ResourceQuota in each namespace of a team.
pub const NAME: &str = "team-quota";

/// A key that bounds nothing. Its coming and going makes Kubernetes count the use anew.
pub const RECOUNT: &str = "count/podtemplates";
const NO_BOUND: &str = "1M";

/// The ResourceQuota that holds the namespace's part of the team's quota.
///
/// All parts add up to the team's quota, so that together they admit no more than one plain quota
/// would. The number of quotas in a namespace is itself part of it: one that nobody planned makes the
/// API server admit too much (kubernetes#141904).
pub fn quota(team: &DeclaredTeam, namespace: &str, around: &Surroundings) -> ResourceQuota {
    let part = around.split.get(namespace).into_iter().flatten();
    let mut hard: BTreeMap<String, Quantity> =
        part.map(|(key, amount)| (key.clone(), Quantity(amount.to_string()))).collect();
    if team.phase == OffboardingPhase::Suspended {
        // Nothing starts; what is kept stays counted.
        hard.insert("pods".to_owned(), Quantity("0".to_owned()));
    }
    if around.recounts.contains(namespace) {
        hard.insert(RECOUNT.to_owned(), Quantity(NO_BOUND.to_owned()));
    }
    let quotas = 1 + team.policy.priority_classes.iter().filter(|class| class.pods.is_some()).count();
    hard.insert("resourcequotas".to_owned(), Quantity(quotas.to_string()));
    ResourceQuota {
        metadata: metadata(team, namespace, NAME),
        spec: Some(ResourceQuotaSpec { hard: Some(hard), ..ResourceQuotaSpec::default() }),
        status: None,
    }
}

/// One more ResourceQuota for each PriorityClass that is bounded, so that nobody pushes out others
/// with all of their pods at once.
pub fn of_priorities(team: &DeclaredTeam, namespace: &str) -> Vec<ResourceQuota> {
    let index = team.namespaces.iter().position(|declared| declared.name == namespace).unwrap_or_default();
    let bounded = team.policy.priority_classes.iter().filter_map(|class| Some((&class.name, class.pods?)));
    bounded
        .map(|(class, pods)| {
            let requirement = ScopedResourceSelectorRequirement {
                scope_name: "PriorityClass".to_owned(),
                operator: "In".to_owned(),
                values: Some(vec![class.clone()]),
            };
            ResourceQuota {
                metadata: metadata(team, namespace, &format!("team-priority-{class}")),
                spec: Some(ResourceQuotaSpec {
                    hard: Some(
                        [(
                            "pods".to_owned(),
                            Quantity(Amount::whole(pods).share(index, team.namespaces.len()).to_string()),
                        )]
                        .into(),
                    ),
                    scope_selector: Some(ScopeSelector { match_expressions: Some(vec![requirement]) }),
                    ..ResourceQuotaSpec::default()
                }),
                status: None,
            }
        })
        .collect()
}

/// Whether the API server admits by what the spec says: it compares with `status.hard`, which its
/// controller fills in later, and enforces nothing until then. A key without known use is enforced by
/// refusing everything; that is waited out, except for counted kinds, which may not be installed.
pub fn in_force(live: &ResourceQuota) -> bool {
    let wanted = live.spec.as_ref().and_then(|spec| spec.hard.as_ref());
    let enforced = live.status.as_ref().and_then(|status| status.hard.as_ref());
    let used = live.status.as_ref().and_then(|status| status.used.as_ref());
    match (wanted, enforced, used) {
        (Some(wanted), Some(enforced), Some(used)) => wanted.iter().all(|(key, amount)| {
            enforced.get(key) == Some(amount) && (used.contains_key(key) || key.starts_with("count/"))
        }),
        _ => false,
    }
}
