//! The life of a database against moto.

use mlp_harness::Moto;
use mlp_model::Classified as _;
use mlp_provisioner::domain::aws::{identifier, names};
use mlp_provisioner::domain::plan::State;
use mlp_provisioner::provider::Provider as _;
use mlp_provisioner::provider::aws::AwsProvider;
use serde_json::json;

use crate::wishes::{database, password, place, provider, settle};

/// A client beside the provider: what others see and do.
async fn others(endpoint: &str) -> aws_sdk_rds::Client {
    aws_sdk_rds::Client::new(&mlp_aws::load(&place(endpoint).source).await.unwrap())
}

async fn create_step(
    provider: &AwsProvider,
    wish: &mlp_provisioner::domain::model::Wish,
) -> mlp_provisioner::domain::aws::Step {
    let plan = provider.plan(wish, &provider.observe(wish).await.unwrap());
    plan.steps.into_iter().next().expect("nothing exists yet, so the plan creates")
}

#[tokio::test]
async fn a_database_lives_from_creation_to_its_final_snapshot() {
    let moto = Moto::start().await.unwrap();
    let (provider, others) = (provider(&moto.endpoint), others(&moto.endpoint).await);
    let wish = database("features", json!({"deletionProtection": true}));
    let id = identifier(&wish);
    let create = create_step(&provider, &wish).await;

    let (state, done) = settle(&provider, &wish, true).await;
    assert_eq!(done, [format!("create RDS instance {id} (db.t3.micro, postgres 15, 20 GiB)")]);
    let State::Ready(running) = state else { panic!("expected Ready, got {state:?}") };
    assert!(
        running.address.host.starts_with(&id) && running.address.port == 5432 && running.address.tls,
        "{running:?}"
    );

    let instances = others.describe_db_instances().send().await.unwrap();
    let made = &instances.db_instances()[0];
    assert_eq!(made.db_name(), Some("features"));
    assert_eq!(made.master_username(), Some("app"));
    assert_eq!(made.storage_encrypted(), Some(true));
    assert_eq!(made.publicly_accessible(), Some(false));
    assert_eq!(made.backup_retention_period(), Some(7));
    let seen = provider.look(&wish).await.unwrap().seen.unwrap();
    assert_eq!(seen.tags.as_ref().unwrap().get("mlplatform.dev/team").map(String::as_str), Some("ml"));
    assert_eq!(seen.tags.as_ref().unwrap().get("mlplatform.dev/cost-center").map(String::as_str), Some("ml"));

    // A crash after the call and before the record: the same call again.
    provider.call(&wish, &create, Some(&password())).await.unwrap();
    assert_eq!(others.describe_db_instances().send().await.unwrap().db_instances().len(), 1);
    let (_, done) = settle(&provider, &wish, true).await;
    assert!(done.is_empty(), "a steady look changes nothing: {done:?}");

    let larger =
        database("features", json!({"deletionProtection": true, "class": "medium", "storage": "40Gi"}));
    let (state, done) = settle(&provider, &larger, true).await;
    assert!(matches!(state, State::Ready(_)), "{state:?}");
    assert_eq!(
        done,
        [format!("modify RDS instance {id} now: class db.t3.small, storage 40 GiB, storage limit 80 GiB")]
    );
    let seen = provider.look(&wish).await.unwrap().seen.unwrap();
    assert_eq!((seen.class.as_str(), seen.storage_gib, seen.max_storage_gib), ("db.t3.small", 40, 80));

    deletion(&provider, &others, &id).await;
}

async fn deletion(provider: &AwsProvider, others: &aws_sdk_rds::Client, id: &str) {
    let protected =
        database("features", json!({"deletionProtection": true, "class": "medium", "storage": "40Gi"}));
    let (state, done) = settle(provider, &protected, false).await;
    assert!(matches!(state, State::Failed { reason: "DeletionProtected", .. }), "{state:?}");
    assert!(done.is_empty(), "{done:?}");
    // AWS holds the protection as well: nobody deletes past us.
    let delete = mlp_provisioner::domain::aws::Step::DeleteDatabase { id: id.to_owned(), keep: true };
    let refused = provider.call(&protected, &delete, None).await.unwrap_err();
    assert_eq!(refused.reason(), "AwsDeletionProtected", "{refused}");
    assert_eq!(others.describe_db_instances().send().await.unwrap().db_instances().len(), 1);

    let free = database("features", json!({}));
    let (state, done) = settle(provider, &free, false).await;
    assert_eq!(
        done,
        [
            format!("modify RDS instance {id} in the maintenance window: deletion protection off"),
            format!("delete RDS instance {id}, keeping a final snapshot"),
        ]
    );
    assert_eq!(state, State::Gone { kept: Some(names::final_snapshot(id, 1)) });
    provider.call(&free, &delete, None).await.expect("what is gone is deleted");
}

#[tokio::test]
async fn data_that_is_not_to_be_kept_is_not() {
    let moto = Moto::start().await.unwrap();
    let provider = provider(&moto.endpoint);
    let wish = database("scratch", json!({"deletionPolicy": "Delete"}));
    settle(&provider, &wish, true).await;
    let (state, _) = settle(&provider, &wish, false).await;
    assert_eq!(state, State::Gone { kept: None });
}

#[tokio::test]
async fn an_instance_of_somebody_else_is_left_alone() {
    let moto = Moto::start().await.unwrap();
    let (provider, others) = (provider(&moto.endpoint), others(&moto.endpoint).await);
    let wish = database("features", json!({"class": "large"}));
    let create = create_step(&provider, &wish).await;
    let theirs = others
        .create_db_instance()
        .db_instance_identifier(identifier(&wish))
        .db_instance_class("db.t3.micro")
        .engine("postgres")
        .master_username("theirs")
        .master_user_password("theirsTheirs")
        .allocated_storage(20);
    theirs.send().await.unwrap();

    let (state, done) = settle(&provider, &wish, true).await;
    assert!(
        matches!(&state, State::Failed { reason: "OwnedByAnother", message } if message.contains("not ours")),
        "{state:?}"
    );
    assert!(done.is_empty(), "{done:?}");
    let lost_race = provider.call(&wish, &create, Some(&password())).await.unwrap_err();
    assert_eq!(lost_race.reason(), "OwnedByAnother");

    let (state, done) = settle(&provider, &wish, false).await;
    assert_eq!((state, done.len()), (State::Gone { kept: None }, 0));
    let left = others.describe_db_instances().send().await.unwrap();
    assert_eq!(left.db_instances()[0].master_username(), Some("theirs"));
}
