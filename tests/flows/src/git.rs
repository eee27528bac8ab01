//! Git repositories for applications, in the platform's state folder.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::{Tested, variable};

/// A git repository with one file, in the platform's state folder.
///
/// # Errors
/// The folder cannot be written, or git fails.
pub fn repository(name: &str, file: &str, content: &str) -> Result<String, Box<dyn std::error::Error>> {
    let folder = Path::new(&variable("MLP_STATE")).join(format!("repositories/{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    git(&folder, &["init", "--quiet", "--initial-branch=main"])?;
    commit(&folder, file, content)?;
    Ok(folder.display().to_string())
}

/// Writes one file and commits everything.
///
/// # Errors
/// The file cannot be written, or git fails.
pub fn commit(folder: &Path, file: &str, content: &str) -> Tested {
    let path = folder.join(file);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, content)?;
    git(folder, &["add", "--all"])?;
    git(folder, &["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "-m", "change"])
}

fn git(folder: &Path, arguments: &[&str]) -> Tested {
    let output = Command::new("git").current_dir(folder).args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)).into())
}

/// A ConfigMap `settings` whose `mode` is `value`.
pub fn config_map(value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  mode: {value}\n")
}

/// An Application of a team that deploys the repository's folder `app`, healed and pruned.
pub fn application(name: &str, team: &str, repository: &str) -> Value {
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": name, "namespace": format!("{team}-team"),
            "finalizers": ["resources-finalizer.argocd.argoproj.io"]},
        "spec": {"project": "default",
            "source": {"repoURL": format!("file://{repository}"), "path": "app", "targetRevision": "HEAD"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": format!("{team}-team")},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}}}})
}
