//! How much one evaluation of a set may take: who writes a set decides how often a text of his is copied and how long his
//! patterns are.

use std::cell::Cell;

use serde_json::Value;

use super::Halt;
use super::parameters::Parameters;

/// Bytes of all values that are made.
const BYTES: usize = 64 * 1024 * 1024;
/// Steps of matching: a character against a part of a pattern, or the like.
const STEPS: usize = 500_000_000;
/// What a value takes beside its text.
const NODE: usize = 32;

/// What is left.
#[derive(Debug)]
pub struct Budget {
    bytes: Cell<usize>,
    steps: Cell<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: Cell::new(BYTES), steps: Cell::new(STEPS) }
    }
}

impl Budget {
    /// Counts a value that is made.
    ///
    /// # Errors
    /// It is too much.
    pub fn hold(&self, value: &Value) -> Result<(), Halt> {
        self.take(size(value))
    }

    /// Counts a set of parameters that is made.
    ///
    /// # Errors
    /// It is too much.
    pub fn hold_all(&self, parameters: &Parameters) -> Result<(), Halt> {
        self.take(fields(parameters))
    }

    fn take(&self, bytes: usize) -> Result<(), Halt> {
        let left = self.bytes.get().checked_sub(bytes);
        let message = "spec: its templates and parameters come to more than 64 MiB together; split the set";
        self.bytes.set(left.ok_or_else(|| Halt::Refused(message.to_owned()))?);
        Ok(())
    }

    /// Counts steps of matching.
    ///
    /// # Errors
    /// It is too much.
    pub fn work(&self, steps: usize) -> Result<(), Halt> {
        let left = self.steps.get().checked_sub(steps);
        let message =
            "spec.generators: their patterns and selectors take too long; use fewer and shorter ones";
        self.steps.set(left.ok_or_else(|| Halt::Refused(message.to_owned()))?);
        Ok(())
    }
}

/// What a value takes, in bytes.
pub(super) fn size(value: &Value) -> usize {
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(all) => fields(all),
        _ => 0,
    }
}

fn fields(all: &Parameters) -> usize {
    all.iter().map(|(key, value)| NODE + key.len() + size(value)).sum()
}
