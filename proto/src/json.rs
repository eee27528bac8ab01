//! Specs travel as `google.protobuf.Struct`; this turns them into JSON and back.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as ProtoValue};
use serde_json::{Map, Number, Value};

/// The largest whole number that a double holds exactly.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// JSON of a struct. Whole numbers come back as integers, because Kubernetes' schemas tell them
/// from floating-point ones and protobuf's `Value` does not.
pub fn from_struct(fields: &Struct) -> Value {
    Value::Object(fields.fields.iter().map(|(name, value)| (name.clone(), from_value(value))).collect())
}

fn from_value(value: &ProtoValue) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => from_number(*number),
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::BoolValue(bool)) => Value::Bool(*bool),
        Some(Kind::StructValue(fields)) => from_struct(fields),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(from_value).collect()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole and within ±2⁵³")]
fn from_number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() <= MAX_EXACT {
        return Value::Number(Number::from(number as i64));
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// The struct of a JSON object; anything but an object gives an empty struct.
pub fn to_struct(value: &Value) -> Struct {
    let empty = Map::new();
    let fields = value.as_object().unwrap_or(&empty);
    Struct { fields: fields.iter().map(|(name, value)| (name.clone(), to_value(value))).collect() }
}

fn to_value(value: &Value) -> ProtoValue {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(bool) => Kind::BoolValue(*bool),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(to_value).collect() }),
        Value::Object(_) => Kind::StructValue(to_struct(value)),
    };
    ProtoValue { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn specs_survive_the_way_there_and_back() {
        let spec =
            json!({ "quota": { "requests": { "cpu": 20, "memory": "64Gi" } }, "a": [true, null, 1.5, -3] });
        assert_eq!(from_struct(&to_struct(&spec)), spec);
    }
}
