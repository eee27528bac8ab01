//! Whether a live object still says what we last said.

use serde_json::Value;

/// Whether `live` holds everything that `desired` states. What the API server or others added
/// beside it is not ours to judge, with two exceptions that would otherwise hide a change of
/// meaning: a list is compared whole, and an empty selector or list must be empty.
pub fn covers(live: &Value, desired: &Value) -> bool {
    match (desired, live) {
        (Value::Object(wanted), Value::Object(found)) if wanted.is_empty() => found.is_empty(),
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.iter().all(|(key, value)| match found.get(key) {
                Some(live_value) => covers(live_value, value),
                None => is_empty(value),
            })
        }
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len() && found.iter().zip(wanted).all(|(live, wanted)| covers(live, wanted))
        }
        (wanted, found) => wanted == found,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_add_is_no_drift() {
        let live = json!({"metadata": {"labels": {"a": "1", "b": "2"}, "uid": "u"}, "spec": {"hard": {"pods": "1"}}});
        assert!(covers(&live, &json!({"metadata": {"labels": {"a": "1"}}, "spec": {"hard": {"pods": "1"}}})));
    }

    #[test]
    fn a_changed_removed_or_added_statement_is_drift() {
        for (live, desired) in [
            (json!({"a": "2"}), json!({"a": "1"})),
            (json!({}), json!({"a": "1"})),
            (json!({"a": [1, 2]}), json!({"a": [1]})),
            (json!({"a": [2, 1]}), json!({"a": [1, 2]})),
            (json!({"podSelector": {"matchLabels": {"x": "y"}}}), json!({"podSelector": {}})),
        ] {
            assert!(!covers(&live, &desired), "{live} against {desired}");
        }
    }

    #[test]
    fn an_absent_empty_value_is_no_drift() {
        assert!(covers(&json!({}), &json!({"podSelector": {}, "rules": []})));
    }
}
