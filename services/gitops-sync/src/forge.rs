//! Open pull requests, as GitHub, GitLab and Gitea list them.
//!
//! Sources: GitHub REST `GET /repos/{owner}/{repo}/pulls`, GitLab `GET /projects/{id}/merge_requests`, Gitea
//! `GET /repos/{owner}/{repo}/pulls`. Nothing is followed elsewhere, and no token goes over an open connection.

use std::collections::BTreeMap;
use std::time::Duration;

use mlp_model::{Class, Classified, Secret};
use mlp_reconcile::error::chain;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;

use crate::domain::application_set::pull_requests::{Forge, PullRequest, Query};

/// Pull requests of a page: what all three give at most, or less.
const PAGE: usize = 50;
/// Pages read; more open pull requests are refused.
const PAGES: usize = 20;
/// Bytes of a page.
const BYTES: usize = 8 * 1024 * 1024;
/// Longest time of one page.
const DEADLINE: Duration = Duration::from_secs(20);
/// What anybody's set may ask.
const PUBLIC: [&str; 2] = ["https://api.github.com", "https://gitlab.com"];

/// Why pull requests were not listed. The message says what to change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not one that the set may ask, or the token would be shown on the way.
    #[error("{api}: {why}")]
    NotAllowed {
        /// The address.
        api: String,
        /// Why not, and the fix.
        why: String,
    },
    /// It cannot be reached.
    #[error("{api} does not answer: {detail}")]
    Unreachable {
        /// The address.
        api: String,
        /// The cause.
        detail: String,
    },
    /// It refused.
    #[error("{api} answers {status} for {repository}; look at the name and at what its token may read")]
    Refused {
        /// The address.
        api: String,
        /// What was asked for.
        repository: String,
        /// The answer.
        status: StatusCode,
    },
    /// What it answers is no list of pull requests, or too long.
    #[error("{api}: {why}")]
    Strange {
        /// The address.
        api: String,
        /// What is wrong.
        why: String,
    },
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } => Class::Transient,
            Self::Refused { status, .. }
                if status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS =>
            {
                Class::Transient
            }
            Self::NotAllowed { .. } | Self::Refused { .. } | Self::Strange { .. } => Class::Terminal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotAllowed { .. } => "ForgeNotAllowed",
            Self::Unreachable { .. } => "ForgeUnreachable",
            Self::Refused { .. } => "ForgeRefused",
            Self::Strange { .. } => "ForgeAnswerUnreadable",
        }
    }
}

/// Who asks, and with what.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Whether the set is the platform's own: a team's asks what is public alone, because whoever asks from here
    /// stands within the cluster's network.
    pub is_platform: bool,
    /// The token.
    pub token: Option<Secret<String>>,
}

/// Asks forges.
#[derive(Clone, Debug)]
pub struct Forges(reqwest::Client);

impl Forges {
    /// Makes the client.
    ///
    /// # Errors
    /// The system's certificates cannot be read.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().redirect(Policy::none()).timeout(DEADLINE);
        Ok(Self(client.user_agent("mlp-gitops-sync").build()?))
    }

    /// All open pull requests of a repository.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn open(&self, query: &Query, asker: &Asker) -> Result<Vec<PullRequest>, Error> {
        let api = query.api.clone();
        let url = address(query).map_err(|why| Error::NotAllowed { api: api.clone(), why })?;
        allowed(query, &url, asker).map_err(|why| Error::NotAllowed { api: api.clone(), why })?;
        let mut all = BTreeMap::new();
        // One that is closed while pages are read moves others to a page that was read: they are found the second time.
        if !self.pages(query, &url, asker, &mut all).await? {
            self.pages(query, &url, asker, &mut all).await?;
        }
        Ok(all.into_values().collect())
    }

    /// Reads all pages; gives whether there was one alone.
    async fn pages(
        &self,
        query: &Query,
        url: &Url,
        asker: &Asker,
        all: &mut BTreeMap<i64, PullRequest>,
    ) -> Result<bool, Error> {
        let (api, mut filled) = (query.api.clone(), 0);
        for page in 1..=PAGES {
            let found = self.page(query, numbered(query.forge, url, page), asker).await?;
            // Gitea's administrator may have pages be shorter than what is asked for.
            filled += usize::from(!found.is_empty());
            let is_last = found.is_empty() || (query.forge != Forge::Gitea && found.len() < PAGE);
            for one in &found {
                let read = read(query.forge, one);
                let why = || format!("{} answers what is no list of pull requests", query.repository);
                let one = read.ok_or_else(|| Error::Strange { api: api.clone(), why: why() })?;
                all.insert(one.number, one);
            }
            if is_last {
                return Ok(filled <= 1);
            }
        }
        let why = format!("{} has more than {} open pull requests", query.repository, PAGE * PAGES);
        Err(Error::Strange { api, why })
    }

    async fn page(&self, query: &Query, url: Url, asker: &Asker) -> Result<Vec<Value>, Error> {
        let api = || query.api.clone();
        let mut request = self.0.get(url);
        if let Some(token) = &asker.token {
            let (name, text) = match query.forge {
                Forge::GitHub => (AUTHORIZATION, format!("Bearer {}", token.expose())),
                Forge::GitLab => (HeaderName::from_static("private-token"), token.expose().clone()),
                Forge::Gitea => (AUTHORIZATION, format!("token {}", token.expose())),
            };
            let why = || "the token has characters that no header may have; look at its Secret".to_owned();
            let mut value =
                HeaderValue::from_str(&text).map_err(|_| Error::NotAllowed { api: api(), why: why() })?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        // The address of a request is not repeated: it is what the spec says anyhow.
        let unreachable =
            |error: reqwest::Error| Error::Unreachable { api: api(), detail: chain(&error.without_url()) };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(Error::Refused { api: api(), repository: query.repository.clone(), status });
        }
        let body = body(answer).await.map_err(unreachable)?;
        let strange = |why: String| Error::Strange { api: api(), why };
        let body = body.ok_or_else(|| strange(format!("a page has more than {BYTES} bytes")))?;
        serde_json::from_slice(&body).map_err(|error| strange(format!("answers no list: {error}")))
    }
}

/// All of it, unless it is too much.
async fn body(mut answer: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut all = Vec::new();
    while let Some(part) = answer.chunk().await? {
        all.extend_from_slice(&part);
        if all.len() > BYTES {
            return Ok(None);
        }
    }
    Ok(Some(all))
}

fn address(query: &Query) -> Result<Url, String> {
    let mut url = Url::parse(&query.api).map_err(|error| format!("is no address: {error}"))?;
    let path: Vec<&str> = query.repository.split('/').collect();
    let mut parts = url.path_segments_mut().map_err(|()| "is no address of a server".to_owned())?;
    parts.pop_if_empty();
    match query.forge {
        Forge::GitHub => parts.push("repos").extend(path).push("pulls"),
        // The whole path is one part, escaped.
        Forge::GitLab => parts.extend(["api", "v4", "projects", &query.repository, "merge_requests"]),
        Forge::Gitea => parts.extend(["api", "v1", "repos"]).extend(path).push("pulls"),
    };
    drop(parts);
    let state = if query.forge == Forge::GitLab { "opened" } else { "open" };
    url.query_pairs_mut().append_pair("state", state);
    Ok(url)
}

fn numbered(forge: Forge, url: &Url, page: usize) -> Url {
    let mut url = url.clone();
    let size = if forge == Forge::Gitea { "limit" } else { "per_page" };
    url.query_pairs_mut().append_pair(size, &PAGE.to_string()).append_pair("page", &page.to_string());
    url
}

fn allowed(query: &Query, url: &Url, asker: &Asker) -> Result<(), String> {
    if !asker.is_platform && !PUBLIC.contains(&query.api.as_str()) {
        let public = PUBLIC.join(" and ");
        return Err(format!(
            "a team's ApplicationSet may ask {public} alone; have the platform's own ask it"
        ));
    }
    let is_here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if asker.token.is_some() && url.scheme() != "https" && !is_here {
        return Err("the token would be sent over an open connection; use https".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name; use tokenRef".to_owned());
    }
    Ok(())
}

fn read(forge: Forge, one: &Value) -> Option<PullRequest> {
    let text = |path: &str| Some(one.pointer(path)?.as_str()?.to_owned());
    let [number, branch, target, head, author, label] = match forge {
        Forge::GitHub | Forge::Gitea => {
            ["/number", "/head/ref", "/base/ref", "/head/sha", "/user/login", "/name"]
        }
        Forge::GitLab => ["/iid", "/source_branch", "/target_branch", "/sha", "/author/username", ""],
    };
    let labels = one.get("labels").and_then(Value::as_array).into_iter().flatten();
    Some(PullRequest {
        number: one.pointer(number)?.as_i64()?,
        title: text("/title")?,
        branch: text(branch)?,
        target_branch: text(target)?,
        head: text(head)?,
        labels: labels.filter_map(|one| Some(one.pointer(label)?.as_str()?.to_owned())).collect(),
        author: text(author).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn query(forge: Forge, api: &str, repository: &str) -> Query {
        Query { forge, api: api.into(), repository: repository.into(), token: None }
    }

    #[test]
    fn each_forge_is_asked_in_its_own_way() {
        let of = |forge, api, repository| address(&query(forge, api, repository)).unwrap().to_string();
        assert_eq!(
            of(Forge::GitHub, "https://ghe.example/api/v3", "o/r"),
            "https://ghe.example/api/v3/repos/o/r/pulls?state=open"
        );
        assert_eq!(
            of(Forge::GitLab, "https://gitlab.com", "group/sub/p"),
            "https://gitlab.com/api/v4/projects/group%2Fsub%2Fp/merge_requests?state=opened"
        );
        assert_eq!(
            of(Forge::Gitea, "https://g.example", "o/r"),
            "https://g.example/api/v1/repos/o/r/pulls?state=open"
        );
    }

    #[test]
    fn a_team_asks_what_is_public_and_no_token_is_shown_on_the_way() {
        let check = |api: &str, is_platform: bool, token: bool| {
            let query = query(Forge::GitHub, api, "o/r");
            let token = token.then(|| Secret::new("t".to_owned()));
            allowed(&query, &address(&query).unwrap(), &Asker { is_platform, token })
        };
        assert!(check("https://api.github.com", false, true).is_ok());
        assert!(
            check("http://169.254.169.254", false, false)
                .unwrap_err()
                .contains("may ask https://api.github.com")
        );
        assert!(check("https://ghe.example", true, true).is_ok());
        assert!(check("http://ghe.example", true, true).unwrap_err().contains("use https"));
        assert!(check("http://ghe.example", true, false).is_ok());
        assert!(check("https://me:secret@ghe.example", true, false).unwrap_err().contains("tokenRef"));
    }

    #[test]
    fn answers_are_read_as_they_are_documented() {
        let github = json!({"number": 12, "title": "Add it", "user": {"login": "ann"}, "labels": [{"name": "preview"}],
            "head": {"ref": "feat/x", "sha": "abc"}, "base": {"ref": "main"}});
        let gitlab = json!({"iid": 12, "title": "Add it", "author": {"username": "ann"}, "labels": ["preview"],
            "source_branch": "feat/x", "target_branch": "main", "sha": "abc"});
        let one = read(Forge::GitHub, &github).unwrap();
        assert_eq!(read(Forge::GitLab, &gitlab).unwrap(), one);
        assert_eq!((one.number, one.branch.as_str(), one.labels), (12, "feat/x", vec!["preview".to_owned()]));
        assert_eq!(read(Forge::GitHub, &json!({"number": 12})), None);
    }
}
