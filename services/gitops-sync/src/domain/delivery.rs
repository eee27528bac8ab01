//! What a forge tells of a repository by a webhook: who sent it, whether it is signed, and what changed.
//!
//! A delivery is never taken at its word: it only says where to look. Formats: GitHub's "Webhook events and payloads",
//! GitLab's "Webhook events", Gitea's "Webhooks" (Forgejo and Gogs send the same); and a plain one, for whatever can send a
//! few bytes: `{"repository": URL, "ref": "refs/heads/main"}`, signed as Flux's `generic-hmac` receiver has it.

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::version::Range;

/// Most names of one repository; a forge has four.
const NAMES: usize = 16;
/// Longest name of a repository or a ref, in bytes.
const NAME: usize = 2_048;

/// Who sends deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Gitea, Forgejo or Gogs.
    Gitea,
    /// GitHub.
    GitHub,
    /// GitLab.
    GitLab,
    /// Whatever else.
    Plain,
}

impl Sender {
    /// The sender, by the headers that it alone sets. `header` gives a header by its name in lower case.
    pub fn of<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Self {
        // Gitea sets GitHub's headers too.
        if header("x-gitea-event").or(header("x-gogs-event")).is_some() {
            Self::Gitea
        } else if header("x-github-event").is_some() {
            Self::GitHub
        } else if header("x-gitlab-event").is_some() {
            Self::GitLab
        } else {
            Self::Plain
        }
    }

    /// What it is called in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gitea => "gitea",
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Plain => "plain",
        }
    }

    /// The key of Argo CD's Secret that holds what its deliveries are signed with.
    pub const fn secret_key(self) -> &'static str {
        match self {
            Self::Gitea => "webhook.gogs.secret",
            Self::GitHub => "webhook.github.secret",
            Self::GitLab => "webhook.gitlab.secret",
            Self::Plain => "webhook.generic.secret",
        }
    }

    /// What a delivery shows to prove who sent it.
    ///
    /// # Errors
    /// Nothing; names the header.
    pub fn proof<'a>(self, header: impl Fn(&str) -> Option<&'a str>) -> Result<&'a str, String> {
        let name = self.header();
        let proof = header(name).or_else(|| header("x-gogs-signature").filter(|_| self == Self::Gitea));
        proof.ok_or_else(|| format!("the header {name} is missing"))
    }

    /// The header that proves who sent it.
    const fn header(self) -> &'static str {
        match self {
            Self::Gitea => "x-gitea-signature",
            Self::GitHub => "x-hub-signature-256",
            Self::GitLab => "x-gitlab-token",
            Self::Plain => "x-signature",
        }
    }

    /// Whether a delivery was sent by somebody who knows the secret.
    ///
    /// # Errors
    /// It was not; names the header.
    pub fn verify<'a>(
        self,
        header: impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
        secret: &str,
    ) -> Result<(), String> {
        let (name, proof) = (self.header(), self.proof(header)?);
        let is_proven = if self == Self::GitLab {
            // Compared by their digests, so that the time that it takes tells nothing.
            let digest = |text: &str| keyed(secret, text.as_bytes()).map(|mac| mac.finalize().into_bytes());
            digest(proof).is_some_and(|proof| {
                keyed(secret, secret.as_bytes()).is_some_and(|mac| mac.verify(&proof).is_ok())
            })
        } else {
            let hex = proof.strip_prefix("sha256=").unwrap_or(proof);
            let signature = bytes_of(hex);
            signature.is_some_and(|signature| {
                keyed(secret, body).is_some_and(|mac| mac.verify_slice(&signature).is_ok())
            })
        };
        if is_proven {
            Ok(())
        } else {
            Err(format!("the header {name} does not fit `{}`", self.secret_key()))
        }
    }
}

fn keyed(secret: &str, data: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(data);
    Some(mac)
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) || digits.len() > 128 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    digits.chunks(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.last()?)?)).collect()
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A branch or a tag is somewhere else: its full name, and the branch that `HEAD` is, where that is known.
    Push {
        /// `refs/heads/…` or `refs/tags/…`.
        reference: String,
        /// Name of the default branch.
        head: Option<String>,
    },
    /// A pull request was opened, closed or changed.
    PullRequest,
}

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The repository, by each of its names ([`place`]).
    pub repositories: BTreeSet<String>,
    /// What is said of it.
    pub change: Change,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Body {
    #[serde(rename = "ref")]
    reference: Option<String>,
    repository: Option<Repository>,
    project: Option<Project>,
    object_kind: Option<String>,
    event_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Repository {
    Address(String),
    Forges(ForgeRepository),
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ForgeRepository {
    clone_url: Option<String>,
    html_url: Option<String>,
    ssh_url: Option<String>,
    default_branch: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Project {
    id: Option<u64>,
    git_http_url: Option<String>,
    git_ssh_url: Option<String>,
    web_url: Option<String>,
    default_branch: Option<String>,
}

/// What a delivery says; none where it is of something that nobody here waits for.
///
/// # Errors
/// What is wrong with it, by its field.
pub fn read<'a>(
    sender: Sender,
    header: impl Fn(&str) -> Option<&'a str>,
    body: &[u8],
) -> Result<Option<Notice>, String> {
    let event = match sender {
        Sender::Gitea => header("x-gitea-event").or(header("x-gogs-event")),
        Sender::GitHub => header("x-github-event"),
        Sender::GitLab => header("x-gitlab-event"),
        Sender::Plain => Some("push"),
    };
    let event = event.unwrap_or_default();
    let mut kind = event.to_lowercase();
    let is_known = |kind: &str| is_push(kind) || is_pull_request(kind);
    if !is_known(&kind) && kind != "system hook" {
        return Ok(None);
    }
    let body: Body =
        serde_json::from_slice(body).map_err(|error| format!("the body is not its JSON: {error}"))?;
    if kind == "system hook" {
        kind = body.object_kind.or(body.event_name).unwrap_or_default();
    }
    let (mut names, mut head) = (Vec::new(), None);
    match body.repository {
        Some(Repository::Address(url)) => names.push(Some(url)),
        Some(Repository::Forges(one)) => {
            names.extend([one.clone_url, one.html_url, one.ssh_url]);
            head = one.default_branch;
        }
        None => {}
    }
    if let Some(project) = body.project {
        names.extend([project.git_http_url, project.git_ssh_url, project.web_url]);
        names.push(project.id.map(numbered));
        head = project.default_branch.or(head);
    }
    if !is_known(&kind) {
        return Ok(None);
    }
    let names = names.into_iter().flatten().filter(|name| !name.is_empty() && name.len() <= NAME);
    let repositories: BTreeSet<String> = names.take(NAMES).map(|name| place(&name)).collect();
    if repositories.is_empty() {
        let field = if sender == Sender::GitLab { "project.git_http_url" } else { "repository" };
        return Err(format!("{field}: names no repository"));
    }
    let change = if is_pull_request(&kind) {
        Change::PullRequest
    } else {
        let reference = body.reference.filter(|name| name.starts_with("refs/") && name.len() <= NAME);
        let reference = reference.ok_or("ref: is not a branch or tag in full, such as refs/heads/main")?;
        Change::Push { reference, head }
    };
    Ok(Some(Notice { repositories, change }))
}

fn is_push(kind: &str) -> bool {
    ["push", "push hook", "tag push hook", "tag_push"].contains(&kind)
}

fn is_pull_request(kind: &str) -> bool {
    kind.starts_with("pull_request") || ["merge request hook", "merge_request"].contains(&kind)
}

/// How a project is called by its number.
fn numbered(id: u64) -> String {
    format!("#{id}")
}

/// Where a repository is, however it is reached: `host[:port]/path` in lower case. A forge names its
/// repositories by addresses of the outside, a cluster may read them by others of the same host.
pub fn place(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme, rest.to_owned()),
        // `git@host:path`, as scp has it.
        None => ("", url.replacen(':', "/", 1)),
    };
    let (host, path) = rest.split_once('/').unwrap_or((&rest, ""));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = if scheme == "ssh" { host.split_once(':').map_or(host, |(host, _)| host) } else { host };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    format!("{host}/{path}").trim_end_matches('/').to_lowercase()
}

impl Notice {
    /// Whether it is of this repository.
    pub fn is_of(&self, url: &str) -> bool {
        self.repositories.contains(&place(url))
    }

    /// Whether it is of a project of a forge, by its path (`owner/name`) or its number.
    pub fn is_of_project(&self, project: &str) -> bool {
        let project = project.trim_matches('/').to_lowercase();
        !project.is_empty()
            && self.repositories.iter().any(|name| {
                let named = name.strip_suffix(&project).is_some_and(|before| before.ends_with('/'));
                named || name.strip_prefix('#') == Some(&project)
            })
    }

    /// Whether a revision of the repository may be another commit now.
    pub fn moves(&self, revision: &str) -> bool {
        let Change::Push { reference, head } = &self.change else { return false };
        let (branch, tag) = (reference.strip_prefix("refs/heads/"), reference.strip_prefix("refs/tags/"));
        match revision {
            "" | "HEAD" => branch.is_some() && head.as_deref().is_none_or(|head| branch == Some(head)),
            full if full.starts_with("refs/") => full == reference,
            name => {
                branch == Some(name) || tag == Some(name) || (tag.is_some() && Range::read(name).is_some())
            }
        }
    }
}

#[cfg(test)]
mod tests;
