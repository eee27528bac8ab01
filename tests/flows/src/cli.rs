//! The `mlp` command as a person calls it.

use std::path::PathBuf;
use std::process::{Command, Output};

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

/// Runs `mlp` with arguments, in the repository's root.
///
/// # Panics
/// Where it cannot be started.
pub fn mlp(arguments: &[&str]) -> Output {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(root.unwrap_or_else(|| std::path::Path::new(".")));
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
