//! Differences that do not count: `spec.ignoreDifferences` with JSON pointers (RFC 6901).

use mlp_crds::argocd::IgnoreDifference;
use serde_json::Value;

use super::glob::Glob;
use super::identity::ObjectId;
use super::request::Refusal;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoreRule {
    group: Glob,
    kind: Glob,
    name: Option<String>,
    namespace: Option<String>,
    pointers: Vec<String>,
}

/// Reads the rules.
///
/// # Errors
/// jq paths and field managers are refused by name, as are broken globs and pointers.
pub fn read(rules: &[IgnoreDifference]) -> Result<Vec<IgnoreRule>, Vec<Refusal>> {
    let (mut read, mut refusals) = (Vec::new(), Vec::new());
    for (index, rule) in rules.iter().enumerate() {
        match read_one(rule) {
            Ok(rule) => read.push(rule),
            Err((field, message)) => {
                refusals.push(Refusal { field: format!("spec.ignoreDifferences[{index}].{field}"), message });
            }
        }
    }
    if refusals.is_empty() { Ok(read) } else { Err(refusals) }
}

fn read_one(rule: &IgnoreDifference) -> Result<IgnoreRule, (&'static str, String)> {
    let unsupported = || "is not supported; write jsonPointers".to_owned();
    if !rule.jq_path_expressions.is_empty() {
        return Err(("jqPathExpressions", unsupported()));
    }
    if !rule.managed_fields_managers.is_empty() {
        return Err(("managedFieldsManagers", unsupported()));
    }
    if let Some(bad) = rule.json_pointers.iter().find(|pointer| !pointer.starts_with('/')) {
        return Err(("jsonPointers", format!("`{bad}` is no JSON pointer; start it with `/`")));
    }
    let glob =
        |field, pattern: &str| Glob::new(pattern).map_err(|error| (field, format!("is no glob: {error}")));
    Ok(IgnoreRule {
        group: glob("group", &rule.group)?,
        kind: glob("kind", &rule.kind)?,
        name: rule.name.clone().filter(|text| !text.is_empty()),
        namespace: rule.namespace.clone().filter(|text| !text.is_empty()),
        pointers: rule.json_pointers.clone(),
    })
}

/// Removes from `object` what the rules for `id` ignore.
pub fn strip(rules: &[IgnoreRule], id: &ObjectId, object: &mut Value) {
    for rule in rules.iter().filter(|rule| rule.applies(id)) {
        rule.pointers.iter().for_each(|pointer| remove(object, pointer));
    }
}

impl IgnoreRule {
    fn applies(&self, id: &ObjectId) -> bool {
        self.group.matches(&id.group)
            && self.kind.matches(&id.kind)
            && self.name.as_ref().is_none_or(|name| *name == id.name)
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == id.namespace)
    }
}

fn remove(object: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    let key = last.replace("~1", "/").replace("~0", "~");
    match object.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            fields.remove(&key);
        }
        Some(Value::Array(items)) => {
            if let Some(index) = key.parse().ok().filter(|index: &usize| *index < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule() -> IgnoreDifference {
        IgnoreDifference { group: "apps".into(), kind: "Deploy*".into(), ..IgnoreDifference::default() }
    }

    #[test]
    fn pointers_are_removed_where_the_rule_applies() {
        let mut rule = rule();
        rule.json_pointers =
            vec!["/spec/replicas".into(), "/metadata/annotations/a~1b".into(), "/gone/x".into()];
        let rules = read(&[rule]).unwrap();
        let object = json!({"spec": {"replicas": 3, "x": 1}, "metadata": {"annotations": {"a/b": "c"}}});
        let deployment = ObjectId { group: "apps".into(), kind: "Deployment".into(), ..ObjectId::default() };
        let mut stripped = object.clone();
        strip(&rules, &deployment, &mut stripped);
        assert_eq!(stripped, json!({"spec": {"x": 1}, "metadata": {"annotations": {}}}));
        let mut other = object.clone();
        strip(&rules, &ObjectId { kind: "Service".into(), ..ObjectId::default() }, &mut other);
        assert_eq!(other, object);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let mut jq = rule();
        jq.jq_path_expressions = vec![".spec".into()];
        let refusals = read(&[rule(), jq]).unwrap_err();
        assert_eq!(refusals[0].field, "spec.ignoreDifferences[1].jqPathExpressions");
        let mut pointer = rule();
        pointer.json_pointers = vec!["spec".into()];
        assert_eq!(read(&[pointer]).unwrap_err()[0].field, "spec.ignoreDifferences[0].jsonPointers");
    }
}
