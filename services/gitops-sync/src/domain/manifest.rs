//! Files of a directory source, read into manifests: YAML or JSON, several documents, lists unrolled.
//!
//! Scalars are read as `sigs.k8s.io/yaml` reads them (`yes` is true, `0644` is octal), duplicate keys
//! are refused, and every error names file and line. Nothing here prints a value from a file: it may
//! be a Secret.

use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use super::identity::ObjectId;
use super::object_options::ObjectOptions;

/// How much one Application may hold. The bounds keep one repository from taking the service's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files taken.
    pub files: usize,
    /// Bytes of all files together.
    pub bytes: usize,
    /// Objects after lists are unrolled.
    pub objects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { files: 2_000, bytes: 16 * 1024 * 1024, objects: 2_000 }
    }
}

/// One object as git has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Identity; the namespace is still what the file says.
    pub id: ObjectId,
    /// Path of the file in the repository.
    pub file: String,
    /// Line where the document starts, from 1.
    pub line: u64,
    /// Options from the object's annotations.
    pub options: ObjectOptions,
    /// The object itself.
    pub object: Value,
}

/// What is wrong with a file; the message names file, line and fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct ManifestError {
    /// Path of the file in the repository.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// Whether a file of this name is read at all.
pub fn is_manifest(path: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|ending| path.ends_with(ending))
}

/// Reads one file.
///
/// # Errors
/// [`ManifestError`] for text that is no YAML, a document that is no object, a list that holds no
/// objects, a missing apiVersion, kind or name, and annotations that ask for what is not supported.
pub fn parse(file: &str, text: &str) -> Result<Vec<Manifest>, ManifestError> {
    let mut found = Vec::new();
    for document in documents(file, text)? {
        let line = document.referenced.line();
        unroll(file, line, normalise(document.value), &mut found)?;
    }
    Ok(found)
}

/// The one document of a file that is no manifest, such as a kustomization; null where it is empty.
///
/// # Errors
/// [`ManifestError`] for text that is no YAML, and for a second document.
pub fn document(file: &str, text: &str) -> Result<Value, ManifestError> {
    let mut all = documents(file, text)?.into_iter();
    let first = all.next().map_or(Value::Null, |document| normalise(document.value));
    match all.next() {
        Some(second) => {
            let (file, line) = (file.to_owned(), second.referenced.line());
            Err(ManifestError { file, line, message: "holds a second document; keep one".into() })
        }
        None => Ok(first),
    }
}

fn documents(file: &str, text: &str) -> Result<Vec<Spanned<Value>>, ManifestError> {
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        strict_booleans: false,
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| syntax_error(file, &error))
}

/// All files of an Application, with the bounds and the rule that no object appears twice.
///
/// # Errors
/// The first [`ManifestError`] in path order.
pub fn parse_all(files: &[(String, String)], limits: Limits) -> Result<Vec<Manifest>, ManifestError> {
    let mut all: Vec<Manifest> = Vec::new();
    for (file, text) in files {
        all.extend(parse(file, text)?);
        if all.len() > limits.objects {
            let message = format!("more than {} objects; split the application", limits.objects);
            return Err(ManifestError { file: file.clone(), line: 1, message });
        }
    }
    Ok(all)
}

/// Refuses two manifests of one object; call it once namespaces are filled in.
///
/// # Errors
/// [`ManifestError`] at the second of the two, naming the first.
pub fn refuse_repeats(manifests: &[Manifest]) -> Result<(), ManifestError> {
    let mut seen = std::collections::HashMap::new();
    let is_generated = |manifest: &&Manifest| {
        let beginning = manifest.object.pointer("/metadata/generateName").and_then(Value::as_str);
        beginning == Some(manifest.id.name.as_str())
    };
    for manifest in manifests.iter().filter(|manifest| !is_generated(manifest)) {
        let id = &manifest.id;
        let key = (&id.group, &id.kind, &id.namespace, &id.name);
        if let Some((file, line)) = seen.insert(key, (&manifest.file, manifest.line)) {
            let message = format!("{id} is already at {file}:{line}; keep one of the two");
            return Err(ManifestError { file: manifest.file.clone(), line: manifest.line, message });
        }
    }
    Ok(())
}

fn syntax_error(file: &str, error: &serde_saphyr::Error) -> ManifestError {
    let line = error.location().map_or(1, |location| location.line());
    let text = error.to_string();
    let first = text.lines().next().unwrap_or("no YAML");
    // The parser adds the position, which file and line already say, and a hint for programmers.
    let message = [", set DuplicateKeyPolicy", " at line "]
        .iter()
        .fold(first, |rest, cut| rest.split(cut).next().unwrap_or(rest));
    let message = message.to_owned();
    ManifestError { file: file.to_owned(), line, message }
}

fn unroll(file: &str, line: u64, value: Value, found: &mut Vec<Manifest>) -> Result<(), ManifestError> {
    let refuse = |message: String| ManifestError { file: file.to_owned(), line, message };
    let object = match value {
        Value::Null => return Ok(()),
        Value::Object(object) if object.is_empty() => return Ok(()),
        Value::Object(object) => object,
        _ => return Err(refuse("the document is no object; write apiVersion, kind and metadata".into())),
    };
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    if kind.ends_with("List") && object.contains_key("items") {
        return unroll_list(file, line, object, found);
    }
    for field in ["apiVersion", "kind"] {
        if object.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(refuse(format!("`{field}` is missing or no text; every object needs it")));
        }
    }
    let mut object = Value::Object(object);
    let options = ObjectOptions::read(&object).map_err(|error| refuse(error.to_string()))?;
    let beginning = object.pointer("/metadata/generateName").and_then(Value::as_str).map(str::to_owned);
    if let Some(beginning) = beginning.filter(|_| object.pointer("/metadata/name").is_none()) {
        if options.hook.is_none() {
            let message = "`metadata.generateName` is for hooks; write `metadata.name`: the same object has the same name";
            return Err(refuse(message.into()));
        }
        // The rest of the name is the sync's (`hook::generated_name`).
        if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.insert("name".to_owned(), Value::String(beginning));
        }
    }
    let Some(id) = ObjectId::of(&object).filter(|id| !id.name.is_empty()) else {
        return Err(refuse("`metadata.name` is missing or no text; every object needs it".into()));
    };
    found.push(Manifest { id, file: file.to_owned(), line, options, object });
    Ok(())
}

fn unroll_list(
    file: &str,
    line: u64,
    mut list: Map<String, Value>,
    found: &mut Vec<Manifest>,
) -> Result<(), ManifestError> {
    let Some(Value::Array(items)) = list.remove("items") else {
        let message = "`items` of a list is no array; write a list of objects".to_owned();
        return Err(ManifestError { file: file.to_owned(), line, message });
    };
    items.into_iter().try_for_each(|item| unroll(file, line, item, found))
}

/// `1.0` and `1e3` become integers, as Go's JSON writes them: the API server refuses `1000.0` where
/// it wants an integer.
fn normalise(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(whole(number)),
        Value::Array(items) => Value::Array(items.into_iter().map(normalise).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(key, value)| (key, normalise(value))).collect())
        }
        other => other,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the bound keeps the value within i64 and exact")]
fn whole(number: Number) -> Number {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT => {
            (float as i64).into()
        }
        _ => number,
    }
}

#[cfg(test)]
mod tests;
