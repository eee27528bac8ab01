//! `--print-config`: every key, its value in effect and its source, fit to be a `--config` file.

use std::fmt::Write as _;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

/// What a secret prints as. A key is secret when its help hides the environment's value
/// (`hide_env_values`).
const REDACTED: &str = "[redacted]";

/// The configuration in effect as TOML; `from_file` names the keys that the file set.
pub fn effective(command: &Command, matches: &ArgMatches, from_file: &[String]) -> String {
    let mut text = String::new();
    for argument in command.get_arguments() {
        let Some(key) = argument.get_long() else { continue };
        if matches!(key, "config" | "print-config" | "help" | "version") {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = match (values(argument, matches), source(argument, matches, key, from_file)) {
            (Some(value), Some(source)) => writeln!(text, "{key} = {value}  # {source}"),
            _ => writeln!(text, "# {key} is not set"),
        };
    }
    text
}

fn source(argument: &Arg, matches: &ArgMatches, key: &str, from_file: &[String]) -> Option<String> {
    if from_file.iter().any(|name| name == key) {
        return Some("file".to_owned());
    }
    Some(match matches.value_source(argument.get_id().as_str())? {
        ValueSource::CommandLine => "flag".to_owned(),
        ValueSource::EnvVariable => {
            let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
            format!("environment {}", variable.unwrap_or_default())
        }
        _ => "default".to_owned(),
    })
}

fn values(argument: &Arg, matches: &ArgMatches) -> Option<String> {
    let id = argument.get_id().as_str();
    if matches!(argument.get_action(), clap::ArgAction::SetTrue) {
        return matches.get_raw(id).map(|_| matches.get_flag(id).to_string());
    }
    let texts: Vec<String> =
        matches.get_raw(id)?.map(|raw| quote(&redact(argument, &raw.to_string_lossy()))).collect();
    match texts.as_slice() {
        [only] => Some(only.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}

/// The text as TOML: whole numbers bare, the rest in quotes.
fn quote(text: &str) -> String {
    if text.parse::<i64>().is_ok_and(|number| number.to_string() == text) {
        return text.to_owned();
    }
    toml::Value::String(text.to_owned()).to_string()
}

/// Hides secrets whole, and the user part of URLs.
fn redact(argument: &Arg, text: &str) -> String {
    if argument.is_hide_env_values_set() {
        return REDACTED.to_owned();
    }
    let urls: Vec<String> = text.split(',').map(redact_user).collect();
    urls.join(",")
}

fn redact_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority_end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{REDACTED}@{host}{path}"),
        None => url.to_owned(),
    }
}
