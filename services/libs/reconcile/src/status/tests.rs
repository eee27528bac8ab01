use mlp_model::{Class, Classified};

use super::*;
use crate::fixture::{WIDGET, WIDGET_STATUS, Widget, WidgetStatus, parsed, widget};
use crate::testing::{Call, MockApi};

#[test]
fn a_merge_patch_says_only_what_changes() {
    let from = json!({"phase": "Ready", "conditions": [1], "gone": {"a": 1}, "same": {"x": 1}});
    let to = json!({"phase": "Failed", "conditions": [1], "same": {"x": 1, "y": null}});
    assert_eq!(merge_patch(&from, &to), Some(json!({"phase": "Failed", "gone": null})));
    assert_eq!(merge_patch(&to, &to), None);
    assert_eq!(merge_patch(&Value::Null, &json!({"a": 1})), Some(json!({"a": 1})));
}

fn ready() -> WidgetStatus {
    WidgetStatus { phase: Some("Ready".into()), ..WidgetStatus::default() }
}

#[tokio::test]
async fn an_equal_status_is_not_written() {
    let api = MockApi::new();
    let widgets: Api<Widget> = Api::all(api.client());
    let object = Arc::new(parsed(widget("ml", "5", json!({"phase": "Ready"}))));
    let same = write(&widgets, "team-isolation", Arc::clone(&object), &ready()).await.unwrap();
    assert!(Arc::ptr_eq(&same, &object));
    api.verify().await;
}

#[tokio::test]
async fn a_changed_status_is_written_over_the_version_it_was_computed_from() {
    let api = MockApi::new();
    let widgets: Api<Widget> = Api::all(api.client());
    let object = Arc::new(parsed(widget("ml", "5", json!({"observedGeneration": 1}))));
    let body = json!({
        "metadata": {"resourceVersion": "5"},
        "status": {"phase": "Ready", "observedGeneration": null},
    });
    let after = widget("ml", "6", json!({"phase": "Ready"}));
    let call = Call::merge(WIDGET_STATUS).query("fieldManager", "team-isolation").sending(body);
    api.expect(call.answers(after));
    let written = write(&widgets, "team-isolation", object, &ready()).await.unwrap();
    assert_eq!(written.resource_version().as_deref(), Some("6"));
    api.verify().await;
}

#[tokio::test]
async fn a_status_computed_from_an_old_object_is_transient() {
    let api = MockApi::new();
    let widgets: Api<Widget> = Api::all(api.client());
    let object = Arc::new(parsed(widget("ml", "5", Value::Null)));
    api.expect(Call::merge(WIDGET).conflict());
    let result = write_at(Place::Object, &widgets, "x", object, &ready()).await;
    let error = result.err().unwrap();
    assert_eq!((error.class(), error.reason()), (Class::Transient, "Conflict"));
    api.verify().await;
}
