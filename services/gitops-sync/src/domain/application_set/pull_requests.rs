//! The pull-request generator: a set of parameters for each open pull request.

use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parameters::{Parameters, slug};
use super::{Context, Found, Halt, Need, generators};

/// Longest pattern of a filter, in bytes of what it compiles to.
const PATTERN: usize = 1 << 16;

/// Whose API lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forge {
    /// GitHub, or its Enterprise Server.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gitea, or Forgejo.
    Gitea,
}

/// A Secret's key, in the set's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRef {
    /// Name of the Secret.
    pub secret_name: String,
    /// Key in it.
    pub key: String,
}

/// Which pull requests are asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Query {
    /// Whose API.
    pub forge: Forge,
    /// Its address, without a slash at the end.
    pub api: String,
    /// `owner/repository`; of GitLab, the project's path or number.
    pub repository: String,
    /// The token.
    pub token: Option<TokenRef>,
}

/// One open pull request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullRequest {
    /// Number within the repository.
    pub number: i64,
    /// Title.
    pub title: String,
    /// The branch that is to be merged.
    pub branch: String,
    /// The branch that it is to be merged into.
    pub target_branch: String,
    /// The newest commit.
    pub head: String,
    /// Labels.
    pub labels: Vec<String>,
    /// Who opened it.
    pub author: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Generator {
    github: Option<Repository>,
    gitlab: Option<Repository>,
    gitea: Option<Repository>,
    filters: Vec<Filter>,
    bitbucket: Option<Value>,
    bitbucket_server: Option<Value>,
    azuredevops: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Repository {
    api: String,
    owner: String,
    repo: String,
    project: String,
    labels: Vec<String>,
    token_ref: Option<TokenRef>,
    pull_request_state: String,
    app_secret_name: String,
    insecure: bool,
    ca_ref: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Filter {
    branch_match: Option<String>,
    target_branch_match: Option<String>,
    title_match: Option<String>,
}

/// The sets of parameters, by number.
pub(super) fn parameters(context: Context<'_>, spec: &Value, field: &str) -> Result<Vec<Parameters>, Halt> {
    const KNOWN: [&str; 9] = [
        "github",
        "gitlab",
        "gitea",
        "bitbucket",
        "bitbucketServer",
        "azuredevops",
        "filters",
        "values",
        "requeueAfterSeconds",
    ];
    generators::only(spec, &KNOWN, field)?;
    let read = serde_json::from_value(spec.clone());
    let read: Generator =
        read.map_err(|error| Halt::refused(field, format!("is no pull request generator: {error}")))?;
    let (query, labels) = query(&read, field)?;
    let filters = filters(&read.filters, field)?;
    let Found::PullRequests(open) = context.ask(Need::PullRequests(query))? else { return Ok(Vec::new()) };
    let has_labels = |one: &&PullRequest| labels.iter().all(|label| one.labels.contains(label));
    let passes = |one: &&PullRequest| filters.is_empty() || filters.iter().any(|filter| filter(one));
    let mut chosen: Vec<&PullRequest> = open.iter().filter(has_labels).filter(passes).collect();
    chosen.sort_by_key(|one| one.number);
    let all = chosen.into_iter().map(|one| about(context, one)).collect();
    generators::with_values(context, spec, all)
}

fn query(read: &Generator, field: &str) -> Result<(Query, Vec<String>), Halt> {
    let other = [
        ("bitbucket", &read.bitbucket),
        ("bitbucketServer", &read.bitbucket_server),
        ("azuredevops", &read.azuredevops),
    ];
    if let Some((name, _)) = other.iter().find(|(_, value)| value.is_some()) {
        return Err(Halt::refused(&format!("{field}.{name}"), "is not supported"));
    }
    let all = [
        (Forge::GitHub, "github", "https://api.github.com", &read.github),
        (Forge::GitLab, "gitlab", "https://gitlab.com", &read.gitlab),
        (Forge::Gitea, "gitea", "", &read.gitea),
    ];
    let mut named =
        all.iter().filter_map(|(forge, name, api, found)| Some((*forge, *name, *api, found.as_ref()?)));
    let (Some((forge, name, default, repository)), None) = (named.next(), named.next()) else {
        return Err(Halt::refused(field, "must hold one of github, gitlab and gitea"));
    };
    let refuse = |inner: &str, message: &str| Halt::refused(&format!("{field}.{name}.{inner}"), message);
    if !repository.app_secret_name.is_empty() {
        return Err(refuse("appSecretName", "is not supported; use tokenRef"));
    }
    if repository.insecure || repository.ca_ref.is_some() {
        let inner = if repository.insecure { "insecure" } else { "caRef" };
        return Err(refuse(
            inner,
            "is not supported; have the server's certificate signed by a known authority",
        ));
    }
    if !matches!(repository.pull_request_state.as_str(), "" | "open" | "opened") {
        return Err(refuse("pullRequestState", "is not supported, but for `opened`"));
    }
    let path = match forge {
        Forge::GitLab if repository.project.is_empty() => return Err(refuse("project", "is empty")),
        Forge::GitLab => repository.project.clone(),
        _ if repository.owner.is_empty() => return Err(refuse("owner", "is empty")),
        _ if repository.repo.is_empty() => return Err(refuse("repo", "is empty")),
        _ => format!("{}/{}", repository.owner, repository.repo),
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if !path.chars().all(fits) || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(refuse("repo", "names no repository"));
    }
    let api = if repository.api.is_empty() { default } else { &repository.api };
    if api.is_empty() {
        return Err(refuse("api", "is empty"));
    }
    let api = api.trim_end_matches('/').to_owned();
    let query = Query { forge, api, repository: path, token: repository.token_ref.clone() };
    Ok((query, repository.labels.clone()))
}

type Passes = Box<dyn Fn(&PullRequest) -> bool>;

fn filters(filters: &[Filter], field: &str) -> Result<Vec<Passes>, Halt> {
    let mut all: Vec<Passes> = Vec::with_capacity(filters.len());
    for (index, filter) in filters.iter().enumerate() {
        let read = |name: &str, pattern: &Option<String>| {
            let Some(pattern) = pattern else { return Ok(None) };
            let built = regex::RegexBuilder::new(pattern).size_limit(PATTERN).build();
            built.map(Some).map_err(|error| Halt::refused(&format!("{field}.filters[{index}].{name}"), error))
        };
        let branch = read("branchMatch", &filter.branch_match)?;
        let target = read("targetBranchMatch", &filter.target_branch_match)?;
        let title = read("titleMatch", &filter.title_match)?;
        let fits =
            |pattern: &Option<Regex>, text: &str| pattern.as_ref().is_none_or(|one| one.is_match(text));
        all.push(Box::new(move |one: &PullRequest| {
            fits(&branch, &one.branch) && fits(&target, &one.target_branch) && fits(&title, &one.title)
        }));
    }
    Ok(all)
}

fn about(context: Context<'_>, one: &PullRequest) -> Parameters {
    let short = |length: usize| one.head.chars().take(length).collect::<String>();
    let about = json!({
        "number": one.number.to_string(), "title": one.title, "author": one.author,
        "branch": one.branch, "branch_slug": slug(&one.branch),
        "target_branch": one.target_branch, "target_branch_slug": slug(&one.target_branch),
        "head_sha": one.head, "head_short_sha": short(8), "head_short_sha_7": short(7),
    });
    let Value::Object(mut about) = about else { return Parameters::new() };
    if context.go {
        about.insert("labels".to_owned(), json!(one.labels));
    }
    about
}
