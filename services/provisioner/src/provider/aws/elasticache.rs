//! Caches: one ElastiCache replication group each, encrypted, with the password as its token.

use aws_sdk_elasticache::Client;
use aws_sdk_elasticache::types::{
    AutomaticFailoverStatus, CacheCluster, PendingAutomaticFailoverStatus, ReplicationGroup, Tag,
};
use mlp_model::Secret;

use super::{Error, Place, SNAPSHOT_NAMES, count, number};
use crate::domain::aws::names::{self, Tags};
use crate::domain::aws::step::{CacheChange, CreateCache, When};
use crate::domain::aws::{Observed, Pending, Refusal, Seen};
use crate::domain::binding::Address;

/// The state of a replication group that takes calls.
const AVAILABLE: &str = "available";

pub(super) async fn observe(client: &Client, id: &str) -> Result<Observed, Error> {
    let Some(group) = describe(client, id).await? else {
        return Ok(Observed { seen: None, snapshot: final_snapshot(client, id).await? });
    };
    let arn = group.arn().unwrap_or_default();
    // Of a group in any other state ElastiCache lists no tags (InvalidReplicationGroupState).
    let tags = if group.status() == Some(AVAILABLE) { Some(tags_of(client, arn).await?) } else { None };
    let member = member(client, &group).await?;
    Ok(Observed { seen: Some(seen(&group, member.as_ref(), tags)), snapshot: None })
}

async fn describe(client: &Client, id: &str) -> Result<Option<ReplicationGroup>, Error> {
    match client.describe_replication_groups().replication_group_id(id).send().await {
        Ok(answer) => Ok(answer.replication_groups().first().cloned()),
        Err(error)
            if error.as_service_error().is_some_and(|error| error.is_replication_group_not_found_fault()) =>
        {
            Ok(None)
        }
        Err(error) => Err(Error::call("elasticache:DescribeReplicationGroups", &error)),
    }
}

/// One member: only members say the version, and what waits for the window.
async fn member(client: &Client, group: &ReplicationGroup) -> Result<Option<CacheCluster>, Error> {
    let Some(id) = group.member_clusters().first() else { return Ok(None) };
    match client.describe_cache_clusters().cache_cluster_id(id).send().await {
        Ok(answer) => Ok(answer.cache_clusters().first().cloned()),
        // Members come a moment after their group.
        Err(error)
            if error.as_service_error().is_some_and(|error| error.is_cache_cluster_not_found_fault()) =>
        {
            Ok(None)
        }
        Err(error) => Err(Error::call("elasticache:DescribeCacheClusters", &error)),
    }
}

async fn tags_of(client: &Client, arn: &str) -> Result<Tags, Error> {
    let answer = client
        .list_tags_for_resource()
        .resource_name(arn)
        .send()
        .await
        .map_err(|error| Error::call("elasticache:ListTagsForResource", &error))?;
    let tag = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    Ok(answer.tag_list().iter().filter_map(tag).collect())
}

/// The last of the final snapshots, where a deletion left one. By name: ElastiCache does not say
/// what it lists for a group that is gone.
async fn final_snapshot(client: &Client, id: &str) -> Result<Option<String>, Error> {
    let mut last = None;
    for attempt in 1..=SNAPSHOT_NAMES {
        let name = names::final_snapshot(id, attempt);
        match client.describe_snapshots().snapshot_name(&name).send().await {
            Ok(answer) if answer.snapshots().is_empty() => break,
            Ok(_) => last = Some(name),
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_snapshot_not_found_fault()) =>
            {
                break;
            }
            Err(error) => return Err(Error::call("elasticache:DescribeSnapshots", &error)),
        }
    }
    Ok(last)
}

pub(super) async fn create(
    client: &Client,
    create: &CreateCache,
    uid: &str,
    password: &Secret<String>,
    place: &Place,
) -> Result<(), Error> {
    let groups = (!place.security_groups.is_empty()).then(|| place.security_groups.clone());
    let call = client
        .create_replication_group()
        .replication_group_id(&create.id)
        .replication_group_description(format!("ml platform cache {}", create.id))
        .engine(create.engine)
        .engine_version(&create.version)
        .cache_node_type(&create.class)
        .num_cache_clusters(number(create.replicas.saturating_add(1)))
        .automatic_failover_enabled(create.high_availability)
        .multi_az_enabled(create.high_availability)
        .snapshot_retention_limit(number(create.retention_days))
        .transit_encryption_enabled(true)
        .at_rest_encryption_enabled(true)
        .auth_token(password.expose())
        .auto_minor_version_upgrade(true)
        .set_cache_subnet_group_name(place.cache_subnets.clone())
        .set_security_group_ids(groups)
        .set_tags(Some(to_aws(&create.tags)));
    let Err(error) = call.send().await else {
        return Ok(());
    };
    if !error.as_service_error().is_some_and(|error| error.is_replication_group_already_exists_fault()) {
        return Err(Error::call("elasticache:CreateReplicationGroup", &error).without(password));
    }
    // An earlier attempt of ours whose answer was lost, or somebody else.
    match observe(client, &create.id).await?.seen {
        Some(seen) if !seen.is_owned_by(uid) => {
            Err(Refusal::OwnedByAnother { identifier: create.id.clone() }.into())
        }
        _ => Ok(()),
    }
}

pub(super) async fn modify(client: &Client, id: &str, change: &CacheChange, at: When) -> Result<(), Error> {
    let result = client
        .modify_replication_group()
        .replication_group_id(id)
        .apply_immediately(at == When::Now)
        .set_cache_node_type(change.class.clone())
        .set_engine_version(change.version.clone())
        .set_automatic_failover_enabled(change.high_availability)
        .set_multi_az_enabled(change.high_availability)
        .set_snapshot_retention_limit(change.retention_days.map(number))
        .send()
        .await
        .map_err(|error| Error::call("elasticache:ModifyReplicationGroup", &error));
    match result {
        Err(error) if !error.is_already_so() => Err(error),
        _ => Ok(()),
    }
}

/// ElastiCache adds replicas at once only.
pub(super) async fn add_replicas(client: &Client, id: &str, to: u32) -> Result<(), Error> {
    let call = client.increase_replica_count().replication_group_id(id);
    match call.new_replica_count(number(to)).apply_immediately(true).send().await {
        Err(error) if !error.as_service_error().is_some_and(|error| error.is_no_operation_fault()) => {
            Err(Error::call("elasticache:IncreaseReplicaCount", &error))
        }
        _ => Ok(()),
    }
}

/// ElastiCache removes replicas at once only.
pub(super) async fn remove_replicas(client: &Client, id: &str, to: u32) -> Result<(), Error> {
    let call = client.decrease_replica_count().replication_group_id(id);
    match call.new_replica_count(number(to)).apply_immediately(true).send().await {
        Err(error) if !error.as_service_error().is_some_and(|error| error.is_no_operation_fault()) => {
            Err(Error::call("elasticache:DecreaseReplicaCount", &error))
        }
        _ => Ok(()),
    }
}

/// Deletes it; with `keep`, under the first name that no snapshot has yet.
pub(super) async fn delete(client: &Client, id: &str, keep: bool) -> Result<(), Error> {
    let mut last = Ok(());
    for attempt in 1..=SNAPSHOT_NAMES {
        let snapshot = keep.then(|| names::final_snapshot(id, attempt));
        let call = client.delete_replication_group().replication_group_id(id).retain_primary_cluster(false);
        let Err(error) = call.set_final_snapshot_identifier(snapshot).send().await else { return Ok(()) };
        let service_error = error.as_service_error();
        if service_error.is_some_and(|error| error.is_replication_group_not_found_fault()) {
            return Ok(());
        }
        let name_is_taken = service_error.is_some_and(|error| error.is_snapshot_already_exists_fault());
        let error = Error::call("elasticache:DeleteReplicationGroup", &error);
        if error.is_already_leaving() {
            return Ok(());
        }
        last = Err(error);
        if !name_is_taken {
            break;
        }
    }
    last
}

pub(super) async fn tag(client: &Client, arn: &str, tags: &Tags) -> Result<(), Error> {
    let call = client.add_tags_to_resource().resource_name(arn).set_tags(Some(to_aws(tags)));
    call.send().await.map(drop).map_err(|error| Error::call("elasticache:AddTagsToResource", &error))
}

fn to_aws(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn seen(group: &ReplicationGroup, member: Option<&CacheCluster>, tags: Option<Tags>) -> Seen {
    let failover = matches!(
        group.automatic_failover(),
        Some(AutomaticFailoverStatus::Enabled | AutomaticFailoverStatus::Enabling)
    );
    let replicas = group.member_clusters().len().saturating_sub(1);
    Seen {
        status: group.status().unwrap_or_default().to_owned(),
        arn: group.arn().unwrap_or_default().to_owned(),
        address: address(group),
        version: member.and_then(|member| member.engine_version()).map(str::to_owned),
        class: group.cache_node_type().unwrap_or_default().to_owned(),
        storage_gib: 0,
        max_storage_gib: 0,
        replicas: u32::try_from(replicas).unwrap_or(u32::MAX),
        high_availability: failover,
        retention_days: count(group.snapshot_retention_limit()),
        deletion_protection: false,
        tags,
        pending: pending(group, member),
    }
}

/// The primary's address: it stays when another member becomes the primary.
fn address(group: &ReplicationGroup) -> Option<Address> {
    let endpoint = group.node_groups().first()?.primary_endpoint()?;
    let port = u16::try_from(endpoint.port()?).ok()?;
    Some(Address { host: endpoint.address()?.to_owned(), port, tls: true })
}

fn pending(group: &ReplicationGroup, member: Option<&CacheCluster>) -> Pending {
    let of_group = group.pending_modified_values();
    let of_member = member.and_then(|member| member.pending_modified_values());
    let failover = of_group.and_then(|values| values.automatic_failover_status());
    Pending {
        class: of_member.and_then(|values| values.cache_node_type()).map(str::to_owned),
        version: of_member.and_then(|values| values.engine_version()).map(str::to_owned),
        high_availability: failover.map(|status| *status == PendingAutomaticFailoverStatus::Enabled),
        ..Pending::default()
    }
}
