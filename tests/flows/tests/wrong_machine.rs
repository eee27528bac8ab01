//! What a person meets on a machine that is not as it should be: one clear line with the remedy, the
//! documented exit code, and nothing left running or half-made.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mlp_flows::cli::{binary, mlp, root};
use mlp_flows::{Tested, variable};

/// A state folder beside the tests' own platform, forgotten at the end.
struct State(PathBuf);

impl State {
    fn new(name: &str) -> Self {
        let state = Self(PathBuf::from(variable("MLP_STATE")).with_file_name(format!("wrong-{name}")));
        state.run(&["down", "--wipe"]);
        state
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let state = self.0.display().to_string();
        mlp(&[arguments, &["--state", &state]].concat())
    }

    fn up(&self) -> Output {
        self.run(&["up", "--detach", "--no-examples", "--nodes", "simulated"])
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.run(&["down", "--wipe"]);
    }
}

/// Fails unless it ended with the code and its last line says all of it.
fn ended(output: &Output, code: i32, parts: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    let last = message.trim().lines().last().unwrap_or_default();
    for part in parts {
        assert!(last.contains(part), "{part:?} is not in the last line of: {message}");
    }
}

#[test]
fn a_port_of_another_process_is_named_with_two_ways_out() -> Tested {
    let state = State::new("port");
    let other = TcpListener::bind(("0.0.0.0", 0))?;
    let port = other.local_addr()?.port();
    // As if `up` had been given this port, and somebody had taken it while the platform was down.
    ended(&state.run(&["status"]), 1, &["no platform is up here"]);
    std::fs::create_dir_all(&state.0)?;
    std::fs::write(state.0.join("format.json"), "{\"format\":1}\n")?;
    std::fs::write(state.0.join("ports.json"), format!("{{\"kube-apiserver\":{port}}}"))?;
    let refused = state.up();
    ended(
        &refused,
        1,
        &[&format!("port {port} (kube-apiserver)"), "another process", "cargo mlp up --fresh-ports"],
    );
    let running = std::fs::read_dir(state.0.join("run")).map_or(0, Iterator::count);
    assert_eq!(running, 0, "nothing was started");
    Ok(())
}

#[test]
fn a_damaged_state_folder_is_named_and_wiping_it_is_the_way_out() -> Tested {
    let state = State::new("state");
    for (file, content) in [
        ("format.json", "{\"format\":"),
        ("format.json", "{\"format\":99}"),
        ("ports.json", "not json"),
        ("pki/ca.json", "not json"),
    ] {
        let path = state.0.join(file);
        std::fs::create_dir_all(path.parent().unwrap_or(&state.0))?;
        std::fs::write(state.0.join("format.json"), "{\"format\":1}\n")?;
        std::fs::write(&path, content)?;
        ended(&state.up(), 1, &[&state.0.display().to_string(), "cargo mlp down --wipe"]);
        let wiped = state.run(&["down", "--wipe"]);
        ended(&wiped, 0, &[]);
        assert!(!state.0.exists(), "{file}: wiped");
    }
    std::fs::create_dir_all(&state.0)?;
    std::fs::write(state.0.join("format.json"), "{\"format\":1}\n")?;
    std::fs::write(state.0.join("platform.json"), "{}")?;
    ended(&state.run(&["status"]), 1, &["platform.json is not readable", "cargo mlp down --wipe"]);
    Ok(())
}

#[test]
fn a_folder_that_is_not_ours_is_neither_used_nor_wiped() -> Tested {
    let folder = PathBuf::from(variable("MLP_STATE")).with_file_name("wrong-folder");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("thesis.txt"), "years of work")?;
    let state = folder.display().to_string();
    for command in [&["up", "--detach"][..], &["down", "--wipe"]] {
        let output = mlp(&[command, &["--state", &state]].concat());
        assert!(!output.status.success());
        ended(&output, output.status.code().unwrap_or(0), &[&state]);
    }
    assert!(folder.join("thesis.txt").is_file());
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

/// A checkout with nothing cached, and a PATH on which some programs are not.
fn on_a_machine_without(program: &str, arguments: &[&str]) -> Result<Output, Box<dyn std::error::Error>> {
    let checkout = PathBuf::from(variable("MLP_STATE")).with_file_name(format!("wrong-without-{program}"));
    let _ = std::fs::remove_dir_all(&checkout);
    let path = checkout.join("path");
    std::fs::create_dir_all(&path)?;
    let copied = Command::new("cp").arg("-r").arg(root().join("tilt")).arg(&checkout).status()?;
    assert!(copied.success());
    let folders = std::env::var_os("PATH").unwrap_or_default();
    for folder in std::env::split_paths(&folders) {
        for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let link = path.join(file.file_name());
            if file.file_name() != program && !link.exists() {
                std::os::unix::fs::symlink(file.path(), link)?;
            }
        }
    }
    let output = Command::new(binary())
        .args(arguments)
        .current_dir(&checkout)
        .env("PATH", &path)
        .env_remove("MLP_STATE")
        .output()?;
    assert!(!Path::new(&checkout).join(".mlp/state/run").exists(), "nothing was started");
    std::fs::remove_dir_all(&checkout)?;
    Ok(output)
}

#[test]
fn without_go_the_first_up_says_which_go_to_install() -> Tested {
    let output = on_a_machine_without("go", &["up", "--detach"])?;
    ended(&output, 4, &["go is missing", "install Go 1.26 or newer", "https://go.dev/dl"]);
    let output = on_a_machine_without("go", &["doctor"])?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("install Go 1.26 or newer"), "{said}");
    Ok(())
}
