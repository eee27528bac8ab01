//! A bare mirror of one remote repository.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::Instant;

use gix::ObjectId;
use gix::credentials::helper::{Action, NextAction};
use gix::credentials::protocol::Outcome;
use gix::progress::Discard;
use gix::protocol::handshake::Ref;
use gix::remote::Direction;
use gix::sec::identity::Account;
use sha2::{Digest as _, Sha256};

use super::{Error, Options, Query, git, usage};
use crate::domain::credential::Credential;
use crate::domain::version::Range;

/// What is mirrored: branches, tags and where the remote's HEAD points.
const REFSPECS: [&str; 3] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "+HEAD:refs/mlp/HEAD"];

/// One repository, kept in one folder.
pub(super) struct Mirror {
    folder: PathBuf,
    /// Held while a thread works on the folder.
    state: Mutex<State>,
    /// Tells a running fetch to stop.
    interrupt: AtomicBool,
    bytes: AtomicU64,
    used: Mutex<Instant>,
    /// Somebody said that the remote holds something newer.
    outdated: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The remote's refs at the last fetch, peeled.
    refs: HashMap<String, ObjectId>,
    fetched: Option<Instant>,
    /// The folder, opened after the last fetch: to open it costs more than to read a folder of it.
    opened: Option<gix::ThreadSafeRepository>,
}

impl Mirror {
    pub(super) fn new(root: &Path, key: &str) -> Self {
        let digest = Sha256::digest(key.as_bytes());
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self {
            folder: root.join(name),
            state: Mutex::default(),
            interrupt: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            used: Mutex::new(Instant::now()),
            outdated: AtomicBool::new(false),
        }
    }

    /// Fetches where the last answer is too old, resolves, and has the commit read. Blocking.
    pub(super) fn read<T>(
        &self,
        query: &Query,
        options: &Options,
        reads: impl FnOnce(&gix::Repository, ObjectId) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Applications of one repository queue up behind one fetch; only one that was given up
            // on is worth telling of.
            Err(TryLockError::WouldBlock) if self.interrupt.load(Ordering::Relaxed) => {
                return Err(Error::Busy(query.url.clone()));
            }
            Err(TryLockError::WouldBlock) => self.state.lock().unwrap_or_else(PoisonError::into_inner),
        };
        let asked = Instant::now();
        let young = state.fetched.is_some_and(|at| asked.saturating_duration_since(at) < options.interval);
        // Taken back before the remote is asked: what is said meanwhile counts for the next look.
        let outdated = self.outdated.swap(false, Ordering::AcqRel);
        if !young || query.fresh || outdated {
            state.opened = None;
            let repository = self.open(&query.url)?;
            let fetched = self.fetch(&repository, &query.url, query.credential.as_ref());
            if fetched.is_err() && outdated {
                self.outdate();
            }
            state.refs = fetched?;
            state.fetched = Some(Instant::now());
            self.measure(options, &query.url, &mut state)?;
        }
        let repository = match &state.opened {
            Some(opened) => opened.to_thread_local(),
            None => self.open(&query.url)?,
        };
        state.opened.get_or_insert_with(|| repository.clone().into_sync());
        let named =
            git::ref_names(&query.revision).into_iter().find_map(|name| state.refs.get(&name).copied());
        let within = || {
            let tags = state.refs.keys().filter_map(|name| name.strip_prefix(git::TAGS));
            let tag = Range::read(&query.revision)?.newest(tags)?;
            state.refs.get(&format!("{}{tag}", git::TAGS)).copied()
        };
        let commit = match named.or_else(within) {
            Some(id) => id,
            None => git::resolve_commit(&repository, query)?,
        };
        reads(&repository, commit)
    }

    fn open(&self, url: &str) -> Result<gix::Repository, Error> {
        if self.folder.join("HEAD").exists() {
            return git::open(&self.folder, url);
        }
        gix::init_bare(&self.folder).map_err(|error| git::unreachable_error(url, &error))?;
        git::open(&self.folder, url)
    }

    fn fetch(
        &self,
        repository: &gix::Repository,
        url: &str,
        credential: Option<&Credential>,
    ) -> Result<HashMap<String, ObjectId>, Error> {
        self.interrupt.store(false, Ordering::Relaxed);
        // Nobody else is asked: not the machine's helpers, and no person.
        let account = |action: Action| {
            let (Action::Get(context), Some(credential)) = (action, credential) else { return Ok(None) };
            let identity = Account {
                username: credential.username.clone(),
                password: credential.password.expose().clone(),
                oauth_refresh_token: None,
            };
            Ok(Some(Outcome { identity, next: NextAction::from(context) }))
        };
        let fetched = || -> Result<_, gix::Error> {
            let remote = repository.remote_at(url)?.with_refspecs(REFSPECS, Direction::Fetch)?;
            let connection = remote.connect(Direction::Fetch)?.with_credentials(account);
            let prepared = connection.prepare_fetch(Discard, Default::default())?;
            prepared.receive(Discard, &self.interrupt)
        };
        let outcome = fetched().map_err(|error| git::unreachable_error(url, &error))?;
        Ok(outcome.ref_map.remote_refs.iter().filter_map(peeled).collect())
    }

    fn measure(&self, options: &Options, url: &str, state: &mut State) -> Result<(), Error> {
        let bytes = usage::of(&self.folder);
        self.bytes.store(bytes, Ordering::Relaxed);
        if bytes <= options.max_bytes {
            return Ok(());
        }
        *state = State::default();
        self.remove();
        Err(Error::TooLarge { url: url.to_owned(), bytes: options.max_bytes })
    }

    /// Has the remote asked with the next look, however young the last answer is.
    pub(super) fn outdate(&self) {
        self.outdated.store(true, Ordering::Release);
    }

    /// Tells a fetch that nobody waits for any more to stop.
    pub(super) fn cancel_if(&self, given_up: bool) {
        if given_up {
            self.interrupt.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn touch(&self, now: Instant) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Removes the folder; the next read fetches anew.
    pub(super) fn remove(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "mirror not removed");
        }
    }
}

fn peeled(reference: &Ref) -> Option<(String, ObjectId)> {
    match reference {
        Ref::Peeled { full_ref_name, object, .. }
        | Ref::Direct { full_ref_name, object }
        | Ref::Symbolic { full_ref_name, object, .. } => Some((full_ref_name.to_string(), *object)),
        Ref::Unborn { .. } => None,
    }
}
