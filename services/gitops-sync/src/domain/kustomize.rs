//! `spec.source.kustomize`, and what a kustomization reads.
//!
//! Argo CD edits the kustomization before it builds it; so do we, and what the edited one names is all that the
//! tool gets to see ([`references`]).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The options, as the spec has them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    name_prefix: String,
    name_suffix: String,
    namespace: String,
    images: Vec<String>,
    replicas: Vec<Replicas>,
    common_labels: BTreeMap<String, String>,
    force_common_labels: bool,
    label_without_selector: bool,
    label_include_templates: bool,
    common_annotations: BTreeMap<String, String>,
    force_common_annotations: bool,
    patches: Vec<Value>,
    components: Vec<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Replicas {
    name: String,
    count: Value,
}

/// Reads the options.
///
/// # Errors
/// Field and message for each that is not understood.
pub fn options(value: &Value) -> Result<Options, Vec<(String, String)>> {
    let options: Options = serde_json::from_value(value.clone())
        .map_err(|error| vec![(String::new(), format!("cannot be read: {error}"))])?;
    let mut refused: Vec<_> = options
        .rest
        .iter()
        // What says nothing else than what is so.
        .filter(|(_, value)| !matches!(value, Value::Null | Value::Bool(false)))
        .map(|(key, _)| (key.clone(), "is not supported; remove it".to_owned()))
        .collect();
    for (index, image) in options.images.iter().enumerate() {
        if image_of(image).is_none() {
            refused.push((
                format!("images[{index}]"),
                format!("is `{image}`; write name=new:tag, name:tag or name@digest"),
            ));
        }
    }
    if refused.is_empty() { Ok(options) } else { Err(refused) }
}

/// One `images` entry of a kustomization: `name`, and what is new.
fn image_of(text: &str) -> Option<Value> {
    let (name, new) = match text.split_once('=') {
        Some((name, new)) => (Some(name), new),
        None => (None, text),
    };
    let (rest, digest) = match new.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (new, None),
    };
    // A colon before the last slash is a registry's port.
    let tag_at = rest.rfind(':').filter(|at| !rest.get(*at..).unwrap_or_default().contains('/'));
    let (new_name, tag) = match tag_at {
        Some(at) => (rest.get(..at)?, rest.get(at + 1..)),
        None => (rest, None),
    };
    let own = name.unwrap_or(new_name);
    if own.is_empty()
        || new_name.is_empty()
        || tag.is_some_and(str::is_empty)
        || (name.is_none() && tag.is_none() && digest.is_none())
    {
        return None;
    }
    let new_name = name.map(|_| new_name);
    let fields = [("name", Some(own)), ("newName", new_name), ("newTag", tag), ("digest", digest)];
    let said = fields.into_iter().filter_map(|(key, text)| Some((key.to_owned(), json!(text?))));
    Some(Value::Object(said.collect()))
}

impl Options {
    /// Whether the kustomization stays as it is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Edits a kustomization.
    ///
    /// # Errors
    /// A label or annotation that the kustomization has with another value, where it may not be forced.
    pub fn edit(&self, kustomization: &mut Value) -> Result<(), String> {
        if !kustomization.is_object() {
            *kustomization = json!({});
        }
        for (key, text) in [
            ("namePrefix", &self.name_prefix),
            ("nameSuffix", &self.name_suffix),
            ("namespace", &self.namespace),
        ] {
            if !text.is_empty() {
                put(kustomization, key, json!(text));
            }
        }
        for image in self.images.iter().filter_map(|image| image_of(image)) {
            replace(kustomization, "images", image);
        }
        for replicas in &self.replicas {
            replace(kustomization, "replicas", json!({"name": replicas.name, "count": replicas.count}));
        }
        if self.label_without_selector && !self.common_labels.is_empty() {
            let labels = json!({"pairs": self.common_labels, "includeSelectors": false, "includeTemplates": self.label_include_templates});
            append(kustomization, "labels", labels);
        } else {
            merge(kustomization, "commonLabels", &self.common_labels, self.force_common_labels)?;
        }
        merge(kustomization, "commonAnnotations", &self.common_annotations, self.force_common_annotations)?;
        self.patches.iter().for_each(|patch| append(kustomization, "patches", patch.clone()));
        self.components.iter().for_each(|component| append(kustomization, "components", json!(component)));
        Ok(())
    }
}

fn put(kustomization: &mut Value, key: &str, value: Value) {
    if let Some(fields) = kustomization.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}

fn append(kustomization: &mut Value, key: &str, entry: Value) {
    match kustomization.get_mut(key).and_then(Value::as_array_mut) {
        Some(list) => list.push(entry),
        None => put(kustomization, key, json!([entry])),
    }
}

/// Puts an entry in the place of the one of the same name.
fn replace(kustomization: &mut Value, key: &str, entry: Value) {
    if let Some(list) = kustomization.get_mut(key).and_then(Value::as_array_mut) {
        list.retain(|known| known.get("name") != entry.get("name"));
    }
    append(kustomization, key, entry);
}

fn merge(
    kustomization: &mut Value,
    key: &str,
    pairs: &BTreeMap<String, String>,
    force: bool,
) -> Result<(), String> {
    for (name, value) in pairs {
        let known = kustomization.get(key).and_then(|known| known.get(name)).and_then(Value::as_str);
        if let Some(known) = known.filter(|known| *known != value && !force) {
            return Err(format!("{key} has {name}={known} already; force it, or remove one of the two"));
        }
        match kustomization.get_mut(key).and_then(Value::as_object_mut) {
            Some(all) => {
                all.insert(name.clone(), json!(value));
            }
            None => put(kustomization, key, json!({name: value})),
        }
    }
    Ok(())
}

/// Lists of paths or, where they span lines, of inline documents.
const LISTS: [&str; 9] = [
    "resources",
    "bases",
    "components",
    "crds",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "patchesStrategicMerge",
];
/// Lists of entries with a `path`.
const ENTRIES: [&str; 3] = ["patches", "patchesJson6902", "replacements"];
/// What makes a kustomization run or fetch something else.
const REFUSED: [&str; 3] = ["helmCharts", "helmChartInflationGenerator", "inventory"];

/// The files and folders that a kustomization names, relative to its own folder.
///
/// # Errors
/// What it names that is not in the repository, or would run or fetch something else.
pub fn references(kustomization: &Value) -> Result<Vec<String>, String> {
    if let Some(key) = REFUSED.iter().find(|key| kustomization.get(**key).is_some()) {
        return Err(format!(
            "`{key}` is not supported; render it before, and name the result in `resources`"
        ));
    }
    let list =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut found: Vec<String> = Vec::new();
    for key in LISTS {
        let texts = list(kustomization, key);
        let texts = texts.iter().filter_map(Value::as_str).filter(|text| !text.contains('\n'));
        found.extend(texts.map(str::to_owned));
    }
    for key in ENTRIES {
        let entries = list(kustomization, key);
        found.extend(entries.iter().filter_map(|entry| entry.get("path")?.as_str().map(str::to_owned)));
    }
    found.extend(kustomization.pointer("/openapi/path").and_then(Value::as_str).map(str::to_owned));
    for key in ["configMapGenerator", "secretGenerator"] {
        for generator in list(kustomization, key) {
            let files = list(&generator, "files");
            let file = |text: &str| text.split_once('=').map_or(text, |(_, path)| path).to_owned();
            found.extend(files.iter().filter_map(Value::as_str).map(file));
            let envs = list(&generator, "envs");
            found.extend(envs.iter().filter_map(Value::as_str).map(str::to_owned));
            found.extend(generator.get("env").and_then(Value::as_str).map(str::to_owned));
        }
    }
    match found.iter().find(|text| is_remote(text)) {
        Some(remote) => Err(format!(
            "`{remote}` is elsewhere, and nothing is fetched while manifests are made; copy it into the repository"
        )),
        None => Ok(found),
    }
}

fn is_remote(text: &str) -> bool {
    let host = text.split('/').next().unwrap_or_default();
    text.contains("://")
        || text.contains("?ref=")
        || host.contains('@')
        || ["github.com", "gitlab.com"].contains(&host)
}

#[cfg(test)]
mod tests;
