//! `spec.source`: where it is, and what makes it into manifests.

use mlp_crds::argocd::{Directory, Source};
use serde_json::Value;

use super::{Check, FileRules, Rendering};
use crate::domain::glob::Glob;
use crate::domain::tool::Tool;
use crate::domain::{helm, kustomize};

/// Refuses what is wrong with where the source is.
pub(super) fn check(source: &Source, check: &mut Check) {
    for (field, present) in [
        ("spec.source.chart", source.chart.is_some()),
        ("spec.source.ref", source.reference.is_some()),
        ("spec.source.plugin", source.plugin.is_some()),
    ] {
        check.unsupported(field, present);
    }
    check.rest("spec.source", &source.rest, &["name"]);
    let url = &source.repo_url;
    let rest = ["file://", "http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    match rest {
        None => check
            .refuse("spec.source.repoURL", "has an unsupported scheme; write file://, http:// or https://"),
        Some(rest) if rest.split('/').next().unwrap_or_default().contains('@') => {
            check.refuse(
                "spec.source.repoURL",
                "holds credentials, which every reader would see; remove them",
            );
        }
        Some(rest) if rest.trim_matches('/').is_empty() => {
            check.refuse("spec.source.repoURL", "names no repository; write its whole address");
        }
        Some(_) => {}
    }
    let path = source.path.as_deref().unwrap_or_default();
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        check.refuse("spec.source.path", "leaves the repository; write a path below its root");
    }
}

fn file_rules(directory: Option<&Directory>, check: &mut Check) -> FileRules {
    let Some(directory) = directory else { return FileRules::default() };
    check.unsupported(
        "spec.source.directory.jsonnet",
        directory
            .jsonnet
            .as_ref()
            .is_some_and(|value| value.as_object().is_none_or(|fields| !fields.is_empty())),
    );
    check.rest("spec.source.directory", &directory.rest, &[]);
    let mut glob = |field: &str, pattern: Option<&String>| {
        let pattern = pattern.filter(|text| !text.is_empty())?;
        Glob::new(pattern).map_err(|error| check.refuse(field, format!("is no glob: {error}"))).ok()
    };
    FileRules {
        recurse: directory.recurse,
        include: glob("spec.source.directory.include", directory.include.as_ref()),
        exclude: glob("spec.source.directory.exclude", directory.exclude.as_ref()),
    }
}

/// What makes the source into manifests; refuses what it is told and does not understand.
pub(super) fn rendering(source: &Source, check: &mut Check) -> Rendering {
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
        check.refuse("spec.source", format!("has options for {}; keep those of one", names.join(" and ")));
    }
    let files = file_rules(source.directory.as_ref(), check);
    let kustomize = read("kustomize", source.kustomize.as_ref(), kustomize::options, check);
    let helm = read("helm", source.helm.as_ref(), helm::options, check);
    Rendering { tool: tools.first().copied(), files, kustomize, helm }
}

/// Options of a tool, with each refusal under the tool's name.
fn read<T: Default>(
    tool: &str,
    maybe_options: Option<&Value>,
    read: impl Fn(&Value) -> Result<T, Vec<(String, String)>>,
    check: &mut Check,
) -> T {
    let Some(options) = maybe_options else { return T::default() };
    read(options).unwrap_or_else(|refused| {
        for (field, message) in refused {
            let dot = if field.is_empty() { "" } else { "." };
            check.refuse(format!("spec.source.{tool}{dot}{field}"), message);
        }
        T::default()
    })
}
