//! `selector`: which sets of parameters, or clusters, count. Kubernetes' label selector, for texts of any form.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Selector {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Reads it; none and an empty selector select all.
    ///
    /// # Errors
    /// A selector that is not Kubernetes'.
    pub fn read(selector: Option<&Value>) -> Result<Self, String> {
        let Some(value) = selector.filter(|value| !value.is_null()) else { return Ok(Self::default()) };
        let read: Result<Self, _> = serde_json::from_value(value.clone());
        let read = read.map_err(|error| format!("is no label selector: {error}"))?;
        for requirement in &read.match_expressions {
            let takes_values = matches!(requirement.operator, Operator::In | Operator::NotIn);
            if takes_values == requirement.values.is_empty() {
                let wants = if takes_values { "needs" } else { "takes no" };
                let word = word(requirement.operator);
                return Err(format!("{word} of `{}` {wants} values", requirement.key));
            }
        }
        Ok(read)
    }

    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// What selecting takes, in steps.
    pub fn cost(&self) -> usize {
        let values = self.match_expressions.iter().map(|requirement| requirement.values.len() + 1);
        self.match_labels.len() + values.sum::<usize>()
    }

    /// Whether texts by name are selected.
    pub fn selects(&self, of: impl Fn(&str) -> Option<String>) -> bool {
        let equal = self.match_labels.iter().all(|(key, value)| of(key).as_ref() == Some(value));
        equal
            && self.match_expressions.iter().all(|requirement| {
                let value = of(&requirement.key);
                let among = value.as_ref().is_some_and(|value| requirement.values.contains(value));
                match requirement.operator {
                    Operator::In => among,
                    Operator::NotIn => !among,
                    Operator::Exists => value.is_some(),
                    Operator::DoesNotExist => value.is_none(),
                }
            })
    }
}

const fn word(operator: Operator) -> &'static str {
    match operator {
        Operator::In => "In",
        Operator::NotIn => "NotIn",
        Operator::Exists => "Exists",
        Operator::DoesNotExist => "DoesNotExist",
    }
}
