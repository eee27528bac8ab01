//! Manifests that another tool makes of files, and Go templates that one fills: by its pinned program, in a tree of its own, confined, and once
//! for the same input.
//!
//! What goes in is known before ([`crate::store::Content::Tree`]), so the key of the cache is the ids of those files
//! and what the tool is told: a commit that touches none of them makes nothing anew.

mod cache;
pub mod sandbox;
mod tools;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mlp_model::{Class, Classified};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::domain::tool::Tool;
use crate::store::{self, Entry, Repositories, Source};
use cache::{Cache, Refusals};

pub use tools::{Helm, Kustomize};

/// What templates are filled from.
const INPUT: &str = "input.json";
/// Tools that run at the same time: each takes a core.
const AT_ONCE: usize = 2;

/// A tool that makes manifests of a tree of files.
pub trait Renderer: Send + Sync {
    /// Which tool it is.
    fn tool(&self) -> Tool;
    /// Files beside those of the repository, by path in the tree.
    fn own_files(&self) -> Vec<(String, String)>;
    /// Texts that no message may repeat.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
    /// What it is told, in the root of the tree; `present` are the paths of all its files.
    fn arguments(&self, present: &[String]) -> Vec<String>;
}

/// Where the tools are, and their bounds.
#[derive(Clone, Debug)]
pub struct Options {
    /// `kustomize`.
    pub kustomize: PathBuf,
    /// `helm`.
    pub helm: PathBuf,
    /// `gotemplate`.
    pub gotemplate: PathBuf,
    /// The program that confines itself and becomes a tool: this service's own ([`sandbox::intercept`]).
    pub confiner: PathBuf,
    /// Where trees are made; they are removed as soon as a tool has ended.
    pub folder: PathBuf,
    /// Longest time of one run.
    pub deadline: Duration,
    /// Bounds of the process.
    pub limits: sandbox::Limits,
    /// Bytes of results that are kept.
    pub cache_bytes: usize,
}

/// Why no manifests were made. The message says what to change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its input could not be read.
    #[error(transparent)]
    Source(#[from] store::Error),
    /// The tool refused its input.
    #[error("{tool}: {said}")]
    Refused {
        /// Its name.
        tool: &'static str,
        /// What it said, shortened.
        said: String,
    },
    /// It took longer, or made more, than it may.
    #[error("{tool} was ended: {why}; make the source smaller")]
    TooMuch {
        /// Its name.
        tool: &'static str,
        /// The bound.
        why: String,
    },
    /// It could not be run at all.
    #[error("{tool} cannot be run: {why}")]
    Broken {
        /// Its name.
        tool: &'static str,
        /// What is missing, and the fix.
        why: String,
    },
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Self::Source(error) => error.class(),
            Self::Broken { .. } => Class::Transient,
            Self::Refused { .. } | Self::TooMuch { .. } => Class::Terminal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Source(error) => error.reason(),
            Self::Refused { .. } => "RenderRefused",
            Self::TooMuch { .. } => "RenderTooLarge",
            Self::Broken { .. } => "ToolUnavailable",
        }
    }
}

/// One run of a tool.
#[derive(Clone, Copy)]
struct Run<'a> {
    /// Its name, for messages.
    name: &'static str,
    program: &'a Path,
    arguments: &'a [String],
    /// Texts that no message may repeat.
    secrets: &'a [String],
}

/// Runs tools.
pub struct Renderers {
    options: Options,
    slots: Semaphore,
    cache: Cache,
    refused: Refusals,
    runs: AtomicU64,
}

impl Renderers {
    /// Runs tools as `options` says.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(mut options: Options) -> std::io::Result<Self> {
        // What a process that was killed left there is nobody's.
        if options.folder.exists() {
            std::fs::remove_dir_all(&options.folder)?;
        }
        std::fs::create_dir_all(&options.folder)?;
        options.folder = options.folder.canonicalize()?;
        let cache = Cache::new(options.cache_bytes);
        Ok(Self {
            options,
            slots: Semaphore::new(AT_ONCE),
            cache,
            refused: Refusals::default(),
            runs: AtomicU64::new(0),
        })
    }

    /// How often a tool was run since the start.
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// What the tool makes of the entries of a repository.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn render(
        &self,
        repositories: &Repositories,
        source: Source<'_>,
        entries: Vec<Entry>,
        renderer: &dyn Renderer,
    ) -> Result<Arc<str>, Error> {
        let present: Vec<String> = entries.iter().map(|entry| entry.path.clone()).collect();
        let (arguments, own) = (renderer.arguments(&present), renderer.own_files());
        let name = renderer.tool().as_str();
        let key = key(name, &arguments, &own, &entries);
        let program = match renderer.tool() {
            Tool::Helm => &self.options.helm,
            _ => &self.options.kustomize,
        };
        let run = Run { name, program, arguments: &arguments, secrets: &renderer.secrets() };
        let files = async || {
            let mut files = repositories.contents(source, entries).await?;
            files.extend(own.into_iter().map(|(path, text)| (path, text.into_bytes())));
            Ok(files)
        };
        self.once(key, run, files).await
    }

    /// Go templates, filled: a value for each object of parameters. `input` is JSON of `template`, `parameters` and
    /// `options`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn fill(&self, input: &str) -> Result<Vec<Value>, Error> {
        const NAME: &str = "gotemplate";
        let arguments = [INPUT.to_owned()];
        let own = [(INPUT.to_owned(), input.to_owned())];
        let run = Run { name: NAME, program: &self.options.gotemplate, arguments: &arguments, secrets: &[] };
        let files = async || Ok(vec![(INPUT.to_owned(), input.as_bytes().to_vec())]);
        let made = self.once(key(NAME, &arguments, &own, &[]), run, files).await?;
        serde_json::from_str(&made).map_err(|error| Error::Broken { tool: NAME, why: error.to_string() })
    }

    /// What a tool makes of files, unless it is known.
    async fn once(
        &self,
        key: Key,
        run: Run<'_>,
        files: impl AsyncFnOnce() -> Result<Vec<(String, Vec<u8>)>, Error>,
    ) -> Result<Arc<str>, Error> {
        if let Some(made) = self.cache.get(&key) {
            return Ok(made);
        }
        if let Some(refusal) = self.refused.get(&key) {
            return Err(refusal);
        }
        let broken = |why: String| Error::Broken { tool: run.name, why };
        let slot = tokio::time::timeout(self.options.deadline, self.slots.acquire()).await;
        let slot =
            slot.map_err(|_| broken(format!("{AT_ONCE} others run, and this one waits for its turn")))?;
        let _slot = slot.map_err(|error| broken(error.to_string()))?;
        // Another Application of the same source may have had it made meanwhile.
        if let Some(made) = self.cache.get(&key) {
            return Ok(made);
        }
        let files = files().await?;
        let folder = self.options.folder.clone();
        let tree = tokio::task::spawn_blocking(move || plant(&folder, &files)).await;
        let tree = tree.map_err(|error| broken(error.to_string()))?;
        let tree = tree.map_err(|error| broken(format!("{}: {error}", self.options.folder.display())))?;
        self.runs.fetch_add(1, Ordering::Relaxed);
        let made = sandbox::run(&self.options, run, tree.path()).await;
        let made: Arc<str> = made.inspect_err(|error| self.refused.put(key, error))?.into();
        self.cache.put(key, Arc::clone(&made));
        Ok(made)
    }
}

/// The files in a folder that is removed when it is dropped.
fn plant(folder: &Path, files: &[(String, Vec<u8>)]) -> std::io::Result<tempfile::TempDir> {
    let tree = tempfile::Builder::new().prefix("tree-").tempdir_in(folder)?;
    for (path, data) in files {
        let path = tree.path().join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, data)?;
    }
    Ok(tree)
}

type Key = [u8; 32];

fn key(tool: &str, arguments: &[String], own: &[(String, String)], entries: &[Entry]) -> Key {
    let mut digest = Sha256::new();
    // Each part with its length: no two inputs are the same text.
    let mut part = |text: &str| {
        digest.update(text.len().to_le_bytes());
        digest.update(text.as_bytes());
    };
    part(tool);
    part(&arguments.len().to_string());
    arguments.iter().for_each(|argument| part(argument));
    part(&own.len().to_string());
    for (path, text) in own {
        part(path);
        part(text);
    }
    for entry in entries {
        part(&entry.path);
        part(entry.edited.as_deref().unwrap_or(&entry.blob));
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_goes_in_is_part_of_the_key() {
        let entry = |path: &str, blob: &str| Entry { path: path.into(), blob: blob.into(), edited: None };
        let of = |arguments: &[&str], own: &[(&str, &str)], entries: &[Entry]| {
            let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
            let own: Vec<_> =
                own.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
            key("helm", &arguments, &own, entries)
        };
        let same = of(&["a"], &[("o", "x")], &[entry("f", "1")]);
        assert_eq!(same, of(&["a"], &[("o", "x")], &[entry("f", "1")]));
        for other in [
            of(&["a", "b"], &[("o", "x")], &[entry("f", "1")]),
            of(&["a"], &[("o", "y")], &[entry("f", "1")]),
            of(&["a"], &[("o", "x")], &[entry("f", "2")]),
            of(&["a"], &[("o", "x")], &[entry("g", "1")]),
            of(&["a"], &[], &[entry("o", "x"), entry("f", "1")]),
            of(&["a"], &[("o", "x")], &[Entry { edited: Some("e".into()), ..entry("f", "1") }]),
        ] {
            assert_ne!(same, other);
        }
    }
}
