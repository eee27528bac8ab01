//! A file that grows and is replaced.

use std::io::SeekFrom;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

/// The most that is read at once; what is left comes with the next look.
const CHUNK: u64 = 4 << 20;
/// A line that is longer is dropped: no event of interest is.
const LINE: usize = 1 << 20;

/// Reads what is added to a file.
pub(super) struct Tail {
    path: PathBuf,
    /// Inode and offset; nothing before the first look.
    place: Option<(u64, u64)>,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
}

impl Tail {
    /// Skips what is in the file at the first look.
    pub(super) const fn at_end(path: PathBuf) -> Self {
        Self { path, place: None, rest: Vec::new() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whole lines that were added since the last look.
    pub(super) async fn lines(&mut self) -> std::io::Result<Vec<String>> {
        let mut file = match File::open(&self.path).await {
            Ok(file) => file,
            // Everything in a file that appears later is new.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.place.get_or_insert((0, 0));
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let metadata = file.metadata().await?;
        let (inode, size) = (metadata.ino(), metadata.len());
        let offset = match self.place {
            None => size,
            Some((known, offset)) if known == inode && offset <= size => offset,
            Some(_) => {
                self.rest.clear();
                0
            }
        };
        file.seek(SeekFrom::Start(offset)).await?;
        let mut bytes = Vec::new();
        let read = file.take(CHUNK).read_to_end(&mut bytes).await?;
        self.place = Some((inode, offset + read as u64));
        Ok(self.split(&bytes))
    }

    fn split(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") {
                lines.push(String::from_utf8_lossy(&self.rest).into_owned());
                self.rest.clear();
            } else if self.rest.len() > LINE {
                self.rest.clear();
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn only_what_is_added_is_read_across_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        std::fs::write(&path, "old\n").unwrap();
        let mut tail = Tail::at_end(path.clone());
        assert!(tail.lines().await.unwrap().is_empty());
        let append = |text: &str| {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        append("one\ntw");
        assert_eq!(tail.lines().await.unwrap(), ["one\n"]);
        append("o\n");
        assert_eq!(tail.lines().await.unwrap(), ["two\n"]);
        std::fs::rename(&path, folder.path().join("audit.1")).unwrap();
        append("three\n");
        assert_eq!(tail.lines().await.unwrap(), ["three\n"]);
    }

    #[tokio::test]
    async fn a_file_that_appears_later_is_read_from_its_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut tail = Tail::at_end(path.clone());
        assert!(tail.lines().await.unwrap().is_empty());
        std::fs::write(&path, "first\n").unwrap();
        assert_eq!(tail.lines().await.unwrap(), ["first\n"]);
    }
}
