//! The `mlp` command as a person calls it, and a shell beside it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The binary that was built beside this test.
///
/// # Panics
/// Where there is none: the tests run by `cargo mlp test flows`, which is that binary.
pub fn binary() -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    let folder = here.ancestors().nth(2).map(std::path::Path::to_path_buf).unwrap_or_default();
    let path = folder.join("mlp");
    assert!(path.is_file(), "{} is not there; run `cargo mlp test flows`", path.display());
    path
}

/// The repository's root.
pub fn root() -> PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map(std::path::Path::to_path_buf).unwrap_or_default()
}

/// Runs `mlp` with arguments, in the repository's root.
///
/// # Panics
/// Where it cannot be started.
pub fn mlp(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(root());
    match command.output() {
        Ok(output) => output,
        Err(error) => panic!("mlp {}: {error}", arguments.join(" ")),
    }
}

/// Standard output of a successful `mlp`.
///
/// # Panics
/// Where it failed.
pub fn mlp_ok(arguments: &[&str]) -> String {
    let output = mlp(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "mlp {} failed: {errors}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a script in a person's shell, in the repository's root: `cargo mlp` is the binary that runs the
/// tests (cargo itself holds its lock meanwhile).
///
/// # Panics
/// Where bash cannot be started.
pub fn shell(script: &str, input: &str) -> Output {
    let prelude = format!("set -euo pipefail\ncargo() {{ shift; '{}' \"$@\"; }}\n", binary().display());
    let mut command = Command::new("bash");
    command.arg("-c").arg(prelude + script).current_dir(root());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = command.spawn().and_then(|mut child| {
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        child.wait_with_output()
    });
    started.unwrap_or_else(|error| panic!("bash: {error}"))
}

/// Standard output of a successful script that uses the `kubectl` that `mlp env` puts on PATH.
///
/// # Panics
/// Where it fails.
pub fn with_kubectl(script: &str, input: &str) -> String {
    let output = shell(&format!("eval \"$(cargo mlp env)\"\n{script}"), input);
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Applies a manifest as a person would.
///
/// # Panics
/// Where kubectl refuses it.
pub fn kubectl_apply(manifest: &serde_json::Value) {
    with_kubectl("kubectl apply --server-side -f -", &manifest.to_string());
}
