//! Reads the sources and merges them: flags over environment over file over defaults.
//!
//! The file's values are handed to clap as if they were flags, so that one parser and one set of
//! messages serve all sources.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command};

use super::print;

/// Keys that make no sense inside the file they are about.
const NOT_IN_FILE: [&str; 4] = ["config", "print-config", "help", "version"];

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Flags or environment are wrong, or help or version was asked for. Prints itself well.
    #[error("{0}")]
    Arguments(clap::Error),
    /// The file cannot be read.
    #[error("--config {path} cannot be read; name a readable TOML file")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("--config {path} is not TOML; write lines such as drain-timeout = \"20s\"")]
    NotToml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// The file has a key that no flag has.
    #[error("--config {path}: `{key}` is no key{hint}")]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The nearest key, or where to find the list.
        hint: String,
    },
    /// The file's value has the wrong shape or is refused.
    #[error("--config {path}: `{key}`: {problem}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong and what to write.
        problem: String,
    },
    /// A key's value, from whatever source, does not fit.
    #[error("--{key}: {problem}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What is wrong and what to write.
        problem: String,
    },
    /// `--print-config` was asked for: not a failure, the text goes to standard output.
    #[error("{0}")]
    Printed(String),
}

impl ConfigError {
    /// A value that does not fit; the message names the key and the fix.
    pub fn invalid(key: &'static str, problem: &str) -> Self {
        Self::Invalid { key, problem: problem.to_owned() }
    }

    /// Prints it where it belongs and gives the exit code: 0 for help, version and
    /// `--print-config`, 2 for the rest.
    pub fn report(&self) -> u8 {
        match self {
            Self::Arguments(error) => {
                // A closed standard output leaves nobody to tell.
                let _ = error.print();
                u8::try_from(error.exit_code()).unwrap_or(2)
            }
            Self::Printed(text) => {
                print!("{text}");
                0
            }
            other => {
                eprintln!("error: {}", crate::error::chain(other));
                2
            }
        }
    }
}

/// Parses the process's arguments and environment, and the file they name.
///
/// # Errors
/// [`ConfigError`]; call [`ConfigError::report`] on it and leave with the code.
pub fn load<A: clap::Parser>() -> Result<A, ConfigError> {
    load_from(std::env::args_os())
}

/// Parses the given arguments (the first is the program), the environment and the file they name.
///
/// # Errors
/// [`ConfigError`], as [`load`].
pub fn load_from<A: clap::Parser>(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<A, ConfigError> {
    let mut arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    // First pass: only to learn which file, and which keys the flags and environment already set.
    let lenient = A::command().mut_args(|argument| argument.required(false));
    let first = lenient.try_get_matches_from(arguments.clone()).map_err(ConfigError::Arguments)?;
    let path = first.try_get_one::<PathBuf>("config").ok().flatten().cloned();
    let mut from_file = Vec::new();
    if let Some(path) = &path {
        let flags = read_flags(path, &A::command(), &first)?;
        from_file = flags.iter().map(|flag| flag.key.clone()).collect();
        let after_program = 1.min(arguments.len());
        let values = flags.into_iter().map(|flag| flag.argument);
        arguments.splice(after_program..after_program, values);
    }
    let refused = |error| blame(error, path.as_deref(), &from_file);
    let matches = A::command().try_get_matches_from(arguments).map_err(refused)?;
    if matches.try_get_one::<bool>("print_config").ok().flatten() == Some(&true) {
        return Err(ConfigError::Printed(print::effective(&A::command(), &matches, &from_file)));
    }
    A::from_arg_matches(&matches).map_err(ConfigError::Arguments)
}

struct FileFlag {
    key: String,
    argument: OsString,
}

/// The file's keys as flags, those left out that a flag or the environment sets.
fn read_flags(path: &Path, command: &Command, first: &ArgMatches) -> Result<Vec<FileFlag>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let table: toml::Table = text
        .parse()
        .map_err(|source| ConfigError::NotToml { path: path.to_owned(), source: Box::new(source) })?;
    let mut flags = Vec::new();
    for (key, value) in table {
        let argument = command
            .get_arguments()
            .find(|argument| argument.get_long() == Some(&key) && !NOT_IN_FILE.contains(&key.as_str()))
            .ok_or_else(|| unknown(path, &key, command))?;
        let source = first.value_source(argument.get_id().as_str());
        let texts = as_texts(&value, argument.get_action()).map_err(|problem| ConfigError::Value {
            path: path.to_owned(),
            key: key.clone(),
            problem,
        })?;
        if matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        for text in texts {
            let argument = match text {
                Some(text) => format!("--{key}={text}"),
                None => format!("--{key}"),
            };
            flags.push(FileFlag { key: key.clone(), argument: argument.into() });
        }
    }
    Ok(flags)
}

/// The values to give to a flag: `None` stands for the bare flag.
fn as_texts(value: &toml::Value, action: &ArgAction) -> Result<Vec<Option<String>>, String> {
    match (value, action) {
        (toml::Value::Boolean(on), ArgAction::SetTrue) => Ok(if *on { vec![None] } else { Vec::new() }),
        (_, ArgAction::SetTrue) => Err("not a truth value; write true or false".to_owned()),
        (toml::Value::Array(values), ArgAction::Append) => {
            values.iter().map(|value| scalar(value).map(Some)).collect()
        }
        (value, _) => scalar(value).map(|text| vec![Some(text)]),
    }
}

fn scalar(value: &toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        toml::Value::Boolean(truth) => Ok(truth.to_string()),
        _ => Err("not a single value; write text, a number, true or false".to_owned()),
    }
}

fn unknown(path: &Path, key: &str, command: &Command) -> ConfigError {
    let hint = if NOT_IN_FILE.contains(&key) {
        "of the file; give it as a flag".to_owned()
    } else {
        let longs = command.get_arguments().filter_map(clap::Arg::get_long);
        let nearest = longs
            .filter(|long| !NOT_IN_FILE.contains(long))
            .map(|long| (distance(long, key), long))
            .min()
            .filter(|(steps, _)| *steps <= 3);
        match nearest {
            Some((_, long)) => format!("; did you mean `{long}`?"),
            None => "; --help lists the keys".to_owned(),
        }
    };
    let separator = if hint.starts_with(';') { "" } else { " " };
    ConfigError::UnknownKey { path: path.to_owned(), key: key.to_owned(), hint: format!("{separator}{hint}") }
}

/// A refusal of the second pass is the file's fault when it names a key that the file set.
fn blame(error: clap::Error, path: Option<&Path>, from_file: &[String]) -> ConfigError {
    let text = error.to_string();
    let key = from_file.iter().find(|key| text.contains(&format!("'--{key} ")));
    match (path, key) {
        (Some(path), Some(key)) => {
            let first_line = text.lines().next().unwrap_or_default();
            let problem = first_line.trim_start_matches("error: ").to_owned();
            ConfigError::Value { path: path.to_owned(), key: key.clone(), problem }
        }
        _ => ConfigError::Arguments(error),
    }
}

/// Edit distance (Levenshtein); keys are short.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (index, a) in left.chars().enumerate() {
        let mut diagonal = index;
        let mut previous = index + 1;
        let mut next = vec![previous];
        for (b, above) in right.chars().zip(row.iter().skip(1)) {
            previous = (diagonal + usize::from(a != b)).min(previous + 1).min(above + 1);
            diagonal = *above;
            next.push(previous);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
