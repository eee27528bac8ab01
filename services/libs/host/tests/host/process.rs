//! A host in a process of its own: signals, exit codes, the environment as a source.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::LIMIT;

/// A kubeconfig whose server is never asked.
const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: none
clusters: [{name: none, cluster: {server: 'http://127.0.0.1:1'}}]
users: [{name: none, user: {}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
";

struct Sample {
    folder: tempfile::TempDir,
}

impl Sample {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kubeconfig"), KUBECONFIG).unwrap();
        Self { folder }
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mlp-host-sample"));
        command
            .env_clear()
            .arg("--kubeconfig")
            .arg(self.folder.path().join("kubeconfig"))
            .args(["--admin-listen=127.0.0.1:0", "--log-format=text"])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, flags: &[&str]) -> Output {
        self.command(flags).output().unwrap()
    }

    /// Starts it and waits for a line with `text`.
    fn start(&self, flags: &[&str], text: &str) -> Running {
        let mut child = self.command(flags).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut running = Running { child, lines };
        running.read_until(text);
        running
    }
}

struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn read_until(&mut self, text: &str) {
        let mut seen = Vec::new();
        for line in self.lines.by_ref() {
            seen.push(line.unwrap());
            if seen.last().unwrap().contains(text) {
                return;
            }
        }
        panic!("never said {text}: {seen:#?}");
    }

    /// The exit code and what it still said.
    fn end(mut self) -> (Option<i32>, String) {
        let rest: Vec<String> = self.lines.by_ref().map_while(Result::ok).collect();
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), rest.join("\n"));
            }
            assert!(begun.elapsed() < LIMIT, "does not end: {rest:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already, as a rule: a test that fails leaves nothing running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn sigterm_and_sigint_drain_and_end_with_zero() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let sample = Sample::new();
        let running = sample.start(&[], "running");
        running.signal(signal);
        let (code, said) = running.end();
        assert_eq!(code, Some(0), "{said}");
        let (hook, worker) = (said.find("drain hook ran").unwrap(), said.find("worker stopped").unwrap());
        assert!(hook < worker, "{said}");
        assert!(said.contains(&format!("signal={signal}")), "{said}");
    }
}

#[test]
fn a_dead_task_ends_the_process_with_one_and_its_name() {
    for how in ["end", "fail", "panic"] {
        let output = Sample::new().run(&["--task", how]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("task died") && said.contains("task=worker"), "{said}");
    }
}

#[test]
fn a_drain_that_is_too_long_ends_with_three_and_a_second_signal_shortens_it() {
    let sample = Sample::new();
    let running = sample.start(&["--task", "linger", "--drain-timeout", "1s"], "running");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().0, Some(3));

    let begun = Instant::now();
    let mut running = sample.start(&["--task", "linger", "--drain-timeout", "10m"], "running");
    running.signal(Signal::SIGTERM);
    running.read_until("drain hook ran");
    running.signal(Signal::SIGTERM);
    let (code, said) = running.end();
    assert_eq!(code, Some(3), "{said}");
    assert!(begun.elapsed() < LIMIT);
}

#[test]
fn a_signal_during_the_start_ends_the_process_too() {
    let sample = Sample::new();
    let running = sample.start(&["--hang-at-start"], "hanging");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn flags_win_over_environment_and_environment_over_the_file() {
    let sample = Sample::new();
    let file = sample.folder.path().join("sample.toml");
    std::fs::write(&file, "drain-timeout = \"7s\"\ntask = \"linger\"\nlog = \"debug\"\n").unwrap();
    let output = sample
        .command(&["--print-config", "--log", "warn"])
        .env("MLP_CONFIG", &file)
        .env("MLP_DRAIN_TIMEOUT", "8s")
        .env("MLP_LOG", "error")
        .env("SAMPLE_API_KEY", "hunter2")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for line in [
        "drain-timeout = \"8s\"  # environment MLP_DRAIN_TIMEOUT",
        "log = \"warn\"  # flag",
        "task = \"linger\"  # file",
        "api-key = \"[redacted]\"  # environment SAMPLE_API_KEY",
        "lease-duration = \"15s\"  # default",
    ] {
        assert!(said.contains(line), "{line} is not in\n{said}");
    }
    assert!(!said.contains("hunter2"));
}

#[test]
fn a_wrong_configuration_is_one_clear_line_and_two() {
    let sample = Sample::new();
    let file = sample.folder.path().join("sample.toml");
    std::fs::write(&file, "drain-timeot = \"7s\"\n").unwrap();
    for (flags, expected) in [
        (vec!["--config", file.to_str().unwrap()], "did you mean `drain-timeout`?"),
        (vec!["--drain-timeout", "10ms"], "--drain-timeout: shorter than a drain can be; write 1s or more"),
        (vec!["--task", "dance"], "--task"),
        (vec!["--log", "mlp=[["], "--log: "),
    ] {
        let output = sample.run(&flags);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_start_that_fails_says_why_and_ends_with_one() {
    let sample = Sample::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = sample.command(&[]);
    let output = command.arg(format!("--grpc-listen={address}")).arg("--admin-listen").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "an empty address is a wrong flag");
    let output = Sample::new().run(&["--context", "elsewhere"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("give --kubeconfig (and --context)") && said.contains("elsewhere"), "{said}");
}
