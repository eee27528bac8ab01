//! moto, from PyPI, in a virtual environment of the project's cache; one server per test.

use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The version that these tests were written against.
const VERSION: &str = "5.2.5";
/// Time for Python to import moto and to listen.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A server that ends with this value.
pub struct Moto {
    pub endpoint: String,
    _child: Child,
}

impl Moto {
    /// Starts a server on a free port of its own choice.
    pub async fn start() -> Self {
        static PYTHON: OnceLock<PathBuf> = OnceLock::new();
        let python = tokio::task::spawn_blocking(|| PYTHON.get_or_init(install)).await.unwrap();
        let mut child = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, url)) = line.split_once("Running on ") {
                    return url.trim().to_owned();
                }
                said.push(line);
            }
            panic!("moto ended before it listened: {said:#?}");
        };
        let endpoint =
            tokio::time::timeout(START_TIMEOUT, listening).await.expect("moto did not listen in a minute");
        // Its log of requests has to go somewhere, or the pipe fills and it stops.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { endpoint, _child: child }
    }
}

/// Makes the virtual environment once per machine and version; gives its Python.
fn install() -> PathBuf {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.mlp/cache/venv");
    let home = cache.join(format!("moto-{VERSION}"));
    let python = Path::new("bin").join("python");
    if home.join(&python).exists() {
        return home.join(python);
    }
    // Made beside and moved, so that a build cut short leaves nothing that looks whole.
    let draft = cache.join(format!("moto-{VERSION}.{}", std::process::id()));
    std::fs::create_dir_all(&cache).unwrap();
    let venv = Blocking::new("python3").args(["-m", "venv"]).arg(&draft).output();
    let venv = venv.unwrap_or_else(|error| {
        panic!(
            "python3 does not start ({error}); install Python 3.10 or newer (Debian: python3 python3-venv)"
        )
    });
    check(&venv, "python3 -m venv failed; install its module (Debian: python3-venv)");
    let pip = Blocking::new(draft.join(&python))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--timeout", "30"])
        .arg(format!("moto[server]=={VERSION}"))
        .output()
        .unwrap();
    check(&pip, "pip could not install moto; the tests need PyPI, or a mirror set by PIP_INDEX_URL, once");
    if std::fs::rename(&draft, &home).is_err() {
        // Another run was first.
        std::fs::remove_dir_all(&draft).unwrap();
    }
    home.join(python)
}

fn check(output: &Output, remedy: &str) {
    assert!(output.status.success(), "{remedy}:\n{}", String::from_utf8_lossy(&output.stderr));
}
