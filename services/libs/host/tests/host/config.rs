//! Sources and their order, refusals, `--print-config`, and the README's table.

use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory;

use mlp_host::config::{ConfigError, load_from};

use crate::support::Args;

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("service.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn load(text: &str, more: &[&str]) -> Result<Args, ConfigError> {
    let (_folder, path) = file(text);
    let path = path.to_str().unwrap();
    load_from(["test", "--config", path].iter().chain(more).copied())
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let text = "drain-timeout = \"7s\"\ngrpc-max-streams = 9\nteam = [\"ml\", \"data\"]\ndry-run = true\n";
    let args = load(text, &["--drain-timeout", "9s"]).unwrap();
    assert_eq!(args.host.drain_timeout, Duration::from_secs(9));
    assert_eq!(args.host.grpc_max_streams, 9);
    assert_eq!(args.host.lease_duration, Duration::from_secs(15));
    assert_eq!((args.team, args.dry_run), (vec!["ml".to_owned(), "data".to_owned()], true));
    assert!(!load("dry-run = false", &[]).unwrap().dry_run);
}

#[test]
fn refusals_name_the_key_and_the_fix() {
    for (text, expected) in [
        ("drain-timeot = \"7s\"", "`drain-timeot` is no key; did you mean `drain-timeout`?"),
        ("colour = \"red\"", "`colour` is no key; --help lists the keys"),
        ("print-config = true", "`print-config` is no key of the file; give it as a flag"),
        ("drain-timeout = \"soon\"", "`drain-timeout`: invalid value 'soon'"),
        ("drain-timeout = \"soon\"", "write one such as 500ms, 10s or 2m"),
        ("trace-ratio = 3", "write a number from 0 to 1"),
        ("environment = \"production\"", "write local, dev, staging or prod"),
        ("otlp-endpoint = \"localhost:4317\"", "`otlp-endpoint`: "),
        ("dry-run = 1", "`dry-run`: not a truth value; write true or false"),
        ("namespace = { a = 1 }", "`namespace`: not a single value"),
        ("= x", "is not TOML"),
    ] {
        let error = load(text, &[]).expect_err(text);
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    let missing = load_from::<Args>(["test", "--config", "/nowhere/x.toml"]).expect_err("no file");
    assert!(missing.to_string().contains("/nowhere/x.toml cannot be read"), "{missing}");
    let flag = load_from::<Args>(["test", "--drain-timeout", "soon"]).expect_err("bad flag");
    assert!(matches!(&flag, ConfigError::Arguments(_)) && flag.to_string().contains("--drain-timeout"));
}

#[test]
fn keys_that_need_each_other_are_checked_together() {
    for (flags, expected) in [
        (vec!["--grpc-tls-cert", "a"], "--grpc-tls-key: missing"),
        (vec!["--grpc-tls-key", "a"], "--grpc-tls-cert: missing"),
        (vec!["--grpc-client-ca", "a"], "--grpc-client-ca: needs TLS"),
        (vec!["--drain-timeout", "10ms"], "--drain-timeout: shorter"),
        (vec!["--lease-duration", "1s"], "--lease-duration: shorter"),
        (vec!["--grpc-max-streams", "0"], "--grpc-max-streams: zero"),
        (vec!["--metrics-otlp-endpoint", "https://x/v1/metrics"], "--metrics-otlp-endpoint: TLS"),
        (vec!["--namespace", "No_Label"], "--namespace: not a DNS label"),
    ] {
        let args: Args = load_from(std::iter::once("test").chain(flags)).unwrap();
        let error = args.host.validate().expect_err(expected);
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn print_config_tells_each_source_and_no_secret() {
    let text = "api-key = \"hunter2\"\nnats-url = \"nats://me:pw@broker:4222,nats://b:4222\"\n";
    let flags = ["--print-config", "--team", "ml", "--team", "data", "--environment", "dev"];
    let Err(ConfigError::Printed(printed)) = load(text, &flags) else { panic!("nothing was printed") };
    assert!(!printed.contains("hunter2") && !printed.contains(":pw"), "{printed}");
    assert_golden("print-config.toml", &printed);
}

#[test]
fn what_print_config_prints_is_a_config_file() {
    let flags = ["test", "--print-config", "--team", "ml", "--drain-timeout", "9s", "--trace-ratio", "0.5"];
    let Err(ConfigError::Printed(printed)) = load_from::<Args>(flags) else { panic!("nothing was printed") };
    let again = load(&printed, &[]).unwrap();
    assert_eq!(again.host.drain_timeout, Duration::from_secs(9));
    assert_eq!((again.team, again.host.trace_ratio), (vec!["ml".to_owned()], 0.5));
}

/// Each key has a flag, an environment variable and a sentence, and the README lists exactly these.
#[test]
fn the_readme_lists_every_key() {
    let command = Args::command();
    let own = ["team", "dry-run", "api-key", "help"];
    let mut table = String::from("| key | environment | default | |\n|---|---|---|---|\n");
    for argument in command.get_arguments() {
        let long = argument.get_long().unwrap();
        if own.contains(&long) {
            continue;
        }
        let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
        assert!(variable.is_some() || long == "print-config", "--{long} has no environment variable");
        let defaults: Vec<_> = argument.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
        let default = if long == "print-config" { String::new() } else { defaults.join(",") };
        let help = argument.get_help().unwrap_or_else(|| panic!("--{long} has no sentence"));
        let variable = variable.map(|name| format!("`{name}`")).unwrap_or_default();
        let default = if default.is_empty() { default } else { format!("`{default}`") };
        table.push_str(&format!("| `{long}` | {variable} | {default} | {help} |\n"));
    }
    let readme = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&readme).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let start = text.find("| key |").unwrap();
        let end = text[start..].find("\n\n").map_or(text.len(), |end| start + end + 1);
        std::fs::write(&readme, format!("{}{table}{}", &text[..start], &text[end..])).unwrap();
        return;
    }
    assert!(text.contains(&table), "run with UPDATE_GOLDEN=1 to write the table into README.md:\n{table}");
}

fn assert_golden(name: &str, actual: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "run with UPDATE_GOLDEN=1 to accept {name}");
}
