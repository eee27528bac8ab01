//! Databases: one RDS instance each.

use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbInstance, PendingModifiedValues, Tag};
use mlp_model::Secret;

use super::{Error, Place, SNAPSHOT_NAMES, count, number};
use crate::domain::aws::names::{self, Tags};
use crate::domain::aws::step::{CreateDatabase, DatabaseChange, When};
use crate::domain::aws::{Observed, Pending, Refusal, Seen};
use crate::domain::binding::Address;

const STORAGE_TYPE: &str = "gp3";
/// RDS' charge for versions past their end is not taken; AWS upgrades them instead.
const LIFECYCLE: &str = "open-source-rds-extended-support-disabled";
/// UTC. The two windows must not touch.
const BACKUP_WINDOW: &str = "03:00-04:00";
const MAINTENANCE_WINDOW: &str = "mon:04:30-mon:05:30";

pub(super) async fn observe(client: &Client, id: &str) -> Result<Observed, Error> {
    let seen = describe(client, id).await?;
    let snapshot = match &seen {
        Some(_) => None,
        None => final_snapshot(client, id).await?,
    };
    Ok(Observed { seen, snapshot })
}

async fn describe(client: &Client, id: &str) -> Result<Option<Seen>, Error> {
    match client.describe_db_instances().db_instance_identifier(id).send().await {
        Ok(answer) => Ok(answer.db_instances().first().map(seen)),
        Err(error)
            if error.as_service_error().is_some_and(|error| error.is_db_instance_not_found_fault()) =>
        {
            Ok(None)
        }
        Err(error) => Err(Error::call("rds:DescribeDBInstances", &error)),
    }
}

/// The last of the final snapshots, where a deletion left one.
async fn final_snapshot(client: &Client, id: &str) -> Result<Option<String>, Error> {
    let answer = client
        .describe_db_snapshots()
        .db_instance_identifier(id)
        .snapshot_type("manual")
        .send()
        .await
        .map_err(|error| Error::call("rds:DescribeDBSnapshots", &error))?;
    let prefix = names::final_snapshot(id, 1);
    let names = answer.db_snapshots().iter().filter_map(|snapshot| snapshot.db_snapshot_identifier());
    Ok(names.filter(|name| name.starts_with(&prefix)).max().map(str::to_owned))
}

pub(super) async fn create(
    client: &Client,
    create: &CreateDatabase,
    uid: &str,
    password: &Secret<String>,
    place: &Place,
) -> Result<(), Error> {
    let groups = (!place.security_groups.is_empty()).then(|| place.security_groups.clone());
    let call = client
        .create_db_instance()
        .db_instance_identifier(&create.id)
        .db_instance_class(&create.class)
        .engine(create.engine)
        .engine_version(&create.version)
        .engine_lifecycle_support(LIFECYCLE)
        .allocated_storage(number(create.storage_gib))
        .max_allocated_storage(number(create.max_storage_gib))
        .storage_type(STORAGE_TYPE)
        .storage_encrypted(true)
        .db_name(&create.database_name)
        .master_username(&create.username)
        .master_user_password(password.expose())
        .multi_az(create.high_availability)
        .backup_retention_period(number(create.retention_days))
        .preferred_backup_window(BACKUP_WINDOW)
        .preferred_maintenance_window(MAINTENANCE_WINDOW)
        .copy_tags_to_snapshot(true)
        .auto_minor_version_upgrade(true)
        .publicly_accessible(false)
        .deletion_protection(create.deletion_protection)
        .set_db_subnet_group_name(place.database_subnets.clone())
        .set_vpc_security_group_ids(groups)
        .set_tags(Some(to_aws(&create.tags)));
    let Err(error) = call.send().await else {
        return Ok(());
    };
    if !error.as_service_error().is_some_and(|error| error.is_db_instance_already_exists_fault()) {
        return Err(Error::call("rds:CreateDBInstance", &error).without(password));
    }
    // An earlier attempt of ours whose answer was lost, or somebody else.
    match describe(client, &create.id).await? {
        Some(seen) if !seen.is_owned_by(uid) => {
            Err(Refusal::OwnedByAnother { identifier: create.id.clone() }.into())
        }
        _ => Ok(()),
    }
}

pub(super) async fn modify(
    client: &Client,
    id: &str,
    change: &DatabaseChange,
    at: When,
) -> Result<(), Error> {
    let result = client
        .modify_db_instance()
        .db_instance_identifier(id)
        .apply_immediately(at == When::Now)
        .set_db_instance_class(change.class.clone())
        .set_engine_version(change.version.clone())
        .set_allow_major_version_upgrade(change.major_upgrade.then_some(true))
        .set_allocated_storage(change.storage_gib.map(number))
        .set_max_allocated_storage(change.max_storage_gib.map(number))
        .set_multi_az(change.high_availability)
        .set_backup_retention_period(change.retention_days.map(number))
        .set_deletion_protection(change.deletion_protection)
        .send()
        .await
        .map_err(|error| Error::call("rds:ModifyDBInstance", &error));
    match result {
        Err(error) if !error.is_already_so() => Err(error),
        _ => Ok(()),
    }
}

/// Deletes it; with `keep`, under the first name that no snapshot has yet, so that an earlier
/// snapshot never stands in for the data of now.
pub(super) async fn delete(client: &Client, id: &str, keep: bool) -> Result<(), Error> {
    let mut last = Ok(());
    for attempt in 1..=SNAPSHOT_NAMES {
        let call = client.delete_db_instance().db_instance_identifier(id);
        let call = if keep {
            call.skip_final_snapshot(false)
                .final_db_snapshot_identifier(names::final_snapshot(id, attempt))
                .delete_automated_backups(false)
        } else {
            call.skip_final_snapshot(true)
        };
        let Err(error) = call.send().await else { return Ok(()) };
        let service_error = error.as_service_error();
        if service_error.is_some_and(|error| error.is_db_instance_not_found_fault()) {
            return Ok(());
        }
        let name_is_taken = service_error.is_some_and(|error| error.is_db_snapshot_already_exists_fault());
        let error = Error::call("rds:DeleteDBInstance", &error);
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
    call.send().await.map(drop).map_err(|error| Error::call("rds:AddTagsToResource", &error))
}

fn to_aws(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn seen(instance: &DbInstance) -> Seen {
    let tag = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    Seen {
        status: instance.db_instance_status().unwrap_or_default().to_owned(),
        arn: instance.db_instance_arn().unwrap_or_default().to_owned(),
        address: address(instance),
        version: instance.engine_version().map(str::to_owned),
        class: instance.db_instance_class().unwrap_or_default().to_owned(),
        storage_gib: count(instance.allocated_storage()),
        max_storage_gib: count(instance.max_allocated_storage()),
        replicas: 0,
        high_availability: instance.multi_az().unwrap_or_default(),
        retention_days: count(instance.backup_retention_period()),
        deletion_protection: instance.deletion_protection().unwrap_or_default(),
        tags: Some(instance.tag_list().iter().filter_map(tag).collect()),
        pending: instance.pending_modified_values().map(pending).unwrap_or_default(),
    }
}

fn address(instance: &DbInstance) -> Option<Address> {
    let endpoint = instance.endpoint()?;
    let port = u16::try_from(endpoint.port()?).ok()?;
    Some(Address { host: endpoint.address()?.to_owned(), port, tls: true })
}

/// What is pending; `other` is all that we never ask for.
fn pending(values: &PendingModifiedValues) -> Pending {
    let known = PendingModifiedValues::builder()
        .set_db_instance_class(values.db_instance_class().map(str::to_owned))
        .set_allocated_storage(values.allocated_storage())
        .set_engine_version(values.engine_version().map(str::to_owned))
        .set_multi_az(values.multi_az())
        .set_backup_retention_period(values.backup_retention_period())
        .build();
    Pending {
        class: values.db_instance_class().map(str::to_owned),
        storage_gib: values.allocated_storage().map(|gib| count(Some(gib))),
        version: values.engine_version().map(str::to_owned),
        high_availability: values.multi_az(),
        retention_days: values.backup_retention_period().map(|days| count(Some(days))),
        other: *values != known,
    }
}
