//! Python programs that tests run, each in a virtual environment of the project's cache.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::HarnessError;
use crate::start::{self, cache, succeed};

/// The interpreter of the environment `name`, which has exactly the packages `wanted` (lines of a
/// requirements file); made anew where they changed.
pub(crate) async fn environment(name: &str, wanted: &str) -> Result<PathBuf, HarnessError> {
    let io = |path: &Path, source| HarnessError::Io { path: path.display().to_string(), source };
    let (folder, _lock) = cache(start::layout()?.root(), &format!("venv/{name}"))?;
    let (interpreter, done) = (folder.join("bin/python"), folder.join("installed.txt"));
    if fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(interpreter);
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&folder);
    let remedy = "python3 with its venv module is missing; install Python 3.10 or newer (Debian: python3 python3-venv)";
    succeed("Python", venv, remedy).await?;
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, wanted).map_err(|error| io(&requirements, error))?;
    let mut install = Command::new(&interpreter);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--timeout", "30"]);
    install.arg("--requirement").arg(&requirements);
    let remedy = "pip is missing in the new venv; install python3-pip";
    succeed("Python", install, remedy).await?;
    fs::write(&done, wanted).map_err(|error| io(&done, error))?;
    Ok(interpreter)
}
