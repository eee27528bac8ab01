//! Real repositories, made by the git command line; the remote ones are served over HTTP.

use std::path::Path;
use std::process::Command;

use mlp_harness::GitServer;
use tempfile::TempDir;

use super::*;

struct Repo(TempDir);

impl Repo {
    fn new() -> Self {
        let repo = Self(tempfile::tempdir().unwrap());
        repo.git(&["init", "--quiet", "--initial-branch", "main"]);
        repo
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-C"])
            .arg(self.0.path())
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .expect("git is needed: install the package git");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let path = self.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn url(&self) -> String {
        format!("file://{}", self.0.path().display())
    }
}

fn options(folder: &Path) -> Options {
    Options {
        folder: folder.to_owned(),
        interval: Duration::from_secs(600),
        allow_files: true,
        max_bytes: 1 << 30,
        deadline: Duration::from_secs(20),
        limits: Limits::default(),
    }
}

fn query(url: &str, revision: &str, path: &str) -> Query {
    let (url, revision, path) = (url.into(), revision.into(), path.into());
    let files = crate::domain::request::FileRules { recurse: true, ..Default::default() };
    Query {
        url,
        credential: None,
        revision,
        path,
        application: "shop".into(),
        rendering: Rendering { files, ..Rendering::default() },
        source: None,
        fresh: false,
    }
}

fn manifests(checkout: &Checkout) -> &[(String, String)] {
    match &checkout.content {
        Content::Manifests(files) => files,
        Content::Tree(tool, _) => panic!("a tree of {tool:?}"),
    }
}

fn paths(checkout: &Checkout) -> Vec<&str> {
    manifests(checkout).iter().map(|(path, _)| path.as_str()).collect()
}

#[tokio::test]
async fn branches_tags_commits_and_head_are_resolved() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    let first = repo.commit(&[
        ("app/a.yaml", "a: 1"),
        ("app/sub/b.json", "{}"),
        ("app/README.md", "x"),
        ("c.yaml", "c: 1"),
    ]);
    repo.git(&["tag", "--annotate", "v1", "--message", "one"]);
    let second = repo.commit(&[("app/a.yaml", "a: 2")]);
    let all = Repositories::new(options(cache.path())).unwrap();
    for (revision, expected) in [
        ("main", &second),
        ("HEAD", &second),
        ("v1", &first),
        ("^1", &first),
        ("v1.x || >=3", &first),
        (first.as_str(), &first),
        (&first[..8], &first),
        ("refs/heads/main", &second),
    ] {
        let checkout = all.read(query(&repo.url(), revision, "app")).await.unwrap();
        assert_eq!(&checkout.revision, expected, "{revision}");
        assert_eq!(paths(&checkout), ["app/a.yaml", "app/sub/b.json"]);
    }
    let flat = Query { rendering: Rendering::default(), ..query(&repo.url(), "main", "") };
    assert_eq!(paths(&all.read(flat).await.unwrap()), ["c.yaml"]);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.commit(&[("a.yaml", "a: 1")]);
    let all = Repositories::new(options(cache.path())).unwrap();
    let error = |url: String, revision: &'static str, path: &'static str| {
        let all = &all;
        async move { all.read(query(&url, revision, path)).await.unwrap_err() }
    };
    assert!(matches!(error(repo.url(), "gone", "").await, Error::NoRevision { .. }));
    assert!(matches!(error(repo.url(), "0123456789", "").await, Error::NoRevision { .. }));
    assert!(matches!(error(repo.url(), "main", "gone").await, Error::NoPath { .. }));
    assert!(matches!(error("file:///nowhere/at/all".into(), "main", "").await, Error::Unreachable { .. }));
    assert_eq!(error("http://127.0.0.1:1/x".into(), "main", "").await.class(), Class::Transient);
}

#[tokio::test]
async fn bounds_links_and_binary_files_are_refused() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.commit(&[("a.yaml", "a: 1"), ("b.yaml", "b: 1")]);
    let with = |limits| Repositories::new(Options { limits, ..options(cache.path()) }).unwrap();
    let few = with(Limits { files: 1, ..Limits::default() });
    assert!(matches!(few.read(query(&repo.url(), "main", "")).await, Err(Error::TooMuch { .. })));
    let small = with(Limits { bytes: 6, ..Limits::default() });
    assert!(matches!(small.read(query(&repo.url(), "main", "")).await, Err(Error::TooMuch { .. })));
    std::os::unix::fs::symlink("/etc/passwd", repo.0.path().join("link.yaml")).unwrap();
    repo.commit(&[]);
    let all = with(Limits::default());
    let error = all.read(query(&repo.url(), "main", "")).await.unwrap_err();
    assert!(error.to_string().starts_with("link.yaml: is a symbolic link"), "{error}");
    let off = Repositories::new(Options { allow_files: false, ..options(cache.path()) }).unwrap();
    assert!(matches!(off.read(query(&repo.url(), "main", "")).await, Err(Error::FilesNotAllowed(_))));
}

/// Serves a repository over HTTP.
fn serve(repo: &Repo) -> GitServer {
    GitServer::start(repo.0.path().to_owned(), None).unwrap()
}

#[tokio::test]
async fn a_remote_is_mirrored_once_for_all_and_fetched_again_when_asked() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    let first = repo.commit(&[("app/a.yaml", "a: 1"), ("other/b.yaml", "b: 1")]);
    let server = serve(&repo);
    let url = server.url.clone();
    let all = Repositories::new(options(cache.path())).unwrap();
    assert_eq!(all.read(query(&url, "main", "app")).await.unwrap().revision, first);
    let after_first = server.requests();
    assert_eq!(paths(&all.read(query(&url, "HEAD", "other")).await.unwrap()), ["other/b.yaml"]);
    assert_eq!(server.requests(), after_first);
    let second = repo.commit(&[("app/a.yaml", "a: 2")]);
    assert_eq!(all.read(query(&url, "main", "app")).await.unwrap().revision, first);
    let fresh = Query { fresh: true, ..query(&url, "main", "app") };
    assert_eq!(all.read(fresh.clone()).await.unwrap().revision, second);
    repo.git(&["tag", "v1.4.0", &first]);
    repo.git(&["tag", "--annotate", "v1.10.0", "--message", "newest", &second]);
    let ranged = Query { fresh: true, ..query(&url, "~1.4 || ^1.9", "app") };
    assert_eq!(all.read(ranged).await.unwrap().revision, second);
    assert_eq!(all.read(query(&url, "~1.4", "app")).await.unwrap().revision, first);
    repo.git(&["checkout", "--quiet", "--detach"]);
    repo.git(&["branch", "--delete", "--force", "main"]);
    assert!(matches!(all.read(fresh).await, Err(Error::NoRevision { .. })));
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn what_is_said_to_be_newer_is_fetched_once_and_again_where_that_fails() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    let first = repo.commit(&[("a.yaml", "a: 1")]);
    let server = serve(&repo);
    let all = Repositories::new(options(cache.path())).unwrap();
    let read = || async { all.read(query(&server.url, "main", "")).await.map(|found| found.revision) };
    assert_eq!(read().await.unwrap(), first);
    let second = repo.commit(&[("a.yaml", "a: 2")]);
    all.outdate(|url| url.contains("elsewhere"));
    assert_eq!(read().await.unwrap(), first);
    all.outdate(|url| normal_url(&server.url) == url);
    let away = repo.0.path().join(".git");
    std::fs::rename(&away, repo.0.path().join("away")).unwrap();
    assert!(matches!(read().await, Err(Error::Unreachable { .. })));
    std::fs::rename(repo.0.path().join("away"), &away).unwrap();
    assert_eq!(read().await.unwrap(), second);
    let requests = server.requests();
    assert_eq!(read().await.unwrap(), second);
    assert_eq!(server.requests(), requests);
}

#[tokio::test]
async fn files_in_the_folder_say_how_it_is_read_and_not_where_it_is() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    let all = Repositories::new(options(cache.path())).unwrap();
    let source = argocd::Source { repo_url: repo.url(), path: Some("app".into()), ..Default::default() };
    let read = || all.read(Query { source: Some(source.clone()), ..query(&repo.url(), "main", "app") });
    let names = ["app/a.yaml", "app/b.yaml", "app/.argocd-source.yaml", "app/.argocd-source-shop.yaml"];
    let [a, b, of_all, of_shop] = names;
    let other = ("app/.argocd-source-other.yaml", "directory: {include: none}");
    repo.commit(&[(a, "a: 1"), (b, "b: 1"), other]);
    let plain = read().await.unwrap();
    assert_eq!((paths(&plain), plain.overridden.clone()), (vec![a, b], None));
    repo.commit(&[(of_all, "path: elsewhere\ndirectory: {include: '*.yaml', exclude: a.yaml}")]);
    let overridden = read().await.unwrap();
    assert_eq!((paths(&overridden), overridden.overridden.is_some()), (vec![b], true));
    // What is of one Application counts more, field by field.
    repo.commit(&[(of_shop, "directory: {exclude: b.yaml}")]);
    assert_eq!(paths(&read().await.unwrap()), [a]);
    let file = all.read(query(&repo.url(), "main", "app")).await.unwrap();
    assert_eq!(paths(&file), [a, b], "one that only looks for a file is not told");
    for (text, expected) in [
        ("helm: {fileParameter: x}", "spec.source.helm.fileParameter"),
        ("plugin: {}", "spec.source.plugin is not supported"),
        ("a, b", "is no mapping of fields of a source"),
        ("directory: {include: '['}", "spec.source.directory.include"),
        ("kustomise: {}", "spec.source.kustomise is not supported"),
    ] {
        repo.commit(&[(of_shop, text)]);
        let error = read().await.unwrap_err().to_string();
        assert!(error.starts_with(of_shop) && error.contains(expected), "{text}: {error}");
    }
}

#[tokio::test]
async fn mirrors_are_bounded() {
    let (one, other, cache) = (Repo::new(), Repo::new(), tempfile::tempdir().unwrap());
    one.commit(&[("a.yaml", "a: 1")]);
    other.commit(&[("a.yaml", "a: 1")]);
    let (first, second) = (serve(&one).url, serve(&other).url);
    let all = Repositories::new(options(cache.path())).unwrap();
    all.read(query(&first, "main", "")).await.unwrap();
    let size = usage::of(cache.path());
    assert!(size > 0);
    let tight = Repositories::new(Options { max_bytes: size + size / 2, ..options(cache.path()) }).unwrap();
    tight.read(Query { fresh: true, ..query(&first, "main", "") }).await.unwrap();
    tight.read(Query { fresh: true, ..query(&second, "main", "") }).await.unwrap();
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 1, "the older mirror is gone");
    let none = Repositories::new(Options { max_bytes: 10, ..options(cache.path()) }).unwrap();
    assert!(matches!(none.read(query(&first, "main", "")).await, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn a_credential_is_not_sent_in_clear_text_and_no_mirror_is_shared_with_whoever_has_none() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.commit(&[("a.yaml", "a: 1")]);
    let server = GitServer::start(repo.0.path().to_owned(), Some("cm9ib3Q6czNjcmV0")).unwrap();
    let url = server.url.clone();
    let data = [("url", url.as_str()), ("username", "robot"), ("password", "s3cret")];
    let data = data.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let credential = Credential::read("git", "u", "1", "repository", &data);
    let all = Repositories::new(options(cache.path())).unwrap();
    let error = all.read(Query { credential, ..query(&url, "main", "") }).await.unwrap_err();
    assert!(error.to_string().contains("clear text") && !error.to_string().contains("s3cret"), "{error}");
    assert!(server.requests() >= 1);
    assert!(matches!(all.read(query(&url, "main", "")).await, Err(Error::Unreachable { .. })));
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 2, "one for each who asks");
}
