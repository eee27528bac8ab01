//! Templates without Go: `{{ name }}` is replaced by the text of that name, and stays where there is none.

use serde_json::Value;

use super::parameters::Parameters;

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// Whether any text of it is a template.
pub fn is_template(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(OPEN),
        Value::Array(items) => items.iter().any(is_template),
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains(OPEN) || is_template(value)),
        _ => false,
    }
}

/// The value with every text of it filled, keys too.
pub fn fill(value: &Value, parameters: &Parameters) -> Value {
    match value {
        Value::String(text) => Value::String(filled(text, parameters)),
        Value::Array(items) => items.iter().map(|item| fill(item, parameters)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (filled(key, parameters), fill(value, parameters))).collect()
        }
        other => other.clone(),
    }
}

fn filled(text: &str, parameters: &Parameters) -> String {
    let (mut done, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((tag, after)) = after.split_once(CLOSE) else { break };
        done.push_str(before);
        match parameters.get(tag.trim()) {
            Some(Value::String(value)) => done.push_str(value),
            _ => {
                done.push_str(OPEN);
                done.push_str(tag);
                done.push_str(CLOSE);
            }
        }
        rest = after;
    }
    done.push_str(rest);
    done
}
