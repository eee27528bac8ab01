//! Tables: what is accepted, what is refused, what AWS' words mean.

mod decisions;
mod property;

use mlp_crds::{Cache, Database};
use mlp_model::{Class, Classified as _, Environment, Secret};
use serde_json::{Value, json};

use super::code::{self, meaning};
use super::names;
use super::version::Version;
use super::{Refusal, check, quantity, size};
use crate::domain::model::{Kind, Payer, Wish};

const UID: &str = "3f0c2b1a-0000-4000-8000-000000000001";

/// A database as a team would write it; `changes` are keys of the spec.
fn database(changes: Value) -> Wish {
    let mut spec = json!({"databaseName": "features"});
    merge(&mut spec, changes);
    let metadata = json!({"name": "features", "namespace": "ml-team", "uid": UID, "generation": 1});
    let object = json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": "Database", "metadata": metadata, "spec": spec});
    Wish {
        payer: ml(),
        ..Wish::of_database(&serde_json::from_value::<Database>(object).unwrap(), Environment::Dev)
    }
}

/// A cache as a team would write it; `changes` are keys of the spec.
fn cache(changes: Value) -> Wish {
    let mut spec = json!({});
    merge(&mut spec, changes);
    let metadata = json!({"name": "sessions", "namespace": "app-team", "uid": UID, "generation": 1});
    let object =
        json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": "Cache", "metadata": metadata, "spec": spec});
    Wish {
        payer: ml(),
        ..Wish::of_cache(&serde_json::from_value::<Cache>(object).unwrap(), Environment::Dev)
    }
}

fn merge(spec: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else { return };
    spec.as_object_mut().unwrap().extend(changes);
}

fn ml() -> Option<Payer> {
    Some(Payer { team: "ml".to_owned(), cost_center: "ml-research".to_owned() })
}

/// RDS' rules for an identifier, which ElastiCache shares.
fn assert_is_identifier(id: &str, max: usize) {
    assert!((1..=max).contains(&id.len()), "{id}: {} characters", id.len());
    assert!(id.starts_with(|c: char| c.is_ascii_lowercase()), "{id}");
    assert!(id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{id}");
    assert!(!id.contains("--") && !id.ends_with('-'), "{id}");
}

#[test]
fn identifiers_fit_are_stable_and_differ_by_uid() {
    let mut wish = database(json!({}));
    let first = names::identifier(&wish);
    assert!(first.starts_with("dev-ml-team-features-"), "{first}");
    assert_eq!(first, names::identifier(&wish));
    wish.uid = "another".to_owned();
    assert_ne!(first, names::identifier(&wish));

    for name in ["a", "a--b", "features-", &"x".repeat(40), &"x-".repeat(20)] {
        for namespace in ["ml-team", &"n".repeat(63), "a--b---c"] {
            for (mut wish, max) in [(database(json!({})), 63), (cache(json!({})), 40)] {
                (wish.name, wish.namespace) = (name.to_owned(), namespace.to_owned());
                let id = names::identifier(&wish);
                assert_is_identifier(&id, max);
                // Snapshot names of RDS and ElastiCache hold 255 characters.
                assert_is_identifier(&names::final_snapshot(&id, 5), 255);
            }
        }
    }
}

#[test]
fn tags_say_whose_it_is() {
    let tags = names::tags(&database(json!({})));
    let shown: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        shown,
        [
            "app.kubernetes.io/managed-by=provisioner",
            "mlplatform.dev/cost-center=ml-research",
            "mlplatform.dev/environment=dev",
            "mlplatform.dev/name=features",
            "mlplatform.dev/namespace=ml-team",
            "mlplatform.dev/team=ml",
            &format!("mlplatform.dev/uid={UID}"),
        ]
    );
}

#[test]
fn sizes_become_instance_types() {
    for (size, database_class, node_type) in [
        (json!({}), "db.t3.micro", "cache.t3.micro"),
        (json!({"class": "small"}), "db.t3.micro", "cache.t3.micro"),
        (json!({"class": "medium"}), "db.t3.small", "cache.t3.small"),
        (json!({"class": "large"}), "db.r6g.large", "cache.r6g.large"),
        (json!({"resources": {"cpu": "500m", "memory": "512Mi"}}), "db.t3.micro", "cache.t3.micro"),
        (json!({"resources": {"cpu": "2", "memory": "3Gi"}}), "db.t3.medium", "cache.t3.medium"),
        (json!({"resources": {"cpu": "2100m", "memory": "1Gi"}}), "db.m6g.xlarge", "cache.r6g.xlarge"),
        (json!({"resources": {"cpu": "1", "memory": "200Gi"}}), "db.r6g.8xlarge", "cache.r6g.8xlarge"),
    ] {
        assert_eq!(size::database_class(&database(size.clone())).as_deref(), Some(database_class), "{size}");
        assert_eq!(size::cache_node_type(&cache(size.clone())).as_deref(), Some(node_type), "{size}");
    }
    let giant = json!({"resources": {"cpu": "1", "memory": "2Ti"}});
    assert_eq!(size::database_class(&database(giant.clone())), None);
    assert_eq!(size::cache_node_type(&cache(giant)), None);
}

#[test]
fn quantities_are_read_and_rounded_up() {
    for (text, thousandths) in [
        ("0", 0),
        ("4", 4_000),
        ("500m", 500),
        ("1.5", 1_500),
        ("0.0001", 1),
        ("1k", 1_000_000),
        ("1Ki", 1_024_000),
        ("1.5Gi", 1_610_612_736_000),
        ("2e3", 2_000_000),
        ("2E3", 2_000_000),
    ] {
        assert_eq!(quantity::thousandths(text), Some(thousandths), "{text}");
    }
    assert_eq!(quantity::whole("64Gi"), Some(68_719_476_736));
    assert_eq!(quantity::whole("1100m"), Some(2));
    for text in ["", "Gi", ".", "-1", "1 Gi", "1gi", "99E", "1.1234567890", "1e99"] {
        assert_eq!(quantity::thousandths(text), None, "{text}");
    }
}

#[test]
fn versions_are_compared_by_what_is_written() {
    for (runs, wanted, satisfied) in [
        ("15.8", "15", true),
        ("15.8", "15.8", true),
        ("15.10", "15.8", true),
        ("15.8", "15.10", false),
        ("15", "15.1", false),
        ("16.1", "15", false),
        ("14.9", "15", false),
        ("7.1.0", "7.1", true),
    ] {
        let (runs, wanted) = (Version::parse(runs).unwrap(), Version::parse(wanted).unwrap());
        assert_eq!(runs.satisfies(wanted), satisfied, "{runs:?} for {wanted:?}");
    }
}

#[test]
fn elasticache_is_asked_for_versions_that_it_has() {
    for (engine, version, asked) in [
        ("redis", "7", Some("7.1")),
        ("redis", "7.0", Some("7.0")),
        ("redis", "6", Some("6.2")),
        ("redis", "7.2", None),
        ("redis", "8", None),
        ("redis", "5", None),
        ("valkey", "7", Some("7.2")),
        ("valkey", "8", Some("8.0")),
        ("valkey", "8.1", Some("8.1")),
        ("valkey", "6", None),
    ] {
        let wish = cache(json!({"engine": engine, "version": version}));
        assert_eq!(check::cache(&wish).ok().as_deref(), asked, "{engine} {version}");
    }
    let refusal = check::cache(&cache(json!({"version": "7.2"}))).unwrap_err();
    assert!(refusal.to_string().contains("set spec.engine to valkey"), "{refusal}");
}

#[test]
fn names_that_rds_reserves_are_refused() {
    for name in ["app", "features_rw", "a", "selector"] {
        assert_eq!(
            check::database(&database(json!({"username": name, "databaseName": name}))),
            Ok(()),
            "{name}"
        );
    }
    for name in
        ["admin", "postgres", "rdsadmin", "rds_superuser", "user", "pg_monitor", "select", "1a", "a-b", ""]
    {
        let refusal = check::database(&database(json!({"username": name}))).unwrap_err();
        assert_eq!(refusal, Refusal::Username(name.to_owned()));
        assert!(refusal.to_string().starts_with("spec.username"), "{refusal}");
    }
    for name in ["db", "postgres", "table", "a b", ""] {
        let refusal = check::database(&database(json!({"databaseName": name}))).unwrap_err();
        assert_eq!(refusal, Refusal::DatabaseName(name.to_owned()));
    }
    assert!(check::database(&database(json!({"username": "a".repeat(64)}))).is_err());
}

#[test]
fn limits_of_aws_are_held() {
    let long = database(json!({"backup": {"retentionDays": 36}}));
    assert_eq!(check::database(&long), Err(Refusal::Retention(36)));
    let alone = cache(json!({"highAvailability": true, "replicas": 0}));
    assert_eq!(check::cache(&alone), Err(Refusal::NoReplica));
    assert_eq!(alone.replicas, 0);
    let many = cache(json!({"highAvailability": true, "replicas": 6}));
    assert_eq!(check::cache(&many), Err(Refusal::NoReplica));
}

#[test]
fn passwords_that_aws_does_not_take_are_refused_without_being_said() {
    let ok = "abcdefgh12345678";
    for (password, in_rds, in_elasticache) in [
        (ok.to_owned(), true, true),
        ("short".to_owned(), false, false),
        ("eightchr".to_owned(), true, false),
        (format!("{ok}/"), false, false),
        (format!("{ok}@"), false, false),
        (format!("{ok}\""), false, false),
        (format!("{ok} "), false, false),
        (format!("{ok}%"), true, false),
        (format!("{ok}é"), false, false),
        ("a".repeat(128), true, true),
        ("a".repeat(129), false, false),
    ] {
        for (kind, accepted) in [(Kind::Database, in_rds), (Kind::Cache, in_elasticache)] {
            let result = check::password(kind, &Secret::new(password.clone()));
            assert_eq!(result.is_ok(), accepted, "{kind:?} {password}");
            if let Err(refusal) = result {
                assert!(!format!("{refusal} {refusal:?}").contains(&password), "{refusal}");
            }
        }
    }
}

#[test]
fn error_codes_have_one_meaning() {
    let (transient, terminal) = (Class::Transient, Class::Terminal);
    for (code, status, class, reason) in [
        ("Throttling", 400, Some(transient), "AwsThrottled"),
        ("RequestLimitExceeded", 503, Some(transient), "AwsThrottled"),
        ("InternalFailure", 500, Some(transient), "AwsUnavailable"),
        ("SomethingNew", 503, Some(transient), "AwsUnavailable"),
        ("SomethingNew", 400, Some(terminal), "AwsRefused"),
        ("InvalidParameterValue", 400, Some(terminal), "AwsRefused"),
        ("InvalidParameterCombination", 400, Some(terminal), "AwsRefused"),
        ("StorageTypeNotSupported", 400, Some(terminal), "AwsRefused"),
        ("InvalidVPCNetworkStateFault", 400, Some(terminal), "AwsRefused"),
        ("InstanceQuotaExceeded", 400, Some(terminal), "AwsQuotaExceeded"),
        ("NodeQuotaForCustomerExceeded", 400, Some(terminal), "AwsQuotaExceeded"),
        ("LimitExceededException", 400, Some(terminal), "AwsQuotaExceeded"),
        ("AccessDenied", 403, Some(terminal), "AwsAccessDenied"),
        ("ExpiredToken", 403, Some(terminal), "AwsCredentialsRefused"),
        ("InvalidDBInstanceState", 400, None, "AwsBusy"),
        ("InvalidReplicationGroupState", 400, None, "AwsBusy"),
        ("InvalidCacheClusterState", 400, None, "AwsBusy"),
        ("InvalidDBSubnetGroupStateFault", 400, None, "AwsBusy"),
        ("InsufficientDBInstanceCapacity", 400, None, "AwsCapacity"),
    ] {
        let found = meaning(Some(code), Some(status), "words");
        assert_eq!(found.reason, reason, "{code}");
        match class {
            Some(class) => assert_eq!(found.class, class, "{code}"),
            None => assert!(matches!(found.class, Class::Waiting(_)), "{code}: {found:?}"),
        }
    }
    // No answer, and an answer of a proxy: nothing was said about the wish.
    assert_eq!(meaning(None, None, "connection reset").class, transient);
    assert_eq!(meaning(None, Some(500), "<html>").class, transient);
    let protected =
        meaning(Some("InvalidParameterCombination"), Some(400), "Cannot delete protected DB Instance");
    assert_eq!(protected.reason, "AwsDeletionProtected");
}

#[test]
fn success_in_disguise_is_known() {
    let no_change = Some("InvalidParameterCombination");
    assert!(code::is_already_so(no_change, "No modifications were requested"));
    assert!(!code::is_already_so(no_change, "The parameters do not fit"));
    let state = Some("InvalidDBInstanceState");
    assert!(code::is_already_leaving(state, "Instance x is already being deleted."));
    assert!(!code::is_already_leaving(state, "Instance x is not in available state."));
}

#[test]
fn refusals_are_terminal_and_have_a_reason() {
    let refusal = Refusal::OwnedByAnother { identifier: "dev-x".to_owned() };
    assert_eq!((refusal.class(), refusal.reason()), (Class::Terminal, "OwnedByAnother"));
}
