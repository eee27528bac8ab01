//! SARIF 2.1.0 (OASIS), which code hosts show beside a change.

use serde_json::{Value, json};

/// A log of one run of one tool: its rules, and a result for each thing that it found.
pub(crate) fn log(tool: &str, rules: Vec<Value>, results: Vec<Value>) -> Value {
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": tool, "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "results": results,
        }],
    })
}
