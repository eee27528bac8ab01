//! `spec.source` and `spec.sources`: where they are, and what makes them into manifests.

use std::collections::BTreeSet;

use mlp_crds::argocd::{ApplicationSpec, Directory, Source};
use serde_json::{Value, json};

use super::{Check, FileRules, Origin, Rendering, words};
use crate::domain::glob::Glob;
use crate::domain::tool::Tool;
use crate::domain::{helm, kustomize, place};

/// Sources of one Application.
const MOST: usize = 20;

/// Reads the sources in force: `sources` where there are any.
pub(super) fn origins(spec: &ApplicationSpec, check: &mut Check) -> Vec<Origin> {
    let sources = spec.effective_sources();
    if sources.is_empty() {
        check.refuse("spec.source", "is missing; write repoURL and path");
    }
    if sources.len() > MOST {
        check.refuse("spec.sources", format!("has more than {MOST}; split the Application"));
        return Vec::new();
    }
    let names = names(&sources, check);
    let field = |place: usize| match spec.sources.is_empty() {
        true => "spec.source".to_owned(),
        false => format!("spec.sources[{place}]"),
    };
    let all = sources.into_iter().enumerate().map(|(place, source)| {
        let field = field(place);
        let origin = origin(field, source, spec.sources.is_empty(), check);
        for (index, name, _) in origin.rendering.helm.references() {
            if !names.contains(name) {
                check.refuse(
                    format!("{}.helm.valueFiles[{index}]", origin.field),
                    format!("names the source `{name}`, and none of spec.sources has `ref: {name}`"),
                );
            }
        }
        origin
    });
    all.collect()
}

/// The names by which value files refer to sources.
fn names(sources: &[&Source], check: &mut Check) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (place, source) in sources.iter().enumerate() {
        let Some(name) = source.reference.as_deref().filter(|name| !name.is_empty()) else { continue };
        let field = || format!("spec.sources[{place}].ref");
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            check.refuse(field(), format!("is `{name}`; write letters, digits, `-` and `_`"));
        } else if !names.insert(name.to_owned()) {
            check.refuse(field(), format!("is `{name}`, as another's is; give each its own"));
        }
    }
    names
}

fn origin(field: String, source: &Source, single: bool, check: &mut Check) -> Origin {
    check.unsupported(&format!("{field}.ref"), single && source.reference.is_some());
    self::check(&field, source, check);
    let rendering = rendering(&field, source, check);
    Origin {
        repository: source.repo_url.clone(),
        path: place::normal(source.path.as_deref().unwrap_or_default()),
        revision: source.target_revision.clone().filter(|text| !text.is_empty()).unwrap_or("HEAD".into()),
        source: source.clone(),
        field,
        rendering,
    }
}

/// Refuses what is wrong with where the source is.
fn check(at: &str, source: &Source, check: &mut Check) {
    for (field, present) in [("chart", source.chart.is_some()), ("plugin", source.plugin.is_some())] {
        check.unsupported(&format!("{at}.{field}"), present);
    }
    check.rest(at, &source.rest, &["name"]);
    if let Some(wrong) = wrong_address(&source.repo_url) {
        check.refuse(format!("{at}.repoURL"), wrong);
    }
    let path = source.path.as_deref().unwrap_or_default();
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        check.refuse(format!("{at}.path"), "leaves the repository; write a path below its root");
    }
}

/// What is wrong with the address of a repository.
pub fn wrong_address(url: &str) -> Option<&'static str> {
    let rest = ["file://", "http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let Some(rest) = rest else {
        return Some("has an unsupported scheme; write file://, http:// or https://");
    };
    if rest.split('/').next().unwrap_or_default().contains('@') {
        return Some("holds credentials, which every reader would see; remove them");
    }
    rest.trim_matches('/').is_empty().then_some("names no repository; write its whole address")
}

fn file_rules(at: &str, directory: Option<&Directory>, check: &mut Check) -> FileRules {
    let Some(directory) = directory else { return FileRules::default() };
    check.unsupported(
        &format!("{at}.directory.jsonnet"),
        directory
            .jsonnet
            .as_ref()
            .is_some_and(|value| value.as_object().is_none_or(|fields| !fields.is_empty())),
    );
    check.rest(&format!("{at}.directory"), &directory.rest, &[]);
    let mut glob = |field: &str, pattern: Option<&String>| {
        let pattern = pattern.filter(|text| !text.is_empty())?;
        let field = format!("{at}.directory.{field}");
        Glob::new(pattern).map_err(|error| check.refuse(field, format!("is no glob: {error}"))).ok()
    };
    FileRules {
        recurse: directory.recurse,
        include: glob("include", directory.include.as_ref()),
        exclude: glob("exclude", directory.exclude.as_ref()),
    }
}

/// How the names of files begin that override a source.
pub(super) const OVERRIDING: &str = ".argocd-source";

/// Names of the files in a source's folder that say how manifests are made of it: for all Applications, and for one.
pub fn overriding(application: &str) -> [String; 2] {
    [format!("{OVERRIDING}.yaml"), format!("{OVERRIDING}-{application}.yaml")]
}

/// What makes a source into manifests where such files are in its folder; path and value of each, the stronger last.
/// Where the source is (address, revision, path, chart) they do not say.
///
/// # Errors
/// What is wrong with the source as they make it.
pub fn overridden(source: &Source, files: &[(String, Value)]) -> Result<Rendering, String> {
    let mut merged = json!(source);
    for (_, value) in files {
        json_patch::merge(&mut merged, value);
    }
    let merged: Source = serde_json::from_value(merged).map_err(|error| error.to_string())?;
    let mut check = Check::default();
    check.unsupported("spec.source.plugin", merged.plugin.is_some());
    check.rest("spec.source", &merged.rest, &["name"]);
    let rendering = rendering("spec.source", &merged, &mut check);
    if check.0.is_empty() { Ok(rendering) } else { Err(words(&check.0)) }
}

/// What makes the source into manifests; refuses what it is told and does not understand.
fn rendering(at: &str, source: &Source, check: &mut Check) -> Rendering {
    let named = [
        (
            Tool::Directory,
            source.directory.as_ref().is_some_and(|directory| *directory != Directory::default()),
        ),
        (Tool::Kustomize, source.kustomize.is_some()),
        (Tool::Helm, source.helm.is_some()),
    ];
    let tools: Vec<Tool> = named.iter().filter(|(_, named)| *named).map(|(tool, _)| *tool).collect();
    if tools.len() > 1 {
        let names: Vec<_> = tools.iter().map(|tool| tool.as_str()).collect();
        check.refuse(at, format!("has options for {}; keep those of one", names.join(" and ")));
    }
    let files = file_rules(at, source.directory.as_ref(), check);
    let kustomize = read(at, "kustomize", source.kustomize.as_ref(), kustomize::options, check);
    let helm = read(at, "helm", source.helm.as_ref(), helm::options, check);
    Rendering { tool: tools.first().copied(), files, kustomize, helm }
}

/// Options of a tool, with each refusal under the tool's name.
fn read<T: Default>(
    at: &str,
    tool: &str,
    maybe_options: Option<&Value>,
    read: impl Fn(&Value) -> Result<T, Vec<(String, String)>>,
    check: &mut Check,
) -> T {
    let Some(options) = maybe_options else { return T::default() };
    read(options).unwrap_or_else(|refused| {
        for (field, message) in refused {
            let dot = if field.is_empty() { "" } else { "." };
            check.refuse(format!("{at}.{tool}{dot}{field}"), message);
        }
        T::default()
    })
}
