//! What is decided about what exists.

use mlp_crds::Amount;
use mlp_model::Environment;
use serde_json::json;

use super::{cache, database};
use crate::domain::aws::{Observed, Pending, Refusal, Seen, Step, decide, names, remove};
use crate::domain::binding::Address;
use crate::domain::model::Wish;
use crate::domain::plan::{Plan, State};

/// What the wish looks like once it is met.
pub(super) fn met(wish: &Wish) -> Seen {
    let steps = decide(wish, &Observed::default()).unwrap().steps;
    let address =
        Some(Address { host: "x.rds.amazonaws.com".to_owned(), port: wish.engine.port(), tls: true });
    match steps.first() {
        Some(Step::CreateDatabase(made)) => Seen {
            status: "available".to_owned(),
            arn: "arn:aws:rds:us-west-2:1:db:x".to_owned(),
            address,
            version: Some("15.8".to_owned()),
            class: made.class.clone(),
            storage_gib: made.storage_gib,
            max_storage_gib: made.max_storage_gib,
            high_availability: made.high_availability,
            retention_days: made.retention_days,
            deletion_protection: made.deletion_protection,
            tags: Some(made.tags.clone()),
            ..Seen::default()
        },
        Some(Step::CreateCache(made)) => Seen {
            status: "available".to_owned(),
            arn: "arn:aws:elasticache:us-west-2:1:replicationgroup:x".to_owned(),
            address,
            version: Some(format!("{}.0", made.version)),
            class: made.class.clone(),
            replicas: made.replicas,
            high_availability: made.high_availability,
            retention_days: made.retention_days,
            tags: Some(made.tags.clone()),
            ..Seen::default()
        },
        other => panic!("expected a creation, got {other:?}"),
    }
}

fn planned(wish: &Wish, seen: Seen) -> Plan<Step> {
    decide(wish, &Observed { seen: Some(seen), snapshot: None }).unwrap()
}

fn lines(plan: &Plan<Step>) -> Vec<String> {
    let id = plan.steps.iter().map(ToString::to_string);
    id.map(|line| {
        line.replace(&names::identifier(&database(json!({}))), "ID")
            .replace(&names::identifier(&cache(json!({}))), "ID")
    })
    .collect()
}

#[test]
fn nothing_there_is_created() {
    let plan = decide(&database(json!({})), &Observed::default()).unwrap();
    assert_eq!(lines(&plan), ["create RDS instance ID (db.t3.micro, postgres 15, 20 GiB)"]);
    assert!(matches!(plan.state, State::Creating(_)));

    let plan = decide(&cache(json!({"replicas": 1})), &Observed::default()).unwrap();
    assert_eq!(lines(&plan), ["create ElastiCache group ID (cache.t3.micro, redis 7.1, 1 replicas)"]);
}

#[test]
fn storage_is_a_floor_that_rds_raises_to_twenty() {
    for (written, gib) in
        [("1Gi", 20), ("20Gi", 20), ("20G", 20), ("21Gi", 21), ("100500M", 94), ("64Ti", 65_536)]
    {
        let plan = decide(&database(json!({"storage": written})), &Observed::default()).unwrap();
        assert!(
            matches!(&plan.steps[..], [Step::CreateDatabase(made)] if made.storage_gib == gib),
            "{written}: {plan}"
        );
    }
    let refusal = decide(&database(json!({"storage": "65Ti"})), &Observed::default()).unwrap_err();
    assert_eq!(refusal, Refusal::Storage("65Ti".to_owned()));
}

#[test]
fn what_is_as_asked_for_is_left_alone() {
    for wish in
        [database(json!({})), cache(json!({})), cache(json!({"replicas": 2, "highAvailability": true}))]
    {
        let plan = planned(&wish, met(&wish));
        assert!(plan.steps.is_empty(), "{plan}");
        assert!(matches!(plan.state, State::Ready(_)), "{:?}", plan.state);
    }
}

#[test]
fn what_aws_raised_by_itself_is_no_drift() {
    let wish = database(json!({"version": "15.4"}));
    let raised = Seen { storage_gib: 33, version: Some("15.12".to_owned()), ..met(&wish) };
    assert!(planned(&wish, raised).steps.is_empty());
}

#[test]
fn what_differs_is_changed_in_one_call() {
    let seen = met(&database(json!({})));
    let wish = database(json!({
        "class": "large", "version": "16", "storage": "50Gi", "highAvailability": true,
        "backup": {"retentionDays": 14}, "deletionProtection": true,
    }));
    let plan = planned(&wish, seen.clone());
    assert_eq!(
        lines(&plan),
        [
            "modify RDS instance ID now: class db.r6g.large, version 16, storage 50 GiB, storage limit 100 GiB, \
          standby on, backups kept 14 days, deletion protection on"
        ]
    );
    assert!(matches!(plan.state, State::Updating(..)));
    assert!(matches!(&plan.steps[..], [Step::ModifyDatabase { change, .. }] if change.major_upgrade));

    // A tenth more is the least that RDS takes.
    let full_terabyte = Seen { storage_gib: 1000, ..seen };
    let plan = planned(&database(json!({"storage": "1010Gi"})), full_terabyte);
    assert_eq!(lines(&plan), ["modify RDS instance ID now: storage 1100 GiB, storage limit 2200 GiB"]);
}

#[test]
fn production_changes_in_its_window_and_nobody_elses_pending_change_is_flushed() {
    let seen = met(&database(json!({})));
    let mut wish = database(json!({"class": "medium"}));
    let foreign = Pending { other: true, ..Pending::default() };
    let plan = planned(&wish, Seen { pending: foreign, ..seen.clone() });
    assert_eq!(lines(&plan), ["modify RDS instance ID in the maintenance window: class db.t3.small"]);

    wish.environment = Environment::Prod;
    let seen = Seen { tags: Some(names::tags(&wish)), ..seen };
    let plan = planned(&wish, seen.clone());
    assert!(plan.to_string().contains("in the maintenance window"), "{plan}");

    let accepted = Pending { class: Some("db.t3.small".to_owned()), ..Pending::default() };
    let plan = planned(&wish, Seen { pending: accepted, ..seen });
    assert!(plan.steps.is_empty(), "what AWS has accepted is not asked for again: {plan}");
    assert!(matches!(plan.state, State::Updating(_, why) if why.contains("window")));
}

#[test]
fn no_version_goes_down() {
    let seen = Seen { version: Some("16.3".to_owned()), ..met(&database(json!({}))) };
    let observed = Observed { seen: Some(seen), snapshot: None };
    let refusal = decide(&database(json!({})), &observed).unwrap_err();
    assert!(matches!(refusal, Refusal::Downgrade { .. }), "{refusal}");
}

#[test]
fn statuses_of_rds_say_what_to_wait_for() {
    let wish = database(json!({"class": "large"}));
    for (status, state) in [
        ("creating", "Creating"),
        ("rebooting", "Creating"),
        ("modifying", "Updating"),
        ("backing-up", "Updating"),
        ("storage-optimization", "Updating"),
        ("configuring-enhanced-monitoring", "Updating"),
        ("a-word-of-tomorrow", "Updating"),
        ("deleting", "Creating"),
        ("stopped", "Failed"),
        ("failed", "Failed"),
        ("incompatible-network", "Failed"),
        ("inaccessible-encryption-credentials", "Failed"),
        ("storage-full", "Failed"),
    ] {
        let plan = planned(&wish, Seen { status: status.to_owned(), ..met(&wish) });
        assert!(plan.steps.is_empty(), "{status}: {plan}");
        assert!(format!("{:?}", plan.state).starts_with(state), "{status}: {:?}", plan.state);
    }
    // Without an address nothing accepts connections, whatever the status says.
    let plan = planned(&wish, Seen { address: None, ..met(&wish) });
    assert!(matches!(plan.state, State::Creating(_)));
}

#[test]
fn full_storage_only_grows() {
    let seen = Seen { status: "storage-full".to_owned(), ..met(&database(json!({}))) };
    let wish = database(json!({"storage": "40Gi", "class": "large"}));
    assert_eq!(
        lines(&planned(&wish, seen)),
        ["modify RDS instance ID now: storage 40 GiB, storage limit 80 GiB"]
    );
}

#[test]
fn tags_of_others_stay_and_ours_return() {
    let wish = database(json!({}));
    let mut seen = met(&wish);
    seen.tags.as_mut().unwrap().insert("map-migrated".to_owned(), "x".to_owned());
    seen.tags.as_mut().unwrap().remove("mlplatform.dev/cost-center");
    let plan = planned(&wish, seen);
    assert!(matches!(&plan.steps[..], [Step::TagDatabase { tags, .. }] if tags.len() == 1), "{plan}");

    // With the team gone nobody is known to pay: what was said stays said.
    let orphan = Wish { payer: None, ..wish };
    assert!(planned(&orphan, met(&database(json!({})))).steps.is_empty());
}

#[test]
fn caches_change_one_thing_at_a_time_in_the_order_that_failover_needs() {
    let grown = cache(json!({"replicas": 2, "highAvailability": true}));
    let alone = cache(json!({}));
    let mut seen = met(&grown);
    assert_eq!(lines(&planned(&alone, seen.clone())), ["modify ElastiCache group ID now: failover off"]);
    seen.high_availability = false;
    assert_eq!(
        lines(&planned(&alone, seen.clone())),
        ["remove replicas from ElastiCache group ID, down to 0"]
    );
    seen.replicas = 0;
    assert!(planned(&alone, seen.clone()).steps.is_empty());

    let wish = cache(
        json!({"replicas": 2, "highAvailability": true, "class": "medium", "snapshotRetentionDays": 3}),
    );
    let first = planned(&wish, seen.clone());
    assert_eq!(
        lines(&first),
        ["modify ElastiCache group ID now: node type cache.t3.small, snapshots kept 3 days"]
    );
    (seen.class, seen.retention_days) = ("cache.t3.small".to_owned(), 3);
    assert_eq!(lines(&planned(&wish, seen.clone())), ["add replicas to ElastiCache group ID, up to 2"]);
    seen.replicas = 2;
    assert_eq!(lines(&planned(&wish, seen)), ["modify ElastiCache group ID now: failover on"]);
}

#[test]
fn a_version_that_elasticache_does_not_say_is_not_compared() {
    let wish = cache(json!({"version": "7.1"}));
    assert!(planned(&wish, Seen { version: None, ..met(&wish) }).steps.is_empty());
    let older = Seen { version: Some("7.0.7".to_owned()), ..met(&wish) };
    assert_eq!(lines(&planned(&wish, older)), ["modify ElastiCache group ID now: version 7.1"]);
}

#[test]
fn what_another_owns_is_never_written() {
    for wish in [database(json!({"class": "large"})), cache(json!({"class": "large"}))] {
        let mut seen = met(&wish);
        seen.tags.as_mut().unwrap().insert(names::OWNER_TAG.to_owned(), "somebody".to_owned());
        let observed = Observed { seen: Some(seen), snapshot: None };
        assert!(matches!(decide(&wish, &observed), Err(Refusal::OwnedByAnother { .. })));
        assert_eq!(remove(&wish, &observed), Plan::rest(State::Gone { kept: None }));
    }
}

#[test]
fn removal_goes_by_protection_policy_and_status() {
    let wish = database(json!({}));
    let rest = "rest";
    for (spec, status, aws_protects, expected) in [
        (json!({}), "available", false, "delete RDS instance ID, keeping a final snapshot"),
        (
            json!({"deletionPolicy": "Delete"}),
            "available",
            false,
            "delete RDS instance ID, keeping no snapshot",
        ),
        (json!({"deletionProtection": true}), "available", true, rest),
        (
            json!({}),
            "available",
            true,
            "modify RDS instance ID in the maintenance window: deletion protection off",
        ),
        (json!({}), "stopped", false, "delete RDS instance ID, keeping a final snapshot"),
        (json!({}), "storage-full", false, "delete RDS instance ID, keeping a final snapshot"),
        (json!({}), "incompatible-network", false, "delete RDS instance ID, keeping no snapshot"),
        (json!({}), "inaccessible-encryption-credentials", false, rest),
        (json!({}), "creating", false, rest),
        (json!({}), "modifying", false, rest),
        (json!({}), "deleting", false, rest),
    ] {
        let seen = Seen { status: status.to_owned(), deletion_protection: aws_protects, ..met(&wish) };
        let plan = remove(&database(spec.clone()), &Observed { seen: Some(seen), snapshot: None });
        let shown = lines(&plan).pop().unwrap_or_else(|| rest.to_owned());
        assert_eq!(shown, expected, "{spec} {status}");
    }
}

#[test]
fn protection_is_said_and_a_snapshot_is_named() {
    let wish = database(json!({"deletionProtection": true}));
    let plan = remove(&wish, &Observed { seen: Some(met(&wish)), snapshot: None });
    assert!(matches!(plan.state, State::Failed { reason: "DeletionProtected", .. }));

    let gone = Observed { seen: None, snapshot: Some("dev-x-final".to_owned()) };
    assert_eq!(remove(&wish, &gone).state, State::Gone { kept: Some("dev-x-final".to_owned()) });
}

#[test]
fn removal_asks_nothing_of_the_wish() {
    let mut wish = database(json!({"username": "admin", "databaseName": "db"}));
    wish.size.memory = Amount::new("none");
    let seen = met(&database(json!({})));
    assert_eq!(remove(&wish, &Observed { seen: Some(seen), snapshot: None }).steps.len(), 1);
}

#[test]
fn a_group_that_is_being_made_tells_no_tags_and_is_waited_for() {
    let wish = cache(json!({"class": "small"}));
    let seen = Seen { tags: None, status: "creating".to_owned(), address: None, ..met(&wish) };
    let plan = decide(&wish, &Observed { seen: Some(seen), snapshot: None }).unwrap();
    assert!(plan.steps.is_empty() && matches!(plan.state, State::Creating(_)), "{plan:?}");
}
