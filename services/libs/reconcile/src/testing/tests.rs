use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;

use super::*;

const PATH: &str = "/api/v1/namespaces/default/configmaps/a";

fn configs(api: &MockApi) -> Api<ConfigMap> {
    Api::default_namespaced(api.client())
}

#[tokio::test]
async fn calls_come_in_order_and_get_their_answers() {
    let api = MockApi::new();
    api.expect(Call::get(PATH).not_found());
    api.expect(Call::get(PATH).answers(json!({"metadata": {"name": "a"}, "data": {"k": "v"}})));
    api.expect(Call::get(PATH).breaks());
    let configs = configs(&api);
    assert!(configs.get_opt("a").await.unwrap().is_none());
    assert_eq!(configs.get("a").await.unwrap().data.unwrap()["k"], "v");
    assert!(matches!(configs.get("a").await, Err(kube::Error::Service(_))));
    api.verify().await;
}

#[tokio::test]
#[should_panic(expected = "unexpected call GET /api/v1/namespaces/default/configmaps/a")]
async fn an_extra_call_fails() {
    let api = MockApi::new();
    assert!(configs(&api).get("a").await.is_err());
    api.verify().await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "missing call DELETE")]
async fn a_missing_call_times_out() {
    let api = MockApi::new();
    api.expect(Call::delete(PATH));
    api.verify().await;
}

#[tokio::test]
#[should_panic(expected = "missing call DELETE")]
async fn a_forgotten_verify_is_made_up_for() {
    let api = MockApi::new();
    api.expect(Call::delete(PATH));
}

#[tokio::test]
#[should_panic(expected = "expected a body with")]
async fn a_wrong_body_fails() {
    let api = MockApi::new();
    api.expect(Call::post("/api/v1/namespaces/default/configmaps").sending(json!({"data": {"k": "other"}})));
    let mut config = ConfigMap::default();
    config.metadata.name = Some("a".into());
    assert!(configs(&api).create(&kube::api::PostParams::default(), &config).await.is_err());
    api.verify().await;
}
