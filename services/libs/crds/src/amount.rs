//! A Kubernetes quantity that is never negative.

use std::fmt;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// An amount of a resource as Kubernetes writes it (`500m`, `64Gi`, `4`); a bare number is accepted.
///
/// The API server refuses malformed and negative ones. Comparison is of the text, not of the value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Amount(String);

/// Longer than any canonical quantity; bounds the cost of the rule on it.
const MAX_LENGTH: u32 = 32;

impl Amount {
    /// Takes the amount as written; nothing is checked here, the API server does.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The amount as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<Amount> for Quantity {
    fn from(amount: Amount) -> Self {
        Self(amount.0)
    }
}

impl From<&Amount> for Quantity {
    fn from(amount: &Amount) -> Self {
        Self(amount.0.clone())
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Integer(i64),
            Text(String),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Integer(number) => number.to_string(),
            Written::Text(text) => text,
        }))
    }
}

impl JsonSchema for Amount {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        let rule =
            Rule::new("isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('0')) >= 0")
                .message("must be a quantity that is not negative, for example 500m, 64Gi or 4");
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": MAX_LENGTH,
            "x-kubernetes-validations": [rule],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_text_are_read_and_text_is_written() {
        let amounts: Vec<Amount> = serde_json::from_str(r#"[4, "64Gi", "500m"]"#).unwrap();
        assert_eq!(serde_json::to_string(&amounts).unwrap(), r#"["4","64Gi","500m"]"#);
        assert!(serde_json::from_str::<Amount>("1.5").is_err());
    }
}
