use serde_json::Value;

use super::*;
use crate::fixture::{WIDGET, Widget, parsed, widget};
use crate::testing::{Call, MockApi};

const OURS: &str = "mlplatform.dev/team-isolation";

fn with(finalizers: &[&str]) -> Widget {
    let mut object = parsed(widget("ml", "5", Value::Null));
    object.metadata.finalizers = Some(finalizers.iter().map(|name| (*name).to_owned()).collect());
    object
}

#[tokio::test]
async fn adding_keeps_others_and_is_fenced() {
    let api = MockApi::new();
    let widgets: Api<Widget> = Api::all(api.client());
    let body = json!({"metadata": {"resourceVersion": "5", "finalizers": ["other", OURS]}});
    api.expect(Call::merge(WIDGET).sending(body).answers(widget("ml", "6", Value::Null)));
    let now = ensure(&widgets, "x", Arc::new(with(&["other"])), OURS).await.unwrap();
    assert_eq!(now.resource_version().as_deref(), Some("6"));
    api.verify().await;
}

#[tokio::test]
async fn what_is_there_or_going_away_is_not_written() {
    let api = MockApi::new();
    let widgets: Api<Widget> = Api::all(api.client());
    ensure(&widgets, "x", Arc::new(with(&[OURS])), OURS).await.unwrap();
    let mut deleting = widget("ml", "5", Value::Null);
    deleting["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    ensure(&widgets, "x", Arc::new(parsed(deleting)), OURS).await.unwrap();
    remove(&widgets, "x", &with(&["other"]), OURS).await.unwrap();
    api.verify().await;
}

#[tokio::test]
async fn removing_takes_only_ours_and_accepts_that_the_object_is_gone() {
    let api = MockApi::new();
    let widgets: Api<Widget> = Api::all(api.client());
    let body = json!({"metadata": {"resourceVersion": "5", "finalizers": ["other"]}});
    api.expect(Call::merge(WIDGET).sending(body).answers(widget("ml", "6", Value::Null)));
    remove(&widgets, "x", &with(&[OURS, "other"]), OURS).await.unwrap();
    api.expect(Call::merge(WIDGET).not_found());
    remove(&widgets, "x", &with(&[OURS]), OURS).await.unwrap();
    api.expect(Call::merge(WIDGET).conflict());
    assert!(remove(&widgets, "x", &with(&[OURS]), OURS).await.unwrap_err().is_conflict());
    api.verify().await;
}
