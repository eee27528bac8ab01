//! From derived schemas to what the API server should see.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// Finishes a derived definition: no field is nullable (the API server drops a `null`, so that
/// `has()` in a rule means what it says), and formats are ones that Kubernetes knows.
pub fn finish(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            walk(schema);
        }
    }
    definition
}

fn walk(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.format = match schema.format.take().as_deref() {
        Some("uint8" | "uint16" | "uint32" | "uint64" | "uint") => Some("int64".to_owned()),
        Some(other) => Some(other.to_owned()),
        None => None,
    };
    for child in schema.properties.iter_mut().flat_map(|children| children.values_mut()) {
        walk(child);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = schema.items.as_mut() {
        walk(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = schema.additional_properties.as_mut() {
        walk(values);
    }
}
