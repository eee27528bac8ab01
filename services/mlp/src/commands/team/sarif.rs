//! The compliance report as SARIF.

use mlp_proto::team::api::v1 as proto;
use serde_json::{Value, json};

use crate::commands::sarif;

/// One run with a rule for each check and a result for each missing piece.
pub(super) fn log(team: &str, answer: &proto::GetComplianceResponse) -> Value {
    let mut rules: Vec<Value> = Vec::new();
    for check in &answer.checks {
        if !rules.iter().any(|rule| rule["id"] == *check.id) {
            rules.push(json!({"id": check.id, "shortDescription": {"text": check.title}}));
        }
    }
    let missing = answer.checks.iter().filter(|check| !check.holds);
    let results = missing.map(|check| {
        let location = json!({"logicalLocations": [{"fullyQualifiedName": format!("teams/{team}/{}", check.namespace), "kind": "namespace"}]});
        json!({"ruleId": check.id, "level": "error", "message": {"text": check.detail}, "locations": [location]})
    });
    sarif::log("mlp team compliance", rules, results.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_a_result() {
        let check = |id: &str, holds| proto::ComplianceCheck {
            id: id.to_owned(),
            namespace: "ml-team".to_owned(),
            holds,
            ..proto::ComplianceCheck::default()
        };
        let answer = proto::GetComplianceResponse {
            percent: 66,
            checks: vec![check("A", true), check("B", false), check("B", true)],
        };
        let run = log("ml", &answer)["runs"][0].clone();
        assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), 2);
        assert_eq!(run["results"].as_array().unwrap().len(), 1);
        assert_eq!(
            run["results"][0]["locations"][0]["logicalLocations"][0]["fullyQualifiedName"],
            "teams/ml/ml-team"
        );
    }
}
