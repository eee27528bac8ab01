//! The git generator: a set of parameters for each folder, or for each object in each file, that matches.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::parameters::{Parameters, flat, normalized};
use super::{Context, Found, Halt, Need, generators};
use crate::domain::glob::Glob;
use crate::domain::{manifest, request};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Git {
    #[serde(rename = "repoURL")]
    repository: String,
    revision: String,
    directories: Vec<Pattern>,
    files: Vec<Pattern>,
    path_param_prefix: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Pattern {
    path: String,
    exclude: bool,
}

/// The sets of parameters, by path.
pub(super) fn parameters(context: Context<'_>, spec: &Value, field: &str) -> Result<Vec<Parameters>, Halt> {
    const KNOWN: [&str; 7] =
        ["repoURL", "revision", "directories", "files", "pathParamPrefix", "values", "requeueAfterSeconds"];
    generators::only(spec, &KNOWN, field)?;
    let git: Git = serde_json::from_value(spec.clone())
        .map_err(|error| Halt::refused(field, format!("is no git generator: {error}")))?;
    if let Some(wrong) = request::wrong_address(&git.repository) {
        return Err(Halt::refused(&format!("{field}.repoURL"), wrong));
    }
    let (name, patterns) = match (git.directories.is_empty(), git.files.is_empty()) {
        (false, true) => ("directories", &git.directories),
        (true, false) => ("files", &git.files),
        (true, true) => return Err(Halt::refused(field, "names neither directories nor files")),
        (false, false) => return Err(Halt::refused(field, "names both directories and files; keep one")),
    };
    let globs = read(patterns, &format!("{field}.{name}"))?;
    let revision = if git.revision.is_empty() { "HEAD".to_owned() } else { git.revision.clone() };
    let listing = Need::Listing { repository: git.repository.clone(), revision: revision.clone() };
    let Found::Listing { revision, folders, files } = context.ask(listing)? else { return Ok(Vec::new()) };
    let looked_at = if name == "directories" { folders } else { files };
    let cost: usize = globs.iter().map(|(glob, _)| glob.cost()).sum();
    let length: usize = looked_at.iter().map(|path| path.len() + 1).sum();
    context.budget.work(cost.saturating_mul(length))?;
    let all: Vec<Parameters> = if name == "directories" {
        let hidden = |path: &str| path.split('/').any(|part| part.starts_with('.'));
        let chosen =
            folders.iter().filter(|path| !hidden(path) && matches(&globs, |glob| glob.matches_path(path)));
        chosen.map(|path| about(context, &git, Map::new(), path, None)).collect()
    } else {
        let chosen = files.iter().filter(|path| matches(&globs, |glob| glob.matches(path)));
        let paths: Vec<String> = chosen.cloned().collect();
        let is_empty = paths.is_empty();
        let need = Need::Files { repository: git.repository.clone(), revision: revision.clone(), paths };
        match if is_empty { None } else { Some(context.ask(need)?) } {
            Some(Found::Files(texts)) => objects(context, &git, texts, field)?,
            _ => Vec::new(),
        }
    };
    all.iter().try_for_each(|one| context.budget.hold_all(one))?;
    generators::with_values(context, spec, all)
}

fn read(patterns: &[Pattern], field: &str) -> Result<Vec<(Glob, bool)>, Halt> {
    let globs = patterns.iter().enumerate().map(|(index, pattern)| {
        let path = pattern.path.trim_start_matches("./").trim_end_matches('/');
        let glob =
            Glob::new(path).map_err(|error| Halt::refused(&format!("{field}[{index}].path"), error))?;
        Ok((glob, pattern.exclude))
    });
    globs.collect()
}

/// Any pattern takes it and none leaves it out.
fn matches(globs: &[(Glob, bool)], is: impl Fn(&Glob) -> bool) -> bool {
    let any = |excludes: bool| globs.iter().any(|(glob, excluded)| *excluded == excludes && is(glob));
    any(false) && !any(true)
}

/// A set of parameters for each object in each file: one object, or a list of them.
fn objects(
    context: Context<'_>,
    git: &Git,
    texts: &[(String, String)],
    field: &str,
) -> Result<Vec<Parameters>, Halt> {
    let mut all = Vec::new();
    for (path, text) in texts {
        let refuse = |message: String| Halt::refused(&format!("{field}.files"), format!("{path}: {message}"));
        let read = manifest::document(path, text)
            .map_err(|error| Halt::refused(&format!("{field}.files"), error))?;
        let objects = match read {
            Value::Null => vec![Value::Object(Map::new())],
            Value::Array(items) => items,
            object => vec![object],
        };
        for object in objects {
            let Value::Object(fields) = object else {
                return Err(refuse("is neither an object nor a list of objects".to_owned()));
            };
            let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
            let fields = if context.go { fields } else { flat(&fields) };
            all.push(about(context, git, fields, folder, Some(name)));
        }
    }
    Ok(all)
}

/// What is said of a folder, and of a file in it, added to `fields`.
fn about(
    context: Context<'_>,
    git: &Git,
    mut fields: Parameters,
    folder: &str,
    file: Option<&str>,
) -> Parameters {
    let base = folder.rsplit('/').next().unwrap_or(folder);
    let mut path = json!({
        "path": folder, "basename": base, "basenameNormalized": normalized(base),
        "segments": folder.split('/').collect::<Vec<_>>(),
    });
    if let (Some(file), Some(path)) = (file, path.as_object_mut()) {
        path.insert("filename".to_owned(), json!(file));
        path.insert("filenameNormalized".to_owned(), json!(normalized(file)));
    }
    let prefix = &git.path_param_prefix;
    if context.go {
        let (name, value) =
            if prefix.is_empty() { ("path", path) } else { (prefix.as_str(), json!({ "path": path })) };
        fields.insert(name.to_owned(), value);
        return fields;
    }
    let name = if prefix.is_empty() { "path".to_owned() } else { format!("{prefix}.path") };
    for (key, value) in path.as_object().into_iter().flatten() {
        match value {
            Value::Array(segments) => {
                let segments = segments.iter().enumerate();
                fields.extend(segments.map(|(index, part)| (format!("{name}[{index}]"), part.clone())));
            }
            value if key == "path" => drop(fields.insert(name.clone(), value.clone())),
            value => drop(fields.insert(format!("{name}.{key}"), value.clone())),
        }
    }
    fields
}
