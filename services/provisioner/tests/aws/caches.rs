//! The life of a cache against moto. moto keeps a deleted group as `deleting` for ever, and its
//! groups have one member whatever is asked for: replicas are the double's matter.

use mlp_harness::Moto;
use mlp_provisioner::domain::aws::identifier;
use mlp_provisioner::domain::plan::State;
use mlp_provisioner::provider::Provider as _;
use serde_json::json;

use crate::wishes::{cache, database, password, provider, settle};

#[tokio::test]
async fn a_cache_lives_from_creation_to_deletion() {
    let moto = Moto::start().await.unwrap();
    let provider = provider(&moto.endpoint);
    let wish = cache("sessions", json!({}));
    let id = identifier(&wish);
    let create = provider.plan(&wish, &provider.observe(&wish).await.unwrap()).steps.remove(0);

    let (state, done) = settle(&provider, &wish, true).await;
    assert_eq!(done, [format!("create ElastiCache group {id} (cache.t3.micro, redis 7.1, 0 replicas)")]);
    let State::Ready(running) = state else { panic!("expected Ready, got {state:?}") };
    assert!(running.address.port == 6379 && running.address.tls, "{running:?}");
    let seen = provider.look(&wish).await.unwrap().seen.unwrap();
    assert_eq!(seen.tags.as_ref().unwrap().get("mlplatform.dev/team").map(String::as_str), Some("ml"));

    provider.call(&wish, &create, Some(&password())).await.expect("the same creation again");
    assert!(settle(&provider, &wish, true).await.1.is_empty(), "a steady look changes nothing");

    let larger = cache("sessions", json!({"class": "medium", "snapshotRetentionDays": 5}));
    let (state, done) = settle(&provider, &larger, true).await;
    assert!(matches!(state, State::Ready(_)), "{state:?}");
    assert_eq!(
        done,
        [format!("modify ElastiCache group {id} now: node type cache.t3.small, snapshots kept 5 days")]
    );

    let protected = cache("sessions", json!({"deletionProtection": true}));
    let (state, done) = settle(&provider, &protected, false).await;
    assert!(matches!(state, State::Failed { reason: "DeletionProtected", .. }), "{state:?}");
    assert!(done.is_empty(), "{done:?}");

    let (state, done) = settle(&provider, &larger, false).await;
    assert_eq!(done, [format!("delete ElastiCache group {id}, keeping a final snapshot")]);
    assert!(matches!(&state, State::Deleting(why) if why.contains("deleting")), "{state:?}");
}

#[tokio::test]
async fn a_group_of_somebody_else_is_left_alone() {
    let moto = Moto::start().await.unwrap();
    let provider = provider(&moto.endpoint);
    let theirs = cache("sessions", json!({}));
    let create = provider.plan(&theirs, &provider.observe(&theirs).await.unwrap()).steps.remove(0);
    provider.call(&theirs, &create, Some(&password())).await.unwrap();

    // The same identifier, asked for by the resource of another uid.
    let mut ours = theirs.clone();
    ours.uid = "another".to_owned();
    let lost_race = provider.call(&ours, &create, Some(&password())).await.unwrap_err();
    assert!(lost_race.to_string().contains("not ours"), "{lost_race}");
}

#[tokio::test]
async fn a_database_and_a_cache_of_one_name_do_not_meet() {
    let moto = Moto::start().await.unwrap();
    let provider = provider(&moto.endpoint);
    for wish in [database("both", json!({})), cache("both", json!({}))] {
        assert!(matches!(settle(&provider, &wish, true).await.0, State::Ready(_)));
    }
}
