//! The subscriber examples in Rust, Python and Go: with a team's credentials they read the facts of
//! that team and of the platform, and none of another's.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Output;

use mlp_bus::accounts::Keyring;
use mlp_model::Fact;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::accounts::{Platform, platform_with_accounts, team};
use crate::support::*;

/// How long an example reads on when nothing more comes.
const SECONDS: &str = "3";

/// An example, ready to run.
struct Example {
    language: &'static str,
    command: Vec<PathBuf>,
}

async fn examples() -> Vec<Example> {
    let (rust, python, go) = tokio::join!(rust(), python(), go());
    vec![
        Example { language: "Rust", command: vec![rust] },
        Example { language: "Python", command: python },
        Example { language: "Go", command: vec![go] },
    ]
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").canonicalize().unwrap()
}

/// A folder of the cache, locked against other test processes while it is filled.
fn cache(name: &str) -> (PathBuf, File) {
    let folder = root().join(".mlp/cache").join(name);
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    (folder, lock)
}

async fn rust() -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "-p", "mlp-bus", "--example", "subscribe"]).current_dir(root());
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    succeed(build, "cargo is missing; install Rust").await;
    // This test is target/<profile>/deps/bus-<hash>.
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/subscribe")
}

async fn python() -> Vec<PathBuf> {
    let source = root().join("tests/subscribers/python");
    let wanted = fs::read_to_string(source.join("requirements.txt")).unwrap();
    let (folder, _lock) = cache("venv/subscribers");
    let (interpreter, done) = (folder.join("bin/python"), folder.join("installed.txt"));
    if fs::read_to_string(&done).ok().as_ref() != Some(&wanted) {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&folder);
        succeed(venv, "python3 with its venv module is missing; install Python 3.10 or newer").await;
        let mut install = Command::new(&interpreter);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        install.arg(source.join("requirements.txt"));
        succeed(install, "pip is missing in the new venv; install python3-pip").await;
        fs::write(&done, &wanted).unwrap();
    }
    vec![interpreter, source.join("subscribe.py")]
}

async fn go() -> PathBuf {
    let (folder, _lock) = cache("subscribers");
    let binary = folder.join("subscribe-go");
    let mut build = Command::new("go");
    build.arg("-C").arg(root().join("tests/subscribers/go")).args(["build", "-o"]).arg(&binary).arg(".");
    succeed(build, "go is missing; install Go 1.26 or newer").await;
    binary
}

async fn succeed(mut command: Command, remedy: &str) {
    let output = command.output().await.unwrap_or_else(|error| panic!("{error}: {remedy}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Example {
    async fn run(&self, platform: &Platform, credentials: &Path, limit: usize) -> Output {
        let (program, first) = self.command.split_first().unwrap();
        let mut command = Command::new(program);
        command.args(first).args(["--limit", &limit.to_string(), "--seconds", SECONDS]);
        command.env("NATS_URL", platform.server.url()).env("NATS_CREDS", credentials).kill_on_drop(true);
        tokio::time::timeout(LIMIT, command.output()).await.expect("the example ends").unwrap()
    }

    /// The lines printed, in an order that does not depend on arrival.
    async fn lines(&self, platform: &Platform, credentials: &Path, limit: usize) -> Vec<Value> {
        let output = self.run(platform, credentials, limit).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", self.language);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        sorted(lines)
    }
}

fn sorted(lines: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut lines: Vec<Value> = lines.collect();
    lines.sort_by_key(|line| line["id"].to_string());
    lines
}

fn expected(facts: &[Fact]) -> Vec<Value> {
    sorted(facts.iter().map(|fact| {
        json!({ "id": fact.id.as_str(), "type": fact.message_type, "team": fact.team,
            "subject": fact.subject, "version": fact.version })
    }))
}

impl Platform {
    fn credentials(&self, keyring: &Keyring, name: &str) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.creds"));
        let credentials = keyring.team_credentials(&team(name).uid, "reader", 1_700_000_000, None);
        fs::write(&path, credentials.expose()).unwrap();
        path
    }
}

#[tokio::test]
async fn examples_read_the_facts_of_their_team_and_none_of_another() {
    let platform = platform_with_accounts().await;
    let accounts = platform.accounts().await;
    accounts.ensure(&team("ml")).await.unwrap();
    accounts.ensure(&team("data")).await.unwrap();
    let mut special = fact_of("ml", "özil", 3);
    special.aggregate = "special".into();
    special.subject = "teams/ml 100 % ü".into();
    let public = fact_of("_platform", "public", 1);
    let ml = [fact_of("ml", "a", 1), fact_of("ml", "a", 2), special, public.clone()];
    let data = [fact_of("data", "b", 1), public];
    publish_all(&platform.bus, &ml).await;
    publish_all(&platform.bus, &data[..1]).await;
    let (ml_credentials, data_credentials) =
        (platform.credentials(&platform.keyring, "ml"), platform.credentials(&platform.keyring, "data"));
    for example in examples().await {
        let language = example.language;
        let all = example.lines(&platform, &ml_credentials, ml.len()).await;
        assert_eq!(all, expected(&ml), "{language}: the facts of ml");
        let more = example.lines(&platform, &ml_credentials, 1).await;
        assert!(more.is_empty(), "{language}: what is acknowledged does not come again: {more:?}");
        let all = example.lines(&platform, &data_credentials, ml.len() + 1).await;
        assert_eq!(all, expected(&data), "{language}: none of ml with the credentials of data");
    }
}

#[tokio::test]
async fn examples_end_with_one_clear_line_when_the_credentials_are_wrong() {
    let platform = platform_with_accounts().await;
    platform.accounts().await.ensure(&team("ml")).await.unwrap();
    let stranger = platform.credentials(&Keyring::generate(), "ml");
    let missing = platform.folder.path().join("missing.creds");
    for example in examples().await {
        for credentials in [&stranger, &missing] {
            let output = example.run(&platform, credentials, 1).await;
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{}: {said}", example.language);
            assert!(output.stdout.is_empty(), "{}", example.language);
            let file = credentials.display().to_string();
            let last = said.trim().lines().last().unwrap_or_default();
            assert!(last.starts_with("subscribe: ") && last.contains(&file), "{}: {said}", example.language);
        }
    }
}
