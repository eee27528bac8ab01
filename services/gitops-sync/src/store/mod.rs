//! Git repositories, read without a work tree.
//!
//! One bare mirror per remote repository, shared by all Applications that name it, fetched at most
//! once per interval and bounded in number and bytes; `file://` repositories are read where they
//! are. Everything that blocks runs off the async threads, one thread per repository at a time.

mod git;
mod mirror;
mod tree;
mod usage;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mlp_crds::argocd;
use mlp_model::{Class, Classified};
use sha2::{Digest as _, Sha256};

use crate::domain::credential::Credential;
use crate::domain::manifest::Limits;
use crate::domain::project::normal_url;
use crate::domain::request::Rendering;
use crate::domain::tool::Tool;
use mirror::Mirror;

/// How repositories are kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of the mirrors; made where it is missing.
    pub folder: PathBuf,
    /// How old an answer of the remote may be.
    pub interval: Duration,
    /// Whether `file://` repositories are read: whoever writes an Application then reads any
    /// repository on this machine.
    pub allow_files: bool,
    /// Bytes of all mirrors together.
    pub max_bytes: u64,
    /// Longest time for one fetch.
    pub deadline: Duration,
    /// Bounds of one Application.
    pub limits: Limits,
}

/// A repository, and with what it is read.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Address.
    pub url: &'a str,
    /// The credential.
    pub credential: Option<&'a Credential>,
}

/// What of a repository is wanted.
#[derive(Clone, Debug)]
pub struct Query {
    /// Address.
    pub url: String,
    /// With what it is read.
    pub credential: Option<Credential>,
    /// Branch, tag, commit or `HEAD`.
    pub revision: String,
    /// Folder; empty for the root.
    pub path: String,
    /// Name of the Application, for files that are for it alone.
    pub application: String,
    /// What makes the folder into manifests.
    pub rendering: Rendering,
    /// The source as the spec has it, where files in its folder may say otherwise.
    pub source: Option<argocd::Source>,
    /// Ask the remote now, however fresh the mirror is.
    pub fresh: bool,
}

/// One folder at one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkout {
    /// The commit, in full.
    pub revision: String,
    /// What makes it into manifests.
    pub content: Content,
    /// How, where files in it say otherwise than the query.
    pub overridden: Option<Rendering>,
}

/// What is in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Manifests: path in the repository and text of each file that counts, by path.
    Manifests(Vec<(String, String)>),
    /// Input of a tool: every file that it reads, by path.
    Tree(Tool, Vec<Entry>),
}

impl Content {
    /// What makes it into manifests.
    pub const fn tool(&self) -> Tool {
        match self {
            Self::Manifests(_) => Tool::Directory,
            Self::Tree(tool, _) => *tool,
        }
    }

    /// The same for the same files.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let mut part = |text: &str| {
            digest.update(text.len().to_le_bytes());
            digest.update(text);
        };
        part(self.tool().as_str());
        match self {
            Self::Manifests(files) => files.iter().for_each(|(path, text)| {
                part(path);
                part(text);
            }),
            Self::Tree(_, entries) => entries.iter().for_each(|entry| {
                part(&entry.path);
                part(entry.edited.as_ref().unwrap_or(&entry.blob));
            }),
        }
        digest.finalize().into()
    }
}

/// A file, without its content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Path in the repository.
    pub path: String,
    /// Git's id of the content, in hex.
    pub blob: String,
    /// The content, where it is not the repository's own.
    pub edited: Option<String>,
}

/// All that is in a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The commit, in full.
    pub revision: String,
    /// Paths of folders, sorted; not the root.
    pub folders: Vec<String>,
    /// Files, by path; neither links nor submodules.
    pub files: Vec<Entry>,
}

/// Why a repository could not be read. The message says what to change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `file://` addresses are switched off.
    #[error(
        "repository {0} is a local folder; start the service with --allow-file-repositories, or use a remote"
    )]
    FilesNotAllowed(String),
    /// The remote or folder could not be opened or fetched.
    #[error("cannot read repository {url}: {detail}")]
    Unreachable {
        /// Address.
        url: String,
        /// The cause, in one line.
        detail: String,
    },
    /// A fetch of the repository has not ended yet.
    #[error("the last fetch of repository {0} has not ended yet")]
    Busy(String),
    /// The fetch took longer than allowed.
    #[error("repository {url} did not answer within {seconds} s")]
    TimedOut {
        /// Address.
        url: String,
        /// The bound.
        seconds: u64,
    },
    /// No such branch, tag or commit.
    #[error("repository {url} has no branch, tag or commit `{revision}`")]
    NoRevision {
        /// Address.
        url: String,
        /// What was asked for.
        revision: String,
    },
    /// No such folder at the commit.
    #[error("{revision} has no folder `{path}`")]
    NoPath {
        /// Commit.
        revision: String,
        /// Folder.
        path: String,
    },
    /// A file that cannot be read as a manifest.
    #[error("{file}: {detail}")]
    File {
        /// Path in the repository.
        file: String,
        /// What is wrong and what to do.
        detail: String,
    },
    /// The folder holds more than one Application may.
    #[error(
        "folder `{path}` holds more than {limit}; split it, or narrow plain manifests with spec.source.directory.include"
    )]
    TooMuch {
        /// Folder.
        path: String,
        /// The bound, in words.
        limit: String,
    },
    /// The mirror is larger than all mirrors may be.
    #[error("repository {url} takes more than {bytes} bytes; raise --cache-bytes, or split the repository")]
    TooLarge {
        /// Address.
        url: String,
        /// The bound.
        bytes: u64,
    },
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => Class::Transient,
            Self::Busy(_) => Class::Waiting(Duration::from_secs(5)),
            _ => Class::Terminal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::FilesNotAllowed(_) => "FileRepositoriesOff",
            Self::Unreachable { .. } => "RepositoryUnreachable",
            Self::Busy(_) => "FetchUnderWay",
            Self::TimedOut { .. } => "RepositoryTimedOut",
            Self::NoRevision { .. } => "RevisionNotFound",
            Self::NoPath { .. } => "PathNotFound",
            Self::File { .. } => "FileUnreadable",
            Self::TooMuch { .. } => "SourceTooLarge",
            Self::TooLarge { .. } => "RepositoryTooLarge",
        }
    }
}

/// All repositories in use.
pub struct Repositories {
    options: Options,
    mirrors: Mutex<HashMap<String, Arc<Mirror>>>,
}

impl Repositories {
    /// Keeps repositories as `options` says.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(options: Options) -> std::io::Result<Self> {
        // The HTTP client under gix takes the process's provider; a second call changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        std::fs::create_dir_all(&options.folder)?;
        Ok(Self { options, mirrors: Mutex::default() })
    }

    /// How often an Application should look for a new commit: the interval, up to a tenth more, the
    /// same for one address, so that Applications of one repository share a fetch and repositories
    /// do not fetch together.
    pub fn poll(&self, url: &str) -> Duration {
        let spread =
            normal_url(url).bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        self.options.interval + self.options.interval * (spread % 100) / 1_000
    }

    /// Resolves the revision and reads the files.
    ///
    /// # Errors
    /// [`Error`]; a fault of the network is `Transient`, the rest waits for a change of input.
    pub async fn read(&self, query: Query) -> Result<Checkout, Error> {
        let (asked, limits) = (query.clone(), self.options.limits);
        self.at(query, move |repository, commit| git::read_files(repository, commit, &asked, limits)).await
    }

    /// Resolves the revision and lists all of it: of the query, its address, credential and revision count.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn listing(&self, query: Query) -> Result<Listing, Error> {
        let (url, limits) = (query.url.clone(), self.options.limits);
        self.at(query, move |repository, commit| git::list(repository, commit, &url, limits)).await
    }

    /// Has the query's commit read.
    async fn at<T: Send + 'static>(
        &self,
        query: Query,
        reads: impl FnOnce(&gix::Repository, gix::ObjectId) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if let Some(folder) = query.url.strip_prefix("file://") {
            if !self.options.allow_files {
                return Err(Error::FilesNotAllowed(query.url));
            }
            let folder = PathBuf::from(folder);
            return blocking(self.options.deadline, query.url.clone(), move || {
                let repository = git::open(&folder, &query.url)?;
                reads(&repository, git::resolve_local(&repository, &query)?)
            })
            .await;
        }
        let mirror = self.mirror(Source { url: &query.url, credential: query.credential.as_ref() });
        let options = self.options.clone();
        let (worker, url) = (Arc::clone(&mirror), query.url.clone());
        let read = blocking(self.options.deadline, url, move || worker.read(&query, &options, reads)).await;
        mirror.cancel_if(matches!(read, Err(Error::TimedOut { .. })));
        self.evict(&mirror);
        read
    }

    /// The contents of files that [`Self::read`] named.
    ///
    /// # Errors
    /// [`Error`]; a mirror that was dropped meanwhile is read anew with the next look.
    pub async fn contents(
        &self,
        source: Source<'_>,
        entries: Vec<Entry>,
    ) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let url = source.url;
        let folder = match url.strip_prefix("file://") {
            Some(folder) => PathBuf::from(folder),
            None => self.mirror(source).folder(),
        };
        let (address, limits) = (url.to_owned(), self.options.limits);
        blocking(self.options.deadline, url.to_owned(), move || {
            tree::contents(&git::open(&folder, &address)?, &address, entries, limits)
        })
        .await
    }

    /// Asks the remotes anew of which this holds, with the next look at them.
    pub fn outdate(&self, is_meant: impl Fn(&str) -> bool) {
        let mirrors = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, mirror) in mirrors.iter() {
            let url = key.split_once('#').map_or(key.as_str(), |(url, _)| url);
            if is_meant(url) {
                mirror.outdate();
            }
        }
    }

    fn mirror(&self, source: Source<'_>) -> Arc<Mirror> {
        // What was read with one credential is not shown to whoever has another, or none.
        let with = source.credential.map(|credential| format!("#{}", credential.id)).unwrap_or_default();
        let key = normal_url(source.url) + &with;
        let mut mirrors = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        let mirror =
            mirrors.entry(key.clone()).or_insert_with(|| Arc::new(Mirror::new(&self.options.folder, &key)));
        mirror.touch(Instant::now());
        Arc::clone(mirror)
    }

    /// Drops the mirrors that were used least recently until the rest fits.
    fn evict(&self, keep: &Arc<Mirror>) {
        let mut mirrors = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total: u64 = mirrors.values().map(|mirror| mirror.bytes()).sum();
        while total > self.options.max_bytes {
            let others = mirrors
                .iter()
                .filter(|(_, mirror)| !Arc::ptr_eq(mirror, keep) && Arc::strong_count(mirror) == 1);
            let Some(key) = others.min_by_key(|(_, mirror)| mirror.used()).map(|(key, _)| key.clone()) else {
                return;
            };
            if let Some(mirror) = mirrors.remove(&key) {
                total = total.saturating_sub(mirror.bytes());
                mirror.remove();
                tracing::info!(repository = key, "mirror dropped to make room");
            }
        }
    }
}

/// Runs what blocks on a thread of its own, and gives up waiting after the deadline and some grace.
async fn blocking<T: Send + 'static>(
    deadline: Duration,
    url: String,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let task = tokio::task::spawn_blocking(work);
    match tokio::time::timeout(deadline, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(join)) => Err(Error::Unreachable { url, detail: join.to_string() }),
        Err(_) => Err(Error::TimedOut { url, seconds: deadline.as_secs() }),
    }
}

#[cfg(test)]
mod tests;
