//! Paths within a repository.

/// A path as git writes it, without `.` and empty parts.
pub fn normal(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.collect::<Vec<_>>().join("/")
}

/// What `relative` means in a folder; nothing where it leaves the repository.
pub fn join(folder: &str, relative: &str) -> Option<String> {
    if relative.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leaves_the_repository_means_nothing() {
        for (folder, relative, meant) in [
            ("apps/web", "a.yaml", Some("apps/web/a.yaml")),
            ("apps/web", "../base/", Some("apps/base")),
            ("apps/web", "./x/../y", Some("apps/web/y")),
            ("", "a", Some("a")),
            ("apps", "../..", None),
            ("", "..", None),
            ("apps", "/etc/passwd", None),
        ] {
            assert_eq!(join(folder, relative).as_deref(), meant, "{folder} + {relative}");
        }
        assert_eq!(normal("./a//b/"), "a/b");
    }
}
