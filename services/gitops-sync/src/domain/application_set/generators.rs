//! Generators: list, clusters, matrix and merge here, git and pull requests beside.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::parameters::{Parameters, flat, normalized, overridden};
use super::selector::Selector;
use super::{Cluster, Context, Halt, MOST, git, pull_requests};
use crate::domain::manifest;

/// Generators within generators may lie so deep: a matrix in a matrix is the deepest that Argo CD has.
const DEPTH: usize = 3;
/// Generators that there are elsewhere and not here.
const UNSUPPORTED: [&str; 3] = ["scmProvider", "clusterDecisionResource", "plugin"];
/// This cluster, where no Secret names it.
const LOCAL: (&str, &str) = ("in-cluster", "https://kubernetes.default.svc");

/// The sets of parameters of one generator, in its order.
///
/// # Errors
/// [`Halt`]: what must be found out first, or what is wrong with the generator, by its field.
pub fn parameters(
    context: Context<'_>,
    generator: &Value,
    field: &str,
    depth: usize,
) -> Result<Vec<Parameters>, Halt> {
    let refuse = |message: String| Halt::refused(field, message);
    let fields = generator.as_object().ok_or_else(|| refuse("is no object".to_owned()))?;
    let mut kinds = fields.iter().filter(|(key, value)| !value.is_null() && *key != "selector");
    let (Some((kind, spec)), None) = (kinds.next(), kinds.next()) else {
        return Err(refuse("must hold one generator, and beside it a selector at most".to_owned()));
    };
    if depth > DEPTH {
        return Err(refuse("generators lie too deep in each other".to_owned()));
    }
    let inner = format!("{field}.{kind}");
    let found = match kind.as_str() {
        "list" => list(context, spec, &inner)?,
        "clusters" => clusters(context, spec, &inner)?,
        "git" => git::parameters(context, spec, &inner)?,
        "pullRequest" => pull_requests::parameters(context, spec, &inner)?,
        "matrix" => matrix(context, spec, &inner, depth)?,
        "merge" => merge(context, spec, &inner, depth)?,
        other if UNSUPPORTED.contains(&other) => {
            return Err(refuse(format!("the generator `{other}` is not supported")));
        }
        other => return Err(refuse(format!("there is no generator `{other}`"))),
    };
    if found.len() > MOST {
        return Err(refuse(format!("finds more than {MOST} sets of parameters; split the set")));
    }
    let selector = Selector::read(fields.get("selector"));
    let selector = selector.map_err(|message| Halt::refused(&format!("{field}.selector"), message))?;
    context.budget.work(selector.cost().saturating_mul(found.len()))?;
    let mut chosen = Vec::with_capacity(found.len());
    for parameters in found {
        // Go's objects are told by their paths with dots, too.
        let texts = if context.go && !selector.is_empty() { flat(&parameters) } else { Parameters::new() };
        context.budget.hold_all(&texts)?;
        let named = |key: &str| texts.get(key).or_else(|| parameters.get(key))?.as_str().map(str::to_owned);
        if selector.selects(named) {
            chosen.push(parameters);
        }
    }
    Ok(chosen)
}

/// Refuses fields that would be passed over in silence.
pub(super) fn only(spec: &Value, known: &[&str], field: &str) -> Result<(), Halt> {
    let fields = spec.as_object().ok_or_else(|| Halt::refused(field, "is no object"))?;
    let is_set = |value: &Value| !matches!(value, Value::Null | Value::Bool(false));
    // A template of a generator within another has no say with Argo CD either.
    let counts = |key: &str| key != "template" && !known.contains(&key);
    match fields.iter().find(|(key, value)| counts(key) && is_set(value)) {
        Some((key, _)) => Err(Halt::refused(&format!("{field}.{key}"), "is not supported; remove it")),
        None => Ok(()),
    }
}

fn list(context: Context<'_>, spec: &Value, field: &str) -> Result<Vec<Parameters>, Halt> {
    only(spec, &["elements", "elementsYaml"], field)?;
    let mut elements = spec.get("elements").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(text) = spec.get("elementsYaml").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        let field = format!("{field}.elementsYaml");
        let read = manifest::document("the list", text).map_err(|error| Halt::refused(&field, error))?;
        let more = read.as_array().ok_or_else(|| Halt::refused(&field, "is no list"))?;
        elements.extend(more.iter().cloned());
    }
    let mut all = Vec::with_capacity(elements.len());
    for (index, element) in elements.into_iter().enumerate() {
        let field = format!("{field}.elements[{index}]");
        context.budget.hold(&element)?;
        let Value::Object(element) = element else { return Err(Halt::refused(&field, "is no object")) };
        all.push(if context.go { element } else { texts(element, &field)? });
    }
    Ok(all)
}

/// An element of texts, and of `values` that are texts.
fn texts(element: Map<String, Value>, field: &str) -> Result<Parameters, Halt> {
    let no_text =
        |key: &str| Halt::refused(&format!("{field}.{key}"), "is no text; quote it, or set spec.goTemplate");
    let mut all = Parameters::new();
    for (key, value) in element {
        match value {
            Value::String(_) => drop(all.insert(key, value)),
            Value::Object(values) if key == "values" => {
                for (key, value) in values {
                    let name = format!("values.{key}");
                    if !value.is_string() {
                        return Err(no_text(&name));
                    }
                    all.insert(name, value);
                }
            }
            _ => return Err(no_text(&key)),
        }
    }
    Ok(all)
}

fn clusters(context: Context<'_>, spec: &Value, field: &str) -> Result<Vec<Parameters>, Halt> {
    only(spec, &["selector", "values"], field)?;
    let selector = Selector::read(spec.get("selector"));
    let selector = selector.map_err(|message| Halt::refused(&format!("{field}.selector"), message))?;
    let mut chosen: Vec<Cluster> = Vec::new();
    // The local cluster has no Secret and so no labels, unless somebody gave it one.
    if selector.is_empty() && !context.clusters.iter().any(|cluster| cluster.server == LOCAL.1) {
        chosen.push(Cluster { name: LOCAL.0.into(), server: LOCAL.1.into(), ..Cluster::default() });
    }
    let found =
        context.clusters.iter().filter(|cluster| selector.selects(|key| cluster.labels.get(key).cloned()));
    chosen.extend(found.cloned());
    let all = chosen.into_iter().map(|cluster| {
        let metadata = json!({ "labels": cluster.labels, "annotations": cluster.annotations });
        let about = json!({
            "name": cluster.name, "nameNormalized": normalized(&cluster.name), "server": cluster.server,
            "project": cluster.project, "metadata": metadata,
        });
        let Value::Object(about) = about else { return Parameters::new() };
        if context.go { about } else { flat(&about) }
    });
    with_values(context, spec, all.collect())
}

/// Adds a generator's `values`, which are templates over its own parameters.
pub(super) fn with_values(
    context: Context<'_>,
    spec: &Value,
    mut all: Vec<Parameters>,
) -> Result<Vec<Parameters>, Halt> {
    let Some(values @ Value::Object(_)) = spec.get("values") else { return Ok(all) };
    let filled = context.fill(values, &all)?;
    for (parameters, values) in all.iter_mut().zip(filled) {
        let Value::Object(values) = values else { continue };
        if context.go {
            parameters.insert("values".to_owned(), Value::Object(values));
        } else {
            parameters.extend(values.into_iter().map(|(key, value)| (format!("values.{key}"), value)));
        }
    }
    Ok(all)
}

fn nested<'a>(spec: &'a Value, field: &str, least: usize) -> Result<&'a Vec<Value>, Halt> {
    let found = spec.get("generators").and_then(Value::as_array).filter(|all| all.len() >= least);
    found.ok_or_else(|| Halt::refused(&format!("{field}.generators"), format!("holds fewer than {least}")))
}

/// Every set of the first with every one of the second, which may be a template over the first's.
fn matrix(context: Context<'_>, spec: &Value, field: &str, depth: usize) -> Result<Vec<Parameters>, Halt> {
    only(spec, &["generators"], field)?;
    let generators = nested(spec, field, 2)?;
    if generators.len() > 2 {
        return Err(Halt::refused(&format!("{field}.generators"), "holds more than 2; put a matrix in it"));
    }
    let (mut all, mut is_first) = (vec![Parameters::new()], true);
    for (index, generator) in generators.iter().enumerate() {
        let field = format!("{field}.generators[{index}]");
        let filled = if is_first { vec![generator.clone()] } else { context.fill(generator, &all)? };
        is_first = false;
        let mut next = Vec::new();
        for (before, generator) in all.into_iter().zip(filled) {
            for found in parameters(context, &generator, &field, depth + 1)? {
                let both = combined(context.go, before.clone(), found, &field)?;
                context.budget.hold_all(&both)?;
                next.push(both);
                if next.len() > MOST {
                    let message = format!("makes more than {MOST} sets of parameters; split the set");
                    return Err(Halt::refused(&field, message));
                }
            }
        }
        all = next;
    }
    Ok(all)
}

/// The first's word counts where both say something; texts must be equal then.
fn combined(go: bool, first: Parameters, second: Parameters, field: &str) -> Result<Parameters, Halt> {
    if !go
        && let Some((key, _)) =
            second.iter().find(|(key, value)| first.get(*key).is_some_and(|other| other != *value))
    {
        let message = format!("both generators say `{key}`, and not the same");
        return Err(Halt::refused(field, message));
    }
    Ok(overridden(second, first))
}

/// The first generator's sets, changed by those of the others that have the same merge keys.
fn merge(context: Context<'_>, spec: &Value, field: &str, depth: usize) -> Result<Vec<Parameters>, Halt> {
    only(spec, &["generators", "mergeKeys"], field)?;
    let keys = spec.get("mergeKeys").and_then(Value::as_array).filter(|keys| !keys.is_empty());
    let keys = keys.ok_or_else(|| Halt::refused(&format!("{field}.mergeKeys"), "names no parameter"))?;
    let key = |parameters: &Parameters| {
        let named = keys.iter().filter_map(Value::as_str);
        json!(named.map(|name| value_of(parameters, name)).collect::<Vec<_>>()).to_string()
    };
    let mut merged: Vec<Parameters> = Vec::new();
    for (index, generator) in nested(spec, field, 2)?.iter().enumerate() {
        let field = format!("{field}.generators[{index}]");
        let found = parameters(context, generator, &field, depth + 1)?;
        if index == 0 {
            merged = found;
            continue;
        }
        let mut changes: BTreeMap<String, Parameters> = BTreeMap::new();
        for one in found {
            let of = key(&one);
            if changes.insert(of.clone(), one).is_some() {
                return Err(Halt::refused(
                    &field,
                    format!("two sets of parameters have the merge keys {of}"),
                ));
            }
        }
        for base in &mut merged {
            if let Some(change) = changes.get(&key(base)) {
                *base = overridden(std::mem::take(base), change.clone());
                context.budget.hold_all(base)?;
            }
        }
    }
    Ok(merged)
}

/// A parameter by its name, or by its path with dots within what Go templates see.
fn value_of<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a Value> {
    parameters.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        value_of(parameters.get(first)?.as_object()?, rest)
    })
}
