//! What a project, or the platform's own rule where there is none, lets an Application do.

use mlp_crds::argocd::{AppProjectSpec, ClusterResourceRestriction, GroupKind};
use serde_json::Value;

use super::glob::Glob;
use super::identity::ObjectId;
use super::request::Refusal;

/// The project that need not exist.
pub const DEFAULT: &str = "default";

/// What a project may ask for that narrows its Applications, and that we cannot do yet: to pass over it would
/// let through what it forbids.
const NARROWING: [&str; 3] = ["signatureKeys", "sourceIntegrity", "destinationServiceAccounts"];

/// Who a namespace belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenant {
    /// The platform itself.
    Platform,
    /// A team, by its namespace label.
    Team(String),
    /// Nobody: neither a team's nor the platform's.
    Nobody,
}

/// The Application's namespace, its owner and the project's spec where it exists.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Where the Application lives.
    pub namespace: &'a str,
    /// Whose that namespace is.
    pub tenant: &'a Tenant,
    /// The project; none where `default` does not exist.
    pub project: Option<&'a AppProjectSpec>,
}

/// Whether the project lets its Applications use these repositories, each with its field.
pub fn check_sources(scope: Scope<'_>, name: &str, repositories: &[(String, &str)]) -> Option<Refusal> {
    let refuse = |field: &str, message: String| Some(Refusal { field: field.to_owned(), message });
    let project = scope.project?;
    let asks = |key: &&&str| match project.rest.get(**key) {
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        value => value.is_some_and(|value| !value.is_null()),
    };
    if let Some(key) = NARROWING.iter().find(asks) {
        let message = format!("`{name}` has spec.{key}, which is not supported; remove it there");
        return refuse("spec.project", message);
    }
    let may_use =
        *scope.tenant == Tenant::Platform || any(&project.source_namespaces, scope.namespace, false);
    if !may_use {
        let message = format!("`{name}` does not list namespace {} in sourceNamespaces", scope.namespace);
        return refuse("spec.project", message);
    }
    let (field, _) =
        repositories.iter().find(|(_, url)| !permits(&project.source_repos, &normal_url(url), true))?;
    refuse(field, format!("is not among sourceRepos of project `{name}`"))
}

/// Whether the Application may write into a namespace whose owner is known.
///
/// A team's Application reaches the team's namespaces only, whatever the project says; a platform
/// Application reaches every team's and the platform's.
pub fn check_namespace(
    scope: Scope<'_>,
    project_name: &str,
    namespace: &str,
    owner: &Tenant,
) -> Result<(), String> {
    match (scope.tenant, owner) {
        (_, Tenant::Nobody) => {
            return Err(format!("namespace `{namespace}` belongs to no team; use a namespace of a team"));
        }
        (Tenant::Platform, _) => {}
        (Tenant::Team(mine), Tenant::Team(theirs)) if mine == theirs => {}
        (Tenant::Team(mine), _) => return Err(format!("namespace `{namespace}` is not of team {mine}")),
        (Tenant::Nobody, _) => {
            return Err(format!("the Application's own namespace `{}` belongs to no team", scope.namespace));
        }
    }
    match scope.project {
        Some(project) if !permits_destination(project, namespace) => {
            Err(format!("project `{project_name}` does not list namespace `{namespace}` in destinations"))
        }
        _ => Ok(()),
    }
}

/// Whether the project permits the kind. Without a project, cluster-scoped kinds are refused.
pub fn check_kind(scope: Scope<'_>, id: &ObjectId, namespaced: bool) -> Result<(), String> {
    let lists = |list: &[GroupKind]| {
        list.iter().any(|entry| glob(&entry.group, &id.group) && glob(&entry.kind, &id.kind))
    };
    let names = |list: &[ClusterResourceRestriction]| {
        let is_named = |entry: &ClusterResourceRestriction| {
            entry.name.as_ref().is_none_or(|name| name.is_empty() || glob(name, &id.name))
        };
        let fits =
            |entry: &ClusterResourceRestriction| glob(&entry.group, &id.group) && glob(&entry.kind, &id.kind);
        list.iter().any(|entry| fits(entry) && is_named(entry))
    };
    let allowed = match (scope.project, namespaced) {
        (None, namespaced) => namespaced,
        (Some(project), true) => {
            project.namespace_resource_whitelist.as_deref().is_none_or(lists)
                && !lists(&project.namespace_resource_blacklist)
        }
        (Some(project), false) => {
            project.cluster_resource_whitelist.as_deref().is_some_and(names)
                && !names(&project.cluster_resource_blacklist)
        }
    };
    let sort = if namespaced { "namespaced" } else { "cluster-scoped" };
    if allowed { Ok(()) } else { Err(format!("{id}: the project does not permit this {sort} object")) }
}

fn permits_destination(project: &AppProjectSpec, namespace: &str) -> bool {
    const SERVER: &str = "https://kubernetes.default.svc";
    let mut allowed = false;
    for destination in &project.destinations {
        let text = destination.namespace.as_deref().unwrap_or_default();
        let (denied, pattern) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let server = match (&destination.server, &destination.name) {
            (Some(server), _) => glob(server, SERVER),
            (None, Some(name)) => glob(name, "in-cluster"),
            (None, None) => false,
        };
        if server && glob(pattern, namespace) {
            if denied {
                return false;
            }
            allowed = true;
        }
    }
    allowed
}

/// Any positive pattern matches and no `!` pattern does.
fn permits(patterns: &[String], text: &str, path: bool) -> bool {
    let denied = patterns.iter().filter_map(|pattern| pattern.strip_prefix('!'));
    let allowed: Vec<String> = patterns.iter().filter(|pattern| !pattern.starts_with('!')).cloned().collect();
    any(&allowed, text, path) && !denied.into_iter().any(|pattern| matches(pattern, text, path))
}

fn any(patterns: &[String], text: &str, path: bool) -> bool {
    patterns.iter().any(|pattern| matches(pattern, text, path))
}

fn matches(pattern: &str, text: &str, path: bool) -> bool {
    if pattern == "*" {
        return true;
    }
    let pattern = if path { normal_url(pattern) } else { pattern.to_owned() };
    Glob::new(&pattern).is_ok_and(|glob| if path { glob.matches_path(text) } else { glob.matches(text) })
}

fn glob(pattern: &str, text: &str) -> bool {
    matches(pattern, text, false)
}

/// Repository addresses that mean the same are written the same.
pub fn normal_url(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let url = url.strip_suffix(".git").unwrap_or(url);
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            format!("{}://{}/{path}", scheme.to_lowercase(), host.to_lowercase())
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests;
