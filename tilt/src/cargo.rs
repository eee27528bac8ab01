//! Cargo as a person would call it, though `cargo run` called us.

use tokio::process::Command;

/// What cargo sets for the programs it runs. Build scripts that read these variables (ring's does)
/// would run anew, and everything above them be built again, at each change between a cargo that a
/// person calls and one that we do.
const SET_FOR_PROGRAMS: [&str; 6] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_CRATE_NAME",
    "CARGO_BIN_NAME",
    "CARGO_PRIMARY_PACKAGE",
    "OUT_DIR",
];

/// A command without those variables.
#[must_use]
pub fn without_our_package(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let is_ours =
            name.to_str().is_some_and(|name| SET_FOR_PROGRAMS.iter().any(|set| name.starts_with(set)));
        if is_ours {
            command.env_remove(name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_from_here_is_the_same_as_one_from_a_shell() {
        assert!(std::env::var_os("CARGO_PKG_NAME").is_some(), "cargo test runs this");
        let command = without_our_package("cargo");
        let removed: Vec<_> = command.as_std().get_envs().filter(|(_, value)| value.is_none()).collect();
        assert!(removed.iter().any(|(name, _)| *name == "CARGO_PKG_NAME"));
        assert!(removed.iter().all(|(name, _)| *name != "PATH" && *name != "CARGO_HOME"));
    }
}
