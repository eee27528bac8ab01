//! Reading commits and trees with gix. Blocking.

use std::path::Path;

use gix::ObjectId;
use gix::bstr::ByteSlice as _;
use gix::object::tree::EntryKind;
use serde_json::Value;

use super::{Checkout, Content, Entry, Error, Listing, Query, tree};
use crate::domain::manifest::{self, Limits};
use crate::domain::request::{self, Rendering};
use crate::domain::tool::Tool;
use crate::domain::version::Range;

/// How the names of tags begin.
pub(super) const TAGS: &str = "refs/tags/";
/// The shortest abbreviation of a commit that is accepted.
const SHORT: usize = 7;
/// Entries of folders that are looked at: one tree may stand in another without end, at no size at all.
pub(super) const ENTRIES: usize = 100_000;
/// How deep folders may lie.
pub(super) const DEPTH: usize = 32;

/// Opens a repository without reading the machine's or user's git configuration.
pub(super) fn open(folder: &Path, url: &str) -> Result<gix::Repository, Error> {
    let options = gix::open::Options::isolated();
    let repository = gix::open_opts(folder, options);
    repository.map_err(|error| unreachable_error(url, &error))
}

pub(super) fn unreachable_error(url: &str, error: &dyn std::error::Error) -> Error {
    let mut detail = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    let detail = detail.lines().next().unwrap_or_default().to_owned();
    Error::Unreachable { url: url.to_owned(), detail }
}

/// Resolves a revision in a local repository by its own refs.
pub(super) fn resolve_local(repository: &gix::Repository, query: &Query) -> Result<ObjectId, Error> {
    let named = ref_names(&query.revision).into_iter().find_map(|name| {
        let mut reference = repository.try_find_reference(name.as_str()).ok().flatten()?;
        reference.peel_to_id().ok().map(gix::Id::detach)
    });
    match named.or_else(|| newest_local(repository, &query.revision)) {
        Some(id) => Ok(id),
        None => resolve_commit(repository, query),
    }
}

/// The newest tag within a range of versions.
fn newest_local(repository: &gix::Repository, revision: &str) -> Option<ObjectId> {
    let range = Range::read(revision)?;
    let references = repository.references().ok()?;
    let tags = references.tags().ok()?.filter_map(Result::ok);
    let tags: Vec<String> = tags.map(|tag| tag.name().shorten().to_string()).collect();
    let newest = range.newest(tags.iter().map(String::as_str))?;
    let mut reference = repository.try_find_reference(format!("{TAGS}{newest}").as_str()).ok().flatten()?;
    reference.peel_to_id().ok().map(gix::Id::detach)
}

/// The refs that a revision may mean, in the order in which they count.
pub(super) fn ref_names(revision: &str) -> Vec<String> {
    match revision {
        "" | "HEAD" => vec!["HEAD".into()],
        full if full.starts_with("refs/") => vec![full.into()],
        name => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
    }
}

/// Resolves a full or abbreviated commit id.
pub(super) fn resolve_commit(repository: &gix::Repository, query: &Query) -> Result<ObjectId, Error> {
    let missing = || Error::NoRevision { url: query.url.clone(), revision: query.revision.clone() };
    let hex = query.revision.as_str();
    let is_hex = hex.len() >= SHORT && hex.len() <= 40 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex {
        return Err(missing());
    }
    let found = repository.rev_parse_single(hex.as_bytes().as_bstr()).map_err(|_| missing())?.detach();
    let commit =
        repository.find_object(found).and_then(gix::Object::peel_to_commit).map_err(|_| missing())?;
    Ok(commit.id)
}

/// Reads the files of the query's folder at a commit.
pub(super) fn read_files(
    repository: &gix::Repository,
    commit: ObjectId,
    query: &Query,
    limits: Limits,
) -> Result<Checkout, Error> {
    let fault = |error: gix::Error| unreachable_error(&query.url, &error);
    let revision = commit.to_string();
    let no_path = || Error::NoPath { revision: revision.clone(), path: query.path.clone() };
    let root = repository.find_object(commit).map_err(fault)?.peel_to_tree().map_err(fault)?;
    let top = root.clone();
    let folder = if query.path.is_empty() {
        root
    } else {
        let entry = root.lookup_entry_by_path(&query.path).map_err(fault)?.ok_or_else(no_path)?;
        entry.object().map_err(fault)?.try_into_tree().map_err(|_| no_path())?
    };
    let mut names = Vec::new();
    for entry in folder.iter() {
        names.push(entry.map_err(fault)?.filename().to_string());
    }
    let overridden = overridden(repository, &folder, query, limits)?;
    let query =
        &overridden.clone().map_or_else(|| query.clone(), |rendering| Query { rendering, ..query.clone() });
    let tool = query.rendering.tool.unwrap_or_else(|| Tool::of(names.iter().map(String::as_str)));
    let content = match tool {
        Tool::Directory => {
            let mut walk = Walk { repository, query, limits, files: Vec::new(), bytes: 0, seen: 0 };
            walk.folder(&folder, "", 0)?;
            let mut files = walk.files;
            files.sort();
            Content::Manifests(files)
        }
        tool => Content::Tree(tool, tree::collect(repository, &top, query, tool, limits)?),
    };
    Ok(Checkout { revision, content, overridden })
}

/// How manifests are made of a folder, where files in it say otherwise than the query.
fn overridden(
    repository: &gix::Repository,
    folder: &gix::Tree<'_>,
    query: &Query,
    limits: Limits,
) -> Result<Option<Rendering>, Error> {
    let Some(source) = &query.source else { return Ok(None) };
    let mut files = Vec::new();
    for name in request::overriding(&query.application) {
        let Some(entry) = folder.find_entry(name.as_str()) else { continue };
        let mut walk = Walk { repository, query, limits, files: Vec::new(), bytes: 0, seen: 0 };
        if !matches!(entry.kind(), EntryKind::Blob | EntryKind::BlobExecutable) {
            return Err(walk.file_error(&name, "is no file; put the file itself there"));
        }
        walk.file(&name, entry.oid().to_owned())?;
        for (path, text) in walk.files {
            let value = document(&path, &text)?;
            if !value.is_object() {
                return Err(Error::File {
                    file: path,
                    detail: "is no mapping of fields of a source".to_owned(),
                });
            }
            files.push((path, value));
        }
    }
    let Some((file, _)) = files.last() else { return Ok(None) };
    let refused = |words: String| Error::File {
        file: file.clone(),
        detail: format!("overrides the Application: {words}"),
    };
    request::overridden(source, &files).map(Some).map_err(refused)
}

/// The one document of a file.
pub(super) fn document(path: &str, text: &str) -> Result<Value, Error> {
    manifest::document(path, text).map_err(|error| Error::File {
        file: path.to_owned(),
        detail: format!("line {}: {}", error.line, error.message),
    })
}

/// Lists all folders and files of a commit.
pub(super) fn list(
    repository: &gix::Repository,
    commit: ObjectId,
    url: &str,
    limits: Limits,
) -> Result<Listing, Error> {
    let fault = |error: gix::Error| unreachable_error(url, &error);
    let too_much = |limit: String| Error::TooMuch { path: String::new(), limit };
    let root = repository.find_object(commit).map_err(fault)?.peel_to_tree().map_err(fault)?;
    let mut listing = Listing { revision: commit.to_string(), ..Listing::default() };
    let (mut waiting, mut seen, mut bytes) = (vec![(String::new(), root, 0)], 0, 0_usize);
    while let Some((prefix, tree, depth)) = waiting.pop() {
        for entry in tree.iter() {
            let entry = entry.map_err(fault)?;
            seen += 1;
            if seen > ENTRIES {
                return Err(too_much(format!("{ENTRIES} entries")));
            }
            let path = format!("{prefix}{}", entry.filename());
            bytes = bytes.saturating_add(path.len());
            if bytes > limits.bytes {
                return Err(too_much(format!("{} bytes of paths", limits.bytes)));
            }
            match entry.kind() {
                EntryKind::Tree if depth >= DEPTH => {
                    return Err(too_much(format!("{DEPTH} levels of folders")));
                }
                EntryKind::Tree => {
                    let object = repository.find_object(entry.oid()).map_err(fault)?;
                    let below = object.try_into_tree().map_err(fault)?;
                    waiting.push((format!("{path}/"), below, depth + 1));
                    listing.folders.push(path);
                }
                EntryKind::Blob | EntryKind::BlobExecutable => {
                    listing.files.push(Entry { path, blob: entry.oid().to_string(), edited: None });
                }
                EntryKind::Link | EntryKind::Commit => {}
            }
        }
    }
    listing.folders.sort();
    listing.files.sort();
    Ok(listing)
}

struct Walk<'a> {
    repository: &'a gix::Repository,
    query: &'a Query,
    limits: Limits,
    files: Vec<(String, String)>,
    bytes: usize,
    /// Entries looked at, whether they count or not.
    seen: usize,
}

impl Walk<'_> {
    /// Collects the files below a folder; `prefix` is its path within the query's folder.
    fn folder(&mut self, tree: &gix::Tree<'_>, prefix: &str, depth: usize) -> Result<(), Error> {
        let fault = |error: gix::Error| unreachable_error(&self.query.url, &error);
        for entry in tree.iter() {
            let entry = entry.map_err(fault)?;
            self.seen += 1;
            if self.seen > ENTRIES {
                return Err(self.too_much(format!("{ENTRIES} entries")));
            }
            let inner = format!("{prefix}{}", entry.filename());
            match entry.kind() {
                EntryKind::Tree if self.query.rendering.files.recurse => {
                    if depth >= DEPTH {
                        return Err(self.too_much(format!("{DEPTH} levels of folders")));
                    }
                    let object = self.repository.find_object(entry.oid()).map_err(fault)?;
                    let below = object.try_into_tree().map_err(fault)?;
                    self.folder(&below, &format!("{inner}/"), depth + 1)?;
                }
                EntryKind::Tree => {}
                _ if !self.query.rendering.files.takes(&inner) => {}
                EntryKind::Blob | EntryKind::BlobExecutable => self.file(&inner, entry.oid().to_owned())?,
                EntryKind::Link => {
                    return Err(self.file_error(&inner, "is a symbolic link; put the file itself there"));
                }
                EntryKind::Commit => {
                    return Err(self.file_error(&inner, "is a submodule, which is not supported"));
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, inner: &str, id: ObjectId) -> Result<(), Error> {
        let fault = |error: gix::Error| unreachable_error(&self.query.url, &error);
        let size = self.repository.find_header(id).map_err(fault)?.size();
        self.bytes = self.bytes.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
        if self.bytes > self.limits.bytes {
            return Err(self.too_much(format!("{} bytes", self.limits.bytes)));
        }
        if self.files.len() >= self.limits.files {
            return Err(self.too_much(format!("{} files", self.limits.files)));
        }
        let data = self.repository.find_object(id).map_err(fault)?.detach().data;
        let text = String::from_utf8(data).map_err(|_| self.file_error(inner, "is not UTF-8 text"))?;
        self.files.push((self.full_path(inner), text));
        Ok(())
    }

    fn full_path(&self, inner: &str) -> String {
        if self.query.path.is_empty() { inner.to_owned() } else { format!("{}/{inner}", self.query.path) }
    }

    fn file_error(&self, inner: &str, detail: &str) -> Error {
        Error::File { file: self.full_path(inner), detail: detail.to_owned() }
    }

    fn too_much(&self, limit: String) -> Error {
        Error::TooMuch { path: self.query.path.clone(), limit }
    }
}
