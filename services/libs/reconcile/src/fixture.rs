//! A small kind with a status, for the tests of this crate.

use kube::CustomResource;
use mlp_model::Outbox;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) const WIDGETS: &str = "/apis/mlplatform.dev/v1alpha1/widgets";
pub(crate) const WIDGET: &str = "/apis/mlplatform.dev/v1alpha1/widgets/ml";
pub(crate) const WIDGET_STATUS: &str = "/apis/mlplatform.dev/v1alpha1/widgets/ml/status";

#[derive(CustomResource, Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[kube(group = "mlplatform.dev", version = "v1alpha1", kind = "Widget", status = "WidgetStatus")]
pub(crate) struct WidgetSpec {
    pub(crate) size: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WidgetStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observed_generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phase: Option<String>,
    #[serde(default)]
    pub(crate) outbox: Outbox,
}

/// A widget as the API server would show it.
pub(crate) fn widget(name: &str, version: &str, status: Value) -> Value {
    json!({
        "apiVersion": "mlplatform.dev/v1alpha1", "kind": "Widget",
        "metadata": {"name": name, "uid": format!("uid-{name}"), "generation": 1, "resourceVersion": version},
        "spec": {"size": 1}, "status": status,
    })
}

pub(crate) fn parsed(value: Value) -> Widget {
    serde_json::from_value(value).unwrap()
}
