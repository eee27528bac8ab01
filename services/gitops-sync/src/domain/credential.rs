//! Credentials for repositories, where Argo CD keeps them: Secrets of the control namespace, labelled
//! `argocd.argoproj.io/secret-type`, one for a repository or for all whose address begins so.

use std::collections::BTreeMap;

use mlp_model::Secret;

use super::project::{Tenant, normal_url};

/// The label that says what a Secret is for.
pub const SECRET_TYPE: &str = "argocd.argoproj.io/secret-type";
/// Of one repository.
const REPOSITORY: &str = "repository";
/// Of all repositories whose address begins with its `url`.
const PREFIX: &str = "repo-creds";
/// Fields that would be needed to reach the repository, and that we do not use yet.
const UNSUPPORTED: [&str; 10] = [
    "sshPrivateKey",
    "tlsClientCertData",
    "tlsClientCertKey",
    "githubAppPrivateKey",
    "gcpServiceAccountKey",
    "bearerToken",
    "useAzureWorkloadIdentity",
    "proxy",
    "insecure",
    "enableOCI",
];

/// One Secret, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The Secret's name, which messages may say.
    pub name: String,
    /// What tells one version of it from another: what was fetched with one is not shown for the other.
    pub id: String,
    /// User name; empty where there is none.
    pub username: String,
    /// Password or token.
    pub password: Secret<String>,
    url: String,
    is_prefix: bool,
    project: String,
    unsupported: Option<&'static str>,
}

impl Credential {
    /// Reads a Secret; none where it is for something else. `uid` and `version` are those of the Secret.
    pub fn read(
        name: &str,
        uid: &str,
        version: &str,
        kind: &str,
        data: &BTreeMap<String, String>,
    ) -> Option<Self> {
        let text = |key: &str| data.get(key).cloned().unwrap_or_default();
        let is_prefix = match kind {
            REPOSITORY => false,
            PREFIX => true,
            _ => return None,
        };
        if text("url").is_empty() || text("type") == "helm" || text("type") == "oci" {
            return None;
        }
        let is_set = |key: &&&str| data.get(**key).is_some_and(|value| !value.is_empty() && value != "false");
        Some(Self {
            name: name.to_owned(),
            id: format!("{uid}/{version}"),
            username: text("username"),
            password: Secret::new(text("password")),
            url: normal_url(&text("url")),
            is_prefix,
            project: text("project"),
            unsupported: UNSUPPORTED.iter().find(is_set).copied(),
        })
    }

    /// Whether it holds a way in, or names one that we do not have.
    fn is_useful(&self) -> bool {
        !self.username.is_empty() || !self.password.expose().is_empty() || self.unsupported.is_some()
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Address of the repository.
    pub url: &'a str,
    /// Name of the Application's project.
    pub project: &'a str,
    /// Whether that project exists, so that its `sourceRepos` were checked.
    pub is_checked: bool,
    /// Whose the Application is.
    pub tenant: &'a Tenant,
}

/// The credential for a repository: of the repository itself before those that begin like it, of the project before
/// those of all.
///
/// One that is no project's own is for Applications of the platform and of projects that exist: where nobody said
/// which repositories a team may read, it reads those that everybody may.
///
/// # Errors
/// The credential that is meant asks for what is not supported; names Secret and field.
pub fn choose<'a>(all: &'a [Credential], asker: Asker<'_>) -> Result<Option<&'a Credential>, String> {
    let url = normal_url(asker.url);
    let may_share = asker.is_checked || *asker.tenant == Tenant::Platform;
    let fits = |one: &&Credential| {
        let is_allowed =
            if one.project.is_empty() { may_share } else { one.project == asker.project && asker.is_checked };
        let is_meant = if one.is_prefix { begins(&url, &one.url) } else { url == one.url };
        is_allowed && is_meant && one.is_useful()
    };
    let rank = |one: &&Credential| (!one.is_prefix, one.url.len(), !one.project.is_empty());
    let Some(chosen) = all.iter().filter(fits).max_by_key(rank) else { return Ok(None) };
    match chosen.unsupported {
        Some(field) => Err(format!(
            "the Secret {} for it has `{field}`, which is not supported; use username and password",
            chosen.name
        )),
        None => Ok(Some(chosen)),
    }
}

/// Whether an address begins with another, at the end of a part of it.
fn begins(url: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    url.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, kind: &str, data: &[(&str, &str)]) -> Option<Credential> {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Credential::read(name, "u", "1", kind, &data)
    }

    fn creds(name: &str, kind: &str, url: &str, project: &str) -> Credential {
        read(name, kind, &[("url", url), ("username", "git"), ("password", "s3cret"), ("project", project)])
            .unwrap()
    }

    fn chosen(all: &[Credential], url: &str, is_checked: bool, tenant: &Tenant) -> Option<String> {
        let asker = Asker { url, project: "shop", is_checked, tenant };
        choose(all, asker).unwrap().map(|one| one.name.clone())
    }

    #[test]
    fn the_nearest_to_the_repository_counts() {
        let all = [
            creds("host", PREFIX, "https://git.example", ""),
            creds("group", PREFIX, "https://git.example/shop/", ""),
            creds("own", REPOSITORY, "https://git.example/shop/web.git", ""),
            creds("projects", REPOSITORY, "https://git.example/shop/web", "shop"),
            creds("others", REPOSITORY, "https://git.example/shop/api", "other"),
        ];
        let platform = Tenant::Platform;
        let of = |url| chosen(&all, url, true, &platform);
        assert_eq!(of("https://git.example/shop/web").as_deref(), Some("projects"));
        assert_eq!(of("https://git.example/shop/api.git").as_deref(), Some("group"));
        assert_eq!(of("https://git.example/x").as_deref(), Some("host"));
        assert_eq!(of("https://git.example.evil/x"), None, "another host that begins the same");
        assert_eq!(of("https://git.example/shopping/x").as_deref(), Some("host"));
    }

    #[test]
    fn a_team_without_a_project_reads_what_everybody_may() {
        let all = [
            creds("host", PREFIX, "https://git.example", ""),
            creds("own", PREFIX, "https://git.example", "shop"),
        ];
        let team = Tenant::Team("ml".into());
        assert_eq!(chosen(&all, "https://git.example/x", false, &team), None);
        assert_eq!(chosen(&all, "https://git.example/x", true, &team).as_deref(), Some("own"));
        assert_eq!(
            chosen(&all[..1], "https://git.example/x", false, &Tenant::Platform).as_deref(),
            Some("host")
        );
    }

    #[test]
    fn what_is_not_supported_is_said_and_what_is_for_charts_is_not_git() {
        let ssh = read("deploy-key", REPOSITORY, &[("url", "https://git.example/a"), ("sshPrivateKey", "k")])
            .unwrap();
        let platform = Tenant::Platform;
        let asker =
            Asker { url: "https://git.example/a", project: "default", is_checked: false, tenant: &platform };
        let said = choose(&[ssh], asker).unwrap_err();
        assert!(said.contains("deploy-key") && said.contains("sshPrivateKey"), "{said}");
        assert_eq!(read("charts", REPOSITORY, &[("url", "https://charts.example"), ("type", "helm")]), None);
        assert_eq!(read("cluster", "cluster", &[("url", "https://x")]), None);
        assert!(!format!("{:?}", creds("a", PREFIX, "https://x", "")).contains("s3cret"));
        let bare =
            read("bare", REPOSITORY, &[("url", "https://git.example/a"), ("insecure", "false")]).unwrap();
        assert_eq!(chosen(&[bare], "https://git.example/a", true, &platform), None, "it says nothing");
    }
}
