//! Whether what a forge tells may change what a set makes.

use serde_json::Value;

use crate::domain::delivery::{Change, Notice};

/// Whether one of the generators, or of those within them, reads what the notice is of. A place that is a template
/// may be any.
pub fn concerns(generators: &[Value], notice: &Notice) -> bool {
    generators.iter().any(|generator| reads(generator, notice))
}

fn reads(value: &Value, notice: &Notice) -> bool {
    let Value::Object(fields) = value else {
        return value.as_array().is_some_and(|items| concerns(items, notice));
    };
    fields.iter().any(|(kind, spec)| match (kind.as_str(), &notice.change) {
        ("git", Change::Push { .. }) => {
            text(spec, "repoURL").is_some_and(|url| may_be(url, |url| notice.is_of(url)))
        }
        ("git", Change::PullRequest) | ("pullRequest", Change::Push { .. }) => false,
        ("pullRequest", Change::PullRequest) => {
            projects(spec).is_some_and(|project| may_be(&project, |project| notice.is_of_project(project)))
        }
        _ => reads(spec, notice),
    })
}

fn may_be(text: &str, is: impl Fn(&str) -> bool) -> bool {
    text.contains("{{") || is(text)
}

/// The forge's project that a pull-request generator asks for.
fn projects(spec: &Value) -> Option<String> {
    let own = |forge: &str| {
        let forge = spec.get(forge)?;
        Some(format!("{}/{}", text(forge, "owner")?, text(forge, "repo")?))
    };
    let gitlab = || spec.get("gitlab").and_then(|gitlab| text(gitlab, "project")).map(str::to_owned);
    own("github").or_else(|| own("gitea")).or_else(gitlab)
}

fn text<'a>(spec: &'a Value, field: &str) -> Option<&'a str> {
    spec.get(field)?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn notice(change: Change) -> Notice {
        Notice { repositories: ["git.example/acme/shop".to_owned(), "#15".to_owned()].into(), change }
    }

    #[test]
    fn a_set_is_meant_where_a_generator_reads_the_repository_or_its_pull_requests() {
        let push = notice(Change::Push { reference: "refs/heads/main".into(), head: None });
        let request = notice(Change::PullRequest);
        let git = |url: &str| json!({"git": {"repoURL": url, "files": [{"path": "pullRequest"}]}});
        let pulls = |forge: Value| json!({"pullRequest": forge});
        let matrix = |inner: Value| json!({"matrix": {"generators": [{"list": {"elements": []}}, inner]}});
        for (generator, by_push, by_request) in [
            (git("https://git.example/acme/shop.git"), true, false),
            (git("https://git.example/acme/other.git"), false, false),
            (git("{{ url }}"), true, false),
            (matrix(git("git@git.example:acme/shop.git")), true, false),
            (pulls(json!({"gitea": {"owner": "acme", "repo": "shop", "api": "x"}})), false, true),
            (pulls(json!({"github": {"owner": "acme", "repo": "shops"}})), false, false),
            (pulls(json!({"gitlab": {"project": "15"}})), false, true),
            (matrix(pulls(json!({"github": {"owner": "{{ owner }}", "repo": "shop"}}))), false, true),
            (json!({"clusters": {}}), false, false),
        ] {
            let all = [generator.clone()];
            assert_eq!(
                (concerns(&all, &push), concerns(&all, &request)),
                (by_push, by_request),
                "{generator}"
            );
        }
    }
}
