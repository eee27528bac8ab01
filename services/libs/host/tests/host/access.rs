//! Who may call what: tokens, access reviews, their caches, and an API server that fails.

use tonic::Code;
use tonic_types::StatusExt as _;

use crate::grpc::{call, client, served};

#[tokio::test]
async fn a_call_needs_a_token_that_the_api_server_accepts() {
    let (api, _host, address) = served(&[]).await;
    let status = call(&client(address, None).await, "Answer").await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(status.message().contains("authorization: Bearer TOKEN"), "{status:?}");
    assert_eq!(api.count("POST", "tokenreviews"), 0, "nothing to ask about");

    let status = call(&client(address, Some("bad")).await, "Answer").await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "Unauthenticated");

    let answer = call(&client(address, Some("good")).await, "WhoAmI").await.unwrap();
    assert_eq!(answer.metadata().get("x-identity").unwrap(), "ada ml,system:authenticated");
}

#[tokio::test]
async fn unknown_methods_tell_nothing_to_strangers() {
    let (_api, _host, address) = served(&[]).await;
    let status = call(&client(address, None).await, "NoSuch").await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn answers_about_tokens_are_remembered_for_a_while() {
    let (api, _host, address) = served(&[]).await;
    for token in ["good", "bad"] {
        let channel = client(address, Some(token)).await;
        for _ in 0..5 {
            assert_eq!(call(&channel, "Answer").await.is_ok(), token == "good");
        }
    }
    assert_eq!(api.count("POST", "tokenreviews"), 2);
}

#[tokio::test]
async fn an_api_server_that_fails_is_unavailable_and_nothing_is_remembered() {
    let (api, _host, address) = served(&[]).await;
    let channel = client(address, Some("good")).await;
    api.state().broken = Some(500);
    let status = call(&channel, "Answer").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_error_details().retry_info().is_some(), "{status:?}");
    api.state().broken = None;
    assert!(call(&channel, "Answer").await.is_ok());
}

#[tokio::test]
async fn access_is_what_the_api_server_says() {
    let (api, _host, address) = served(&[]).await;
    let channel = client(address, Some("good")).await;
    let status = call(&channel, "Guarded").await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let expected = "ada may not get teams.mlplatform.dev ml-team/ml; ask for a RoleBinding";
    assert_eq!(status.message(), expected);
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "Forbidden");

    let (api2, _host, address) = served(&[]).await;
    api2.state().allowed.insert("ada get mlplatform.dev/teams ml-team/ml".to_owned());
    let channel = client(address, Some("good")).await;
    for _ in 0..5 {
        assert!(call(&channel, "Guarded").await.is_ok());
    }
    assert_eq!(api2.count("POST", "subjectaccessreviews"), 1, "remembered");
    assert_eq!(api.count("POST", "subjectaccessreviews"), 1);
}
