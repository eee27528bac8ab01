//! Applications, made of the template and each set of parameters.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use mlp_crds::Application;
use mlp_crds::argocd::{ApplicationSet, ApplicationSpec};
use serde::Deserialize;
use serde_json::{Value, json};

use super::budget::Budget;
use super::plan::Policy;
use super::{Cluster, Context, Halt, Known, MOST, generators};
use crate::domain::{REFRESH, manifest};

/// The label that says which set an Application is of; Argo CD's own.
pub const SET: &str = "argocd.argoproj.io/application-set-name";
/// With it, objects go with their Application.
pub const FINALIZER: &str = "resources-finalizer.argocd.argoproj.io";

#[derive(Debug, Deserialize)]
struct Template {
    #[serde(default)]
    metadata: Metadata,
    spec: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    finalizers: Vec<String>,
}

/// The Applications that a set wants, by name.
///
/// # Errors
/// [`Halt`]: what must be found out first, or what is wrong, by its field.
pub fn applications(
    set: &ApplicationSet,
    known: &Known,
    clusters: &[Cluster],
) -> Result<Vec<Application>, Halt> {
    let (go, options, budget) = (set.spec.go_template, &set.spec.go_template_options, Budget::default());
    let context = Context { go, options, known, clusters, budget: &budget };
    refuse_unsupported(set)?;
    Policy::of(set).map_err(Halt::Refused)?;
    let mut all: BTreeMap<String, Application> = BTreeMap::new();
    for (index, generator) in set.spec.generators.iter().enumerate() {
        let field = format!("spec.generators[{index}]");
        let (own, generator) = without_template(generator);
        let parameters = generators::parameters(context, &generator, &field, 0)?;
        let mut template = set.spec.template.clone();
        overlay(&mut template, &own);
        let filled = json!({ "template": template, "patch": set.spec.template_patch });
        for filled in context.fill(&filled, &parameters)? {
            let one = application(set, &filled)?;
            let name = one.metadata.name.clone().unwrap_or_default();
            if all.insert(name.clone(), one).is_some() {
                let message = format!("two sets of parameters make `{name}`; have the name tell them apart");
                return Err(Halt::refused("spec.template.metadata.name", message));
            }
        }
        if all.len() > MOST {
            return Err(Halt::refused("spec.generators", format!("make more than {MOST} Applications")));
        }
    }
    Ok(all.into_values().collect())
}

fn refuse_unsupported(set: &ApplicationSet) -> Result<(), Halt> {
    // What others write into labels and annotations stays anyhow, and selectors count wherever they stand.
    let known = ["applyNestedSelectors", "preservedFields"];
    if let Some(key) = set.spec.rest.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(Halt::refused(&format!("spec.{key}"), "is not supported; remove it"));
    }
    let kind = set.spec.strategy.as_ref().and_then(|strategy| strategy.get("type")?.as_str());
    if let Some(kind) = kind.filter(|kind| !matches!(*kind, "" | "AllAtOnce")) {
        let message = format!("`{kind}` is not supported; leave it out, Applications are changed at once");
        return Err(Halt::refused("spec.strategy.type", message));
    }
    if set.spec.template_patch.is_some() && !set.spec.go_template {
        return Err(Halt::refused("spec.templatePatch", "needs spec.goTemplate"));
    }
    Ok(())
}

/// A generator's own template, and the generator without it.
fn without_template(generator: &Value) -> (Value, Value) {
    let (mut own, mut generator) = (Value::Null, generator.clone());
    for (kind, spec) in generator.as_object_mut().into_iter().flatten() {
        if let Some(found) =
            spec.as_object_mut().filter(|_| kind != "selector").and_then(|spec| spec.remove("template"))
        {
            own = found;
        }
    }
    (own, generator)
}

/// Puts what `own` says over `template`; what it leaves empty, it does not say.
fn overlay(template: &mut Value, own: &Value) {
    match (template, own) {
        (Value::Object(template), Value::Object(own)) => {
            for (key, value) in own {
                overlay(template.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (_, Value::String(text)) if text.is_empty() => {}
        (_, Value::Array(items)) if items.is_empty() => {}
        (template, own) => *template = own.clone(),
    }
}

fn application(set: &ApplicationSet, filled: &Value) -> Result<Application, Halt> {
    let mut template = filled.get("template").cloned().unwrap_or_default();
    if let Some(text) = filled.get("patch").and_then(Value::as_str) {
        let refuse = |message: String| Halt::refused("spec.templatePatch", message);
        match manifest::document("the patch", text).map_err(|error| refuse(error.to_string()))? {
            // One that says nothing of this Application.
            Value::Null => {}
            patch if patch.is_object() => json_patch::merge(&mut template, &patch),
            _ => return Err(refuse("comes to what is no object".to_owned())),
        }
    }
    let read: Result<Template, _> = serde_json::from_value(template);
    let Template { metadata, spec } = read.map_err(|error| Halt::refused("spec.template", error))?;
    let name = named(&metadata.name)?;
    let namespace = set.metadata.namespace.clone();
    if !metadata.namespace.is_empty() && Some(&metadata.namespace) != namespace.as_ref() {
        let message = format!("is `{}`; Applications are made beside their set alone", metadata.namespace);
        return Err(Halt::refused("spec.template.metadata.namespace", message));
    }
    // Each look takes it off, and the set would put it there again.
    if metadata.annotations.contains_key(REFRESH) {
        let message = format!("hold `{REFRESH}`, which asks for a look once; leave it out");
        return Err(Halt::refused("spec.template.metadata.annotations", message));
    }
    let spec: ApplicationSpec = serde_json::from_value(spec)
        .map_err(|error| Halt::refused("spec.template.spec", format!("of `{name}`: {error}")))?;
    let mut application = Application::new(name, spec);
    let mut labels = metadata.labels;
    labels.insert(SET.to_owned(), set.metadata.name.clone().unwrap_or_default());
    let keeps = set.spec.sync_policy.as_ref().is_some_and(|policy| policy.preserve_resources_on_deletion);
    let finalizers = match metadata.finalizers {
        none if none.is_empty() && !keeps => vec![FINALIZER.to_owned()],
        finalizers => finalizers,
    };
    application.metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace,
        labels: Some(labels),
        annotations: Some(metadata.annotations).filter(|all| !all.is_empty()),
        finalizers: Some(finalizers).filter(|all| !all.is_empty()),
        // Without one it outlives its set.
        owner_references: Policy::of(set).is_ok_and(|policy| policy.deletes).then(|| vec![owner(set)]),
        ..ObjectMeta::default()
    };
    Ok(application)
}

/// Whose an Application of a set is.
pub fn owner(set: &ApplicationSet) -> OwnerReference {
    OwnerReference {
        api_version: "argoproj.io/v1alpha1".to_owned(),
        kind: "ApplicationSet".to_owned(),
        name: set.metadata.name.clone().unwrap_or_default(),
        uid: set.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

fn named(name: &str) -> Result<&str, Halt> {
    const LONGEST: usize = 253;
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = |c: char| ends(c) || c == '-' || c == '.';
    let is_name =
        name.len() <= LONGEST && name.chars().all(fits) && name.starts_with(ends) && name.ends_with(ends);
    if is_name {
        return Ok(name);
    }
    let message = if name.contains("{{") {
        format!("comes to `{name}`: there is no such parameter")
    } else {
        format!("comes to `{name}`, which is no name; use lower-case letters, digits, `-` and `.`")
    };
    Err(Halt::refused("spec.template.metadata.name", message))
}
