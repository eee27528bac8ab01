//! One line of the audit log.

use serde::Deserialize;

use crate::domain::refusal::{self, Control, Refusal};

/// A request in a namespace that was refused, or that an audited rule found fault with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The namespace.
    pub namespace: String,
    /// Who asked; the impersonated user where there is one.
    pub user: String,
    /// What for: `create pods`.
    pub action: String,
    /// The object's name; empty where the request had none.
    pub name: String,
    /// When, RFC 3339.
    pub time: String,
    /// Whether it was admitted all the same, because the rule is only audited.
    pub admitted: bool,
    /// What refused it and why.
    pub refusal: Refusal,
    /// The API server's own words.
    pub said: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default)]
    stage: String,
    #[serde(default)]
    verb: String,
    user: User,
    impersonated_user: Option<User>,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
    #[serde(default)]
    stage_timestamp: String,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectRef {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    subresource: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    message: String,
}

/// What a line says was refused; nothing for any other line.
pub(super) fn refused(text: &str) -> Option<Refused> {
    let line: Line = serde_json::from_str(text).ok()?;
    let object = line.object_ref?;
    if line.stage != "ResponseComplete" || object.namespace.is_empty() {
        return None;
    }
    let status = line.response_status?;
    let findings = line.annotations.iter().find(|(key, _)| key.ends_with("/findings"));
    let (admitted, refusal) = match (status.code, findings) {
        (403, _) => (false, refusal::read(&status.message)?),
        (200..=299, Some((policy, rules))) => {
            let policy = policy.trim_end_matches("/findings");
            let message = format!("{policy}: {rules} would be refused in a stricter tier");
            (true, Refusal { control: Control::Policy, rule: rules.clone(), message })
        }
        _ => return None,
    };
    let resource = if object.subresource.is_empty() {
        object.resource
    } else {
        format!("{}/{}", object.resource, object.subresource)
    };
    Some(Refused {
        namespace: object.namespace,
        user: line.impersonated_user.unwrap_or(line.user).username,
        action: format!("{} {resource}", line.verb),
        name: object.name,
        time: line.stage_timestamp,
        admitted,
        refusal,
        said: status.message,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line(code: u16, message: &str, annotations: Value) -> String {
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete", "verb": "create",
            "user": {"username": "root"}, "impersonatedUser": {"username": "eve"},
            "objectRef": {"resource": "pods", "namespace": "ml-team", "name": "x", "apiVersion": "v1"},
            "responseStatus": {"code": code, "message": message}, "stageTimestamp": "2026-01-01T00:00:00.000000Z",
            "annotations": annotations,
        })
        .to_string()
    }

    #[test]
    fn a_refusal_and_an_audited_finding_are_read() {
        let message = "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'mlp-pods' with binding 'mlp-pods' denied request: image-tag: nginx can change";
        let found = refused(&line(403, message, json!({}))).unwrap();
        assert_eq!(
            (found.user.as_str(), found.action.as_str(), found.admitted),
            ("eve", "create pods", false)
        );
        assert_eq!(found.refusal.rule, "image-tag");
        let found = refused(&line(201, "", json!({"mlp-pods/findings": "image-tag,resources"}))).unwrap();
        assert!(found.admitted && found.refusal.rule == "image-tag,resources");
    }

    #[test]
    fn nothing_else_is() {
        assert_eq!(refused(&line(201, "", json!({}))), None);
        assert_eq!(refused(&line(404, "pods \"x\" not found", json!({}))), None);
        assert_eq!(refused("not json"), None);
    }
}
