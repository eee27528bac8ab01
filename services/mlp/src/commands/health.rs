//! `mlp health`: what gitops-sync would say of an object, without a cluster.

use std::io::Read as _;
use std::path::Path;

use mlp_health::{Health as Found, Script};
use serde_json::{Value, json};

use crate::cli::{Assess, Health, Output};
use crate::exit::{Failure, Outcome};

/// Runs a verb.
pub(crate) fn health(verb: &Health) -> Outcome {
    match verb {
        Health::Assess(flags) => assess(flags),
    }
}

fn assess(flags: &Assess) -> Outcome {
    let object = object(&flags.file)?;
    let found = match &flags.lua {
        Some(path) => {
            let script = Script { text: text(path)?, open_libraries: flags.open_libs };
            let health = script.assess(&object);
            Some(health.map_err(|error| Failure::failed(format!("--lua {}: {error}", path.display())))?)
        }
        None => by_rule(&object),
    };
    match (flags.output, found) {
        (Output::Json, Some(health)) => {
            println!("{}", json!({"status": health.level.as_str(), "message": health.message}));
        }
        (Output::Json, None) => println!("null"),
        (Output::Text, Some(health)) => println!("{} {}", health.level.as_str(), health.message),
        (Output::Text, None) => println!("its kind has no health"),
    }
    Ok(())
}

fn by_rule(object: &Value) -> Option<Found> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    mlp_health::of(group, text("kind"), object)
}

fn object(path: &Path) -> Result<Value, Failure> {
    let wrong = |why: &str| Failure::usage(format!("--file {}: {why}", path.display()));
    let object: Value = serde_saphyr::from_str(&text(path)?)
        .map_err(|error| wrong(error.to_string().lines().next().unwrap_or("no YAML")))?;
    let is_named = ["apiVersion", "kind"].iter().all(|key| object.get(key).is_some_and(Value::is_string));
    if is_named { Ok(object) } else { Err(wrong("holds no object; write apiVersion and kind")) }
}

fn text(path: &Path) -> Result<String, Failure> {
    let read = || {
        if path != Path::new("-") {
            return std::fs::read_to_string(path);
        }
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    };
    read().map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}
