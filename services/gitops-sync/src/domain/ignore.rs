//! Differences that do not count: `spec.ignoreDifferences` by JSON pointers (RFC 6901), jq paths and field
//! managers.

use std::collections::BTreeSet;

use mlp_crds::argocd::IgnoreDifference;
use serde_json::{Map, Value};

use super::glob::Glob;
use super::identity::{ObjectId, TRACKING_ID};
use super::jq::{Expression, Step};
use super::managed_fields;
use super::request::Refusal;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoreRule {
    group: Glob,
    kind: Glob,
    name: Option<String>,
    namespace: Option<String>,
    pointers: Vec<String>,
    expressions: Vec<Expression>,
    managers: Vec<String>,
}

/// Reads the rules.
///
/// # Errors
/// Broken globs, pointers and jq expressions, by name.
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

fn read_one(rule: &IgnoreDifference) -> Result<IgnoreRule, (String, String)> {
    if let Some(bad) = rule.json_pointers.iter().find(|pointer| !pointer.starts_with('/')) {
        return Err((
            "jsonPointers".to_owned(),
            format!("has `{bad}`, which is no JSON pointer; start it with `/`"),
        ));
    }
    let glob = |field: &str, pattern: &str| {
        Glob::new(pattern).map_err(|error| (field.to_owned(), format!("is no glob: {error}")))
    };
    let expressions = rule.jq_path_expressions.iter().enumerate().map(|(place, text)| {
        Expression::read(text).map_err(|message| (format!("jqPathExpressions[{place}]"), message))
    });
    Ok(IgnoreRule {
        group: glob("group", &rule.group)?,
        kind: glob("kind", &rule.kind)?,
        name: rule.name.clone().filter(|text| !text.is_empty()),
        namespace: rule.namespace.clone().filter(|text| !text.is_empty()),
        pointers: rule.json_pointers.clone(),
        expressions: expressions.collect::<Result<_, _>>()?,
        managers: rule.managed_fields_managers.clone(),
    })
}

/// Whether any rule asks who owns a field.
pub fn asks_for_managers(rules: &[IgnoreRule]) -> bool {
    rules.iter().any(|rule| !rule.managers.is_empty())
}

/// The managers whose fields of an object do not count.
pub fn managers<'a>(rules: &'a [IgnoreRule], id: &ObjectId) -> Vec<&'a String> {
    rules.iter().filter(|rule| rule.applies(id)).flat_map(|rule| &rule.managers).collect()
}

/// Removes from `object` what the rules for `id` ignore. `managed` are the `managedFields` of the live object.
pub fn strip(rules: &[IgnoreRule], id: &ObjectId, managed: &Value, object: &mut Value) {
    // From the last item of a list to the first: what is removed moves nothing that is still to be.
    for path in named(rules, id, managed, object).iter().rev() {
        remove(object, path);
    }
}

/// What git wants, with the live value wherever the rules for `id` ignore a field (`RespectIgnoreDifferences`).
pub fn respect(rules: &[IgnoreRule], id: &ObjectId, live: &Value, wanted: &Value) -> Value {
    let managed = managed_fields::of(live);
    let mut paths = named(rules, id, managed, wanted);
    paths.extend(named(rules, id, managed, live));
    let mut respected = wanted.clone();
    for path in paths.iter().filter(|path| may_stay(path)).rev() {
        match value_at(live, path) {
            Some(value) => put(&mut respected, live, path, value.clone()),
            None => remove(&mut respected, path),
        }
    }
    respected
}

/// Whether a sync may leave a field as it is: not a status, which nobody applies, nor what names the object and
/// says whose it is.
fn may_stay(path: &[Step]) -> bool {
    let key = |place: usize| match path.get(place) {
        Some(Step::Key(key)) => Some(key.as_str()),
        Some(Step::Index(_)) | None => None,
    };
    match key(0) {
        None | Some("apiVersion" | "kind" | "status") => false,
        Some("metadata") => {
            matches!(key(1), Some("annotations" | "labels")) && key(2).is_some_and(|key| key != TRACKING_ID)
        }
        Some(_) => true,
    }
}

fn named(rules: &[IgnoreRule], id: &ObjectId, managed: &Value, object: &Value) -> BTreeSet<Vec<Step>> {
    let mut paths = BTreeSet::new();
    for rule in rules.iter().filter(|rule| rule.applies(id)) {
        paths.extend(rule.pointers.iter().filter_map(|pointer| pointed(object, pointer)));
        paths.extend(rule.expressions.iter().flat_map(|expression| expression.paths(object)));
        paths.extend(managed_fields::owned(managed, &rule.managers, object));
    }
    paths
}

impl IgnoreRule {
    fn applies(&self, id: &ObjectId) -> bool {
        self.group.matches(&id.group)
            && self.kind.matches(&id.kind)
            && self.name.as_ref().is_none_or(|name| *name == id.name)
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == id.namespace)
    }
}

/// The steps of a pointer in an object: whether a number is a key or a place depends on what it is in.
fn pointed(object: &Value, pointer: &str) -> Option<Vec<Step>> {
    let (mut at, mut path) = (Some(object), Vec::new());
    for part in pointer.split('/').skip(1) {
        let key = part.replace("~1", "/").replace("~0", "~");
        let step = match at {
            Some(Value::Array(_)) => Step::Index(key.parse().ok()?),
            _ => Step::Key(key),
        };
        at = at.and_then(|value| inside(value, &step));
        path.push(step);
    }
    Some(path)
}

fn inside<'a>(value: &'a Value, step: &Step) -> Option<&'a Value> {
    match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(*index),
    }
}

fn inside_mut<'a>(value: &'a mut Value, step: &Step) -> Option<&'a mut Value> {
    match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(*index),
    }
}

fn value_at<'a>(object: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(object, inside)
}

fn remove(object: &mut Value, path: &[Step]) {
    let Some((last, parents)) = path.split_last() else { return };
    match (parents.iter().try_fold(object, inside_mut), last) {
        (Some(Value::Object(fields)), Step::Key(key)) => {
            fields.remove(key);
        }
        (Some(Value::Array(items)), Step::Index(index)) if *index < items.len() => {
            items.remove(*index);
        }
        _ => {}
    }
}

/// Sets a field, and makes the objects that it is in; items of lists are followed only where both sides have the
/// item of one name in one place.
fn put(object: &mut Value, live: &Value, path: &[Step], value: Value) {
    let Some((last, parents)) = path.split_last() else { return };
    let (mut at, mut beside) = (object, live);
    for step in parents {
        if let (Step::Key(key), Some(fields)) = (step, at.as_object_mut()) {
            fields.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
        }
        let (Some(next), Some(other)) = (inside_mut(at, step), inside(beside, step)) else { return };
        if matches!(step, Step::Index(_)) && next.get("name") != other.get("name") {
            return;
        }
        (at, beside) = (next, other);
    }
    match (at, last) {
        (Value::Object(fields), Step::Key(key)) => {
            fields.insert(key.clone(), value);
        }
        (Value::Array(items), Step::Index(index)) => {
            if let Some(item) = items.get_mut(*index) {
                *item = value;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
