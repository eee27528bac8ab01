//! Deliveries as the forges document them.

use super::*;

type Headers = [(&'static str, &'static str)];

fn header<'a>(headers: &'a Headers) -> impl Fn(&str) -> Option<&'a str> + Copy {
    |name| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
}

fn told(headers: &Headers, body: &str) -> Result<Option<Notice>, String> {
    read(Sender::of(header(headers)), header(headers), body.as_bytes())
}

const GITHUB: &str = r#"{"ref":"refs/heads/main","after":"6113728","repository":{"id":1,"full_name":"Codertocat/Hello",
  "html_url":"https://github.com/Codertocat/Hello","clone_url":"https://github.com/Codertocat/Hello.git",
  "ssh_url":"git@github.com:Codertocat/Hello.git","default_branch":"main","url":"https://api.github.com/x"}}"#;

#[test]
fn a_push_is_read_as_each_forge_sends_it() {
    let github = told(&[("x-github-event", "push")], GITHUB).unwrap().unwrap();
    let names: Vec<&str> = github.repositories.iter().map(String::as_str).collect();
    assert_eq!(names, ["github.com/codertocat/hello"], "its three addresses are one place");
    assert!(
        github.moves("main") && github.moves("HEAD") && github.moves("") && github.moves("refs/heads/main")
    );
    assert!(!github.moves("stable") && !github.moves("6113728c0ffee") && !github.moves("^1.2"));

    let both = [("x-github-event", "push"), ("x-gitea-event", "push"), ("x-gogs-event", "push")];
    assert_eq!(Sender::of(header(&both)), Sender::Gitea, "it sets the others' headers too");
    assert!(told(&both, GITHUB).unwrap().is_some());

    let gitlab = r#"{"object_kind":"tag_push","event_name":"tag_push","ref":"refs/tags/v1.4.0","project":{"id":15,
        "git_http_url":"http://example.com/jsmith/example.git","git_ssh_url":"git@example.com:jsmith/example.git",
        "web_url":"http://example.com/jsmith/example","default_branch":"master"},"repository":{"name":"example","url":"x"}}"#;
    let notice = told(&[("x-gitlab-event", "Tag Push Hook")], gitlab).unwrap().unwrap();
    assert!(notice.is_of("https://example.com/jsmith/example") && notice.is_of_project("15"));
    assert!(
        notice.moves("v1.4.0") && notice.moves("^1.2") && !notice.moves("HEAD") && !notice.moves("master")
    );
    let system = told(&[("x-gitlab-event", "System Hook")], gitlab).unwrap();
    assert_eq!(system, Some(notice), "an administrator's hook says what it is in its body");

    let plain = told(&[], r#"{"repository":"file:///srv/shop","ref":"refs/heads/main"}"#).unwrap().unwrap();
    assert!(plain.is_of("file:///srv/shop/") && plain.moves("HEAD"), "the default branch is not known");
}

#[test]
fn a_pull_request_concerns_its_project_and_no_branch() {
    for (headers, body) in [
        (
            [("x-github-event", "pull_request")],
            r#"{"repository":{"clone_url":"https://github.com/acme/shop.git"}}"#,
        ),
        (
            [("x-gitea-event", "pull_request_label")],
            r#"{"repository":{"clone_url":"https://git.example/acme/shop.git"}}"#,
        ),
        (
            [("x-gitlab-event", "Merge Request Hook")],
            r#"{"project":{"git_http_url":"https://gitlab.com/acme/shop.git"}}"#,
        ),
    ] {
        let notice = told(&headers, body).unwrap().unwrap();
        assert_eq!(notice.change, Change::PullRequest);
        assert!(
            notice.is_of_project("Acme/Shop") && !notice.is_of_project("hop") && !notice.is_of_project("")
        );
        assert!(!notice.moves("HEAD"));
    }
}

#[test]
fn what_nobody_waits_for_is_passed_over_and_what_is_wrong_is_named() {
    assert_eq!(told(&[("x-github-event", "ping")], "{}"), Ok(None));
    assert_eq!(told(&[("x-github-event", "star")], "no json"), Ok(None));
    assert_eq!(told(&[("x-gitlab-event", "System Hook")], r#"{"event_name":"user_create"}"#), Ok(None));
    let said = |headers: &Headers, body: &str| told(headers, body).unwrap_err();
    assert!(said(&[("x-github-event", "push")], "payload=%7B").starts_with("the body is not its JSON"));
    assert!(said(&[("x-github-event", "push")], r#"{"ref":"refs/heads/x"}"#).starts_with("repository: "));
    assert!(
        said(&[("x-gitlab-event", "Push Hook")], r#"{"ref":"refs/heads/x"}"#)
            .starts_with("project.git_http_url: ")
    );
    assert!(said(&[], r#"{"repository":"https://x/y","ref":"main"}"#).starts_with("ref: "));
}

#[test]
fn only_who_knows_the_secret_is_heard() {
    // GitHub's own example, "Validating webhook deliveries".
    let (secret, body) = ("It's a Secret to Everybody", b"Hello, World!");
    let proof = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let bare = &proof["sha256=".len()..];
    for (sender, name, proof) in [
        (Sender::GitHub, "x-hub-signature-256", proof),
        (Sender::Gitea, "x-gitea-signature", bare),
        (Sender::Gitea, "x-gogs-signature", bare),
        (Sender::Plain, "x-signature", proof),
        (Sender::GitLab, "x-gitlab-token", secret),
    ] {
        let check = |proof: Option<&'static str>, body: &[u8], secret: &str| {
            let headers = proof.map(|proof| [(name, proof)]);
            let headers = headers.as_ref().map_or(&[][..], |all| &all[..]);
            sender.verify(
                |wanted| headers.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value),
                body,
                secret,
            )
        };
        assert_eq!(check(Some(proof), body, secret), Ok(()), "{name}");
        assert!(check(Some(proof), body, "another").unwrap_err().contains(sender.secret_key()), "{name}");
        assert!(check(None, body, secret).unwrap_err().contains("missing"), "{name}");
        for wrong in ["", "sha256=", "sha256=zz", "sha256=75", "It's a secret to everybody"] {
            assert!(check(Some(wrong), body, secret).is_err(), "{name}: {wrong}");
        }
        if sender != Sender::GitLab {
            assert!(check(Some(proof), b"Hello, world!", secret).is_err(), "{name}: another body");
        }
    }
}

#[test]
fn a_repository_is_told_by_its_place_however_it_is_reached() {
    for url in [
        "https://Git.Example/Acme/Shop.git",
        "http://git.example/acme/shop",
        "git@git.example:acme/shop.git",
        "ssh://git@git.example:2222/acme/shop.git",
        "https://user:token@git.example/acme/shop/",
    ] {
        assert_eq!(place(url), "git.example/acme/shop", "{url}");
    }
    assert_eq!(place("http://127.0.0.1:3000/.git"), "127.0.0.1:3000");
    assert_ne!(place("https://git.example/acme/shop"), place("https://git.example/acme/shops"));
}
