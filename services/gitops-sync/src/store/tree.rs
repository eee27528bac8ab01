//! What a tool reads of a repository: found without it, so that it sees nothing else, and what was made of the
//! same files before need not be made again. Blocking.

use std::collections::{BTreeMap, BTreeSet};

use gix::object::tree::EntryKind;
use gix::{ObjectId, Repository, Tree};

use super::git::{DEPTH, ENTRIES, document, unreachable_error};
use super::{Entry, Error, Query};
use crate::domain::manifest::Limits;
use crate::domain::tool::{KUSTOMIZATIONS, Tool};
use crate::domain::{kustomize, place};

/// Every file that the tool reads for the query's folder, by path.
pub(super) fn collect(
    repository: &Repository,
    root: &Tree<'_>,
    query: &Query,
    tool: Tool,
    limits: Limits,
) -> Result<Vec<Entry>, Error> {
    let mut collector =
        Collector { repository, root, query, limits, found: BTreeMap::new(), bytes: 0, seen: 0 };
    match tool {
        Tool::Kustomize => collector.kustomization()?,
        _ => collector.chart()?,
    }
    Ok(collector.found.into_values().collect())
}

/// The contents of files.
pub(super) fn contents(
    repository: &Repository,
    url: &str,
    entries: Vec<Entry>,
    limits: Limits,
) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let fault = |error: gix::Error| unreachable_error(url, &error);
    let too_much = |limit: String| Error::TooMuch { path: String::new(), limit };
    if entries.len() > limits.files {
        return Err(too_much(format!("{} files", limits.files)));
    }
    let mut bytes = 0_u64;
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let data = match entry.edited {
            Some(text) => text.into_bytes(),
            None => {
                let id = ObjectId::from_hex(entry.blob.as_bytes());
                let id = id
                    .map_err(|error| Error::Unreachable { url: url.to_owned(), detail: error.to_string() })?;
                // Asked before it is unpacked: zeros without end are a few bytes in a pack.
                bytes = bytes.saturating_add(repository.find_header(id).map_err(fault)?.size());
                if bytes > limits.bytes as u64 {
                    return Err(too_much(format!("{} bytes", limits.bytes)));
                }
                repository.find_object(id).map_err(fault)?.detach().data
            }
        };
        all.push((entry.path, data));
    }
    Ok(all)
}

/// What a path in the repository is.
enum Found<'a> {
    Folder(Tree<'a>),
    File(ObjectId),
    Link,
    Submodule,
}

struct Collector<'a> {
    repository: &'a Repository,
    root: &'a Tree<'a>,
    query: &'a Query,
    limits: Limits,
    found: BTreeMap<String, Entry>,
    bytes: usize,
    seen: usize,
}

impl<'a> Collector<'a> {
    /// A kustomization and everything that it names, wherever in the repository.
    fn kustomization(&mut self) -> Result<(), Error> {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![self.query.path.clone()];
        while let Some(folder) = waiting.pop() {
            if !seen.insert(folder.clone()) {
                continue;
            }
            let (path, blob) = self.kustomization_of(&folder)?;
            let text = self.text(&path, blob)?;
            let mut value = document(&path, &text)?;
            let refuse = |detail: String| Error::File { file: path.clone(), detail };
            let options = &self.query.rendering.kustomize;
            let is_top = folder == self.query.path;
            if is_top {
                options.edit(&mut value).map_err(refuse)?;
            }
            // JSON is YAML.
            let edited = (is_top && !options.is_empty()).then(|| value.to_string());
            self.add(&path, blob, edited)?;
            for reference in kustomize::references(&value).map_err(refuse)? {
                let target = place::join(&folder, &reference)
                    .ok_or_else(|| refuse(format!("`{reference}` leaves the repository")))?;
                match self.lookup(&target)? {
                    Some(Found::Folder(_)) => waiting.push(target),
                    Some(Found::File(blob)) => self.add(&target, blob, None)?,
                    Some(other) => return Err(other.refused(&target)),
                    None => return Err(refuse(format!("names `{reference}`, and there is no {target}"))),
                }
            }
        }
        Ok(())
    }

    fn kustomization_of(&self, folder: &str) -> Result<(String, ObjectId), Error> {
        for name in KUSTOMIZATIONS {
            let path = place::join(folder, name).unwrap_or_default();
            if let Some(Found::File(blob)) = self.lookup(&path)? {
                return Ok((path, blob));
            }
        }
        let detail = "is to be built by Kustomize and holds no kustomization.yaml".to_owned();
        Err(Error::File {
            file: if folder.is_empty() { "the root".to_owned() } else { folder.to_owned() },
            detail,
        })
    }

    /// A chart, and the value files beside it.
    fn chart(&mut self) -> Result<(), Error> {
        let folder = self.query.path.clone();
        match self.lookup(&folder)? {
            Some(Found::Folder(tree)) => self.below(&tree, &folder, 0)?,
            _ => return Err(Error::File { file: folder, detail: "is no folder".to_owned() }),
        }
        let files = self.query.rendering.helm.files(&self.query.path);
        let files = files.map_err(|detail| Error::File { file: "spec.source.helm".to_owned(), detail })?;
        for (path, required) in files {
            match self.lookup(&path)? {
                Some(Found::File(blob)) => self.add(&path, blob, None)?,
                Some(other) => return Err(other.refused(&path)),
                None if required => {
                    let detail =
                        "is named by spec.source.helm and is not there; or set ignoreMissingValueFiles"
                            .to_owned();
                    return Err(Error::File { file: path, detail });
                }
                None => {}
            }
        }
        Ok(())
    }

    fn below(&mut self, tree: &Tree<'_>, folder: &str, depth: usize) -> Result<(), Error> {
        if depth > DEPTH {
            return Err(self.too_much(format!("{DEPTH} levels of folders")));
        }
        for entry in tree.iter() {
            let entry = entry.map_err(|error| self.fault(&error))?;
            self.seen += 1;
            if self.seen > ENTRIES {
                return Err(self.too_much(format!("{ENTRIES} entries")));
            }
            let path = place::join(folder, &entry.filename().to_string()).unwrap_or_default();
            match self.of(entry.kind(), entry.oid().to_owned())? {
                Found::Folder(tree) => self.below(&tree, &path, depth + 1)?,
                Found::File(blob) => self.add(&path, blob, None)?,
                other => return Err(other.refused(&path)),
            }
        }
        Ok(())
    }

    fn lookup(&self, path: &str) -> Result<Option<Found<'a>>, Error> {
        if path.is_empty() {
            return Ok(Some(Found::Folder(self.root.clone())));
        }
        let entry = self.root.lookup_entry_by_path(path).map_err(|error| self.fault(&error))?;
        entry.map(|entry| self.of(entry.mode().kind(), entry.object_id())).transpose()
    }

    fn of(&self, kind: EntryKind, id: ObjectId) -> Result<Found<'a>, Error> {
        Ok(match kind {
            EntryKind::Tree => {
                let object = self.repository.find_object(id).map_err(|error| self.fault(&error))?;
                Found::Folder(object.try_into_tree().map_err(|error| self.fault(&error))?)
            }
            EntryKind::Blob | EntryKind::BlobExecutable => Found::File(id),
            EntryKind::Link => Found::Link,
            EntryKind::Commit => Found::Submodule,
        })
    }

    fn text(&self, path: &str, blob: ObjectId) -> Result<String, Error> {
        if self.size(blob)? > self.limits.bytes {
            return Err(self.too_much(format!("{} bytes", self.limits.bytes)));
        }
        let data = self.repository.find_object(blob).map_err(|error| self.fault(&error))?.detach().data;
        let detail = "is not UTF-8 text".to_owned();
        String::from_utf8(data).map_err(|_| Error::File { file: path.to_owned(), detail })
    }

    fn size(&self, blob: ObjectId) -> Result<usize, Error> {
        let size = self.repository.find_header(blob).map_err(|error| self.fault(&error))?.size();
        Ok(usize::try_from(size).unwrap_or(usize::MAX))
    }

    fn add(&mut self, path: &str, blob: ObjectId, edited: Option<String>) -> Result<(), Error> {
        if self.found.contains_key(path) {
            return Ok(());
        }
        self.bytes = self.bytes.saturating_add(self.size(blob)?);
        if self.bytes > self.limits.bytes {
            return Err(self.too_much(format!("{} bytes", self.limits.bytes)));
        }
        if self.found.len() >= self.limits.files {
            return Err(self.too_much(format!("{} files", self.limits.files)));
        }
        let entry = Entry { path: path.to_owned(), blob: blob.to_string(), edited };
        self.found.insert(path.to_owned(), entry);
        Ok(())
    }

    fn fault(&self, error: &gix::Error) -> Error {
        unreachable_error(&self.query.url, error)
    }

    fn too_much(&self, limit: String) -> Error {
        Error::TooMuch { path: self.query.path.clone(), limit }
    }
}

impl Found<'_> {
    /// Why it is not read.
    fn refused(&self, path: &str) -> Error {
        let detail = match self {
            Self::Link => "is a symbolic link; put the file itself there",
            Self::Submodule => "is a submodule, which is not supported",
            Self::Folder(_) => "is a folder where a file is wanted",
            Self::File(_) => "is a file where a folder is wanted",
        };
        Error::File { file: path.to_owned(), detail: detail.to_owned() }
    }
}
