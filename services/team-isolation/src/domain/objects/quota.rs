//! The namespace's share of the team's quota.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::metadata;
use crate::domain::model::DeclaredTeam;

/// Name of the ResourceQuota in each namespace of a team.
pub const NAME: &str = "team-quota";

/// The one ResourceQuota of namespace number `index` of `count`.
///
/// The shares of all namespaces add up to the team's quota, so that together they admit no more
/// than one plain quota would. One quota per namespace is itself part of the quota: a second one
/// makes the API server admit too much (kubernetes#141904).
pub fn quota(team: &DeclaredTeam, namespace: &str, index: usize, count: usize) -> ResourceQuota {
    let shares = team
        .quota
        .iter()
        .map(|(key, amount)| (key.clone(), Quantity(amount.share(index, count).to_string())));
    let mut hard: BTreeMap<String, Quantity> = shares.collect();
    hard.insert("resourcequotas".to_owned(), Quantity("1".to_owned()));
    ResourceQuota {
        metadata: metadata(team, namespace, NAME),
        spec: Some(ResourceQuotaSpec { hard: Some(hard), ..ResourceQuotaSpec::default() }),
        status: None,
    }
}

/// Whether the API server admits by what the spec says: it compares with `status.hard`, which its
/// controller fills in later, and enforces nothing until then.
pub fn in_force(live: &ResourceQuota) -> bool {
    let wanted = live.spec.as_ref().and_then(|spec| spec.hard.as_ref());
    let enforced = live.status.as_ref().and_then(|status| status.hard.as_ref());
    let used = live.status.as_ref().and_then(|status| status.used.as_ref());
    match (wanted, enforced, used) {
        (Some(wanted), Some(enforced), Some(used)) => {
            wanted.iter().all(|(key, amount)| enforced.get(key) == Some(amount) && used.contains_key(key))
        }
        _ => false,
    }
}
