//! The subscriber examples in Rust, Python and Go, built and ready to run (tests/subscribers).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use tokio::process::Command;

use crate::start::{self, cache, succeed};
use crate::{HarnessError, python};

/// How long an example reads on when nothing more comes.
const SECONDS: &str = "3";
/// How long an example may take altogether.
const LIMIT: Duration = Duration::from_secs(60);

/// An example, ready to run.
#[derive(Debug)]
pub struct Example {
    /// Its language, for messages.
    pub language: &'static str,
    command: Vec<PathBuf>,
}

impl Example {
    /// All examples, built from this checkout.
    ///
    /// # Errors
    /// A compiler or interpreter is missing, or the example does not build; the message has the remedy.
    pub async fn all() -> Result<[Self; 3], HarnessError> {
        let (rust, python, go) = tokio::try_join!(rust(), python(), go())?;
        Ok([
            Self { language: "Rust", command: vec![rust] },
            Self { language: "Python", command: python },
            Self { language: "Go", command: vec![go] },
        ])
    }

    /// Runs it until it has read `limit` facts, or none came for a while.
    ///
    /// # Errors
    /// It cannot be started, or does not end.
    pub async fn run(&self, server: &str, credentials: &Path, limit: usize) -> Result<Output, HarnessError> {
        let mut command = Command::new(self.command.first().map_or(Path::new(""), PathBuf::as_path));
        command.args(self.command.iter().skip(1));
        command.args(["--limit", &limit.to_string(), "--seconds", SECONDS]);
        command.env("NATS_URL", server).env("NATS_CREDS", credentials).kill_on_drop(true);
        let ended = tokio::time::timeout(LIMIT, command.output()).await;
        let ended = ended.map_err(|_elapsed| HarnessError::Example {
            language: self.language,
            why: format!("it did not end within {LIMIT:?}"),
        })?;
        ended.map_err(|error| HarnessError::Example { language: self.language, why: error.to_string() })
    }

    /// What it printed for each fact; a failure of the example is one here.
    ///
    /// # Errors
    /// It failed, or printed something else than JSON lines.
    pub async fn facts(
        &self,
        server: &str,
        credentials: &Path,
        limit: usize,
    ) -> Result<Vec<serde_json::Value>, HarnessError> {
        let failed = |why: String| HarnessError::Example { language: self.language, why };
        let output = self.run(server, credentials, limit).await?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = text.lines().map(|line| {
            serde_json::from_str(line).map_err(|error| failed(format!("{line:?} is no JSON: {error}")))
        });
        lines.collect()
    }
}

async fn rust() -> Result<PathBuf, HarnessError> {
    let mut build = mlp_tilt::cargo::without_our_package("cargo");
    // Of the whole workspace: named alone, the package's dependencies would be built with other features.
    build.args(["build", "--quiet", "--workspace", "--example", "subscribe"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    build.current_dir(start::layout()?.root());
    succeed("Rust", build, "cargo is missing; install Rust").await?;
    // A test is target/<profile>/deps/<name>-<hash>.
    let test = std::env::current_exe().unwrap_or_default();
    Ok(test.ancestors().nth(2).unwrap_or(Path::new("")).join("examples/subscribe"))
}

async fn python() -> Result<Vec<PathBuf>, HarnessError> {
    let source = start::layout()?.root().join("tests/subscribers/python");
    let requirements = source.join("requirements.txt");
    let wanted = fs::read_to_string(&requirements)
        .map_err(|source| HarnessError::Io { path: requirements.display().to_string(), source })?;
    Ok(vec![python::environment("subscribers", &wanted).await?, source.join("subscribe.py")])
}

async fn go() -> Result<PathBuf, HarnessError> {
    let root = start::layout()?.root().to_path_buf();
    let (folder, _lock) = cache(&root, "subscribers")?;
    let binary = folder.join("subscribe-go");
    let mut build = Command::new("go");
    build.arg("-C").arg(root.join("tests/subscribers/go")).args(["build", "-o"]).arg(&binary).arg(".");
    succeed("Go", build, "go is missing; install Go 1.26 or newer").await?;
    Ok(binary)
}
