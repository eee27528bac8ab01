//! `cargo mlp app new`: the files of a new application in a checkout, and its Application. Nothing of the platform is asked.

use std::path::{Component, Path};

use crate::cli::AppNew;
use crate::exit::{Failure, Outcome};

/// What an application consists of, each file in its folder.
const FILES: [(&str, &str); 5] = [
    ("kustomization.yaml", include_str!("template/kustomization.yaml")),
    ("account.yaml", include_str!("template/account.yaml")),
    ("deployment.yaml", include_str!("template/deployment.yaml")),
    ("service.yaml", include_str!("template/service.yaml")),
    ("budget.yaml", include_str!("template/budget.yaml")),
];
/// The Application, beside the folder and not in it: it does not apply itself.
const APPLICATION: &str = include_str!("template/application.yaml");
/// Longest name: labels and the names of Services are bounded so.
const NAME: usize = 53;

/// Writes the files.
pub(super) fn new(flags: &AppNew, namespace: Option<&str>) -> Outcome {
    let AppNew { name, team, repository, revision, path, image, port, folder } = flags;
    if !is_label(name) || name.len() > NAME {
        return Err(Failure::usage(format!(
            "NAME `{name}`: write lower-case letters, digits and dashes, a letter first, at most {NAME}"
        )));
    }
    let path = path.clone().unwrap_or_else(|| format!("apps/{name}"));
    let is_within =
        |path: &str| Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !is_within(&path) || !is_plain(&path) {
        return Err(Failure::usage(format!(
            "--path `{path}`: write a folder within the repository, such as apps/{name}"
        )));
    }
    for (flag, text) in
        [("--repo", repository), ("--revision", revision), ("--image", image), ("--team", team)]
    {
        if text.is_empty() || !is_plain(text) {
            return Err(Failure::usage(format!(
                "{flag} `{text}`: holds a space or a sign that YAML would read otherwise"
            )));
        }
    }
    let namespace = namespace.map_or_else(|| format!("{team}-team"), str::to_owned);
    let port = port.to_string();
    let fill = |template: &str| {
        let pairs = [
            ("name", name),
            ("namespace", &namespace),
            ("repository", repository),
            ("revision", revision),
            ("path", &path),
            ("image", image),
            ("port", &port),
        ];
        pairs
            .iter()
            .fold(template.to_owned(), |text, (key, value)| text.replace(&format!("{{{{{key}}}}}"), value))
    };
    let place = folder.join(&path);
    let application = place.with_extension("application.yaml");
    let mut files: Vec<_> = FILES.iter().map(|(file, text)| (place.join(file), fill(text))).collect();
    files.push((application.clone(), fill(APPLICATION)));
    // All or nothing, and nobody's file is lost.
    if let Some((there, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(Failure::refused(format!(
            "{} is there already; choose another --path, or remove it",
            there.display()
        )));
    }
    let failed =
        |error: &std::io::Error| Failure::while_doing(&format!("writing {}", place.display()), error);
    std::fs::create_dir_all(&place).map_err(|error| failed(&error))?;
    for (path, text) in &files {
        std::fs::write(path, text).map_err(|error| failed(&error))?;
        println!("{}", path.display());
    }
    println!(
        "\n1. make it yours: image, port and probes in {}\n2. commit and push it\n3. kubectl apply -f {}\n4. cargo mlp app get {name} -n {namespace}",
        place.join("deployment.yaml").display(),
        application.display(),
    );
    Ok(())
}

/// Whether a text is an RFC 1035 label.
fn is_label(text: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.bytes().all(letters)
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.ends_with('-')
}

/// Whether YAML takes a text for what it is, without quotes.
fn is_plain(text: &str) -> bool {
    let signs = |one: char| one.is_ascii_alphanumeric() || "-_./:@~+".contains(one);
    text.chars().all(signs)
        && text.starts_with(|one: char| one.is_ascii_alphanumeric() || one == '/')
        && !text.ends_with(':')
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn flags(folder: &Path) -> AppNew {
        AppNew {
            name: "web".into(),
            team: "ml".into(),
            repository: "https://git.example/ml/apps.git".into(),
            revision: "main".into(),
            path: None,
            image: "ghcr.io/acme/web:v1".into(),
            port: 8080,
            folder: folder.to_owned(),
        }
    }

    #[test]
    fn every_file_is_filled_in_and_none_is_overwritten() {
        let folder = std::env::temp_dir().join(format!("mlp-app-new-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        new(&flags(&folder), None).unwrap();
        let mut names: Vec<PathBuf> =
            std::fs::read_dir(folder.join("apps/web")).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.push(folder.join("apps/web.application.yaml"));
        assert_eq!(names.len(), FILES.len() + 1);
        for path in &names {
            let text = std::fs::read_to_string(path).unwrap();
            assert!(!text.contains("{{"), "{}: {text}", path.display());
            let _: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        }
        let application = std::fs::read_to_string(names.last().unwrap()).unwrap();
        assert!(
            application.contains("namespace: \"ml-team\"") && application.contains("path: \"apps/web\"\n")
        );
        let again = new(&flags(&folder), None).unwrap_err();
        assert!(format!("{again:?}").contains("is there already"), "{again:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_would_not_be_read_as_it_is_written_is_refused() {
        let nowhere = Path::new("/nowhere/at/all");
        let refused = |change: &dyn Fn(&mut AppNew)| {
            let mut flags = flags(nowhere);
            change(&mut flags);
            format!("{:?}", new(&flags, None).unwrap_err())
        };
        assert!(refused(&|flags| flags.name = "Web".into()).contains("NAME `Web`"));
        assert!(refused(&|flags| flags.path = Some("../x".into())).contains("--path `../x`"));
        assert!(refused(&|flags| flags.path = Some("/etc".into())).contains("--path `/etc`"));
        assert!(refused(&|flags| flags.image = "a: b".into()).contains("--image `a: b`"));
        assert!(refused(&|flags| flags.repository = String::new()).contains("--repo ``"));
    }
}
