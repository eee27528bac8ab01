//! Log files of processes, bounded: rotated at start, trimmed while they run.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Size past which a log is rotated or trimmed, in bytes; two such files are kept per process.
pub const LOG_LIMIT: u64 = 16 * 1024 * 1024;

/// How much of a log's end is read to show its last lines, in bytes.
const TAIL_READ: u64 = 64 * 1024;

/// Opens a log for appending; what an earlier run left goes to `<log>.1`.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0) {
        fs::rename(path, previous(path))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// Moves what a running process wrote to `<log>.1` when it passed the limit, and empties the log.
/// The process appends, so it goes on at the start; lines that it writes during the copy may be
/// lost. Says whether there was anything to trim.
///
/// # Errors
/// A file cannot be read or written.
pub fn trim(path: &Path) -> io::Result<bool> {
    if !fs::metadata(path).is_ok_and(|metadata| metadata.len() > LOG_LIMIT) {
        return Ok(false);
    }
    let mut source = File::open(path)?;
    source.seek(SeekFrom::End(-i64::try_from(LOG_LIMIT).unwrap_or(0)))?;
    let mut copy = File::create(previous(path))?;
    io::copy(&mut source.take(LOG_LIMIT), &mut copy)?;
    copy.flush()?;
    OpenOptions::new().write(true).open(path)?.set_len(0)?;
    Ok(true)
}

/// The last `lines` lines of a log; empty when it cannot be read.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let start = file.metadata()?.len().saturating_sub(TAIL_READ);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(TAIL_READ).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

fn previous(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_run_keeps_the_log_of_the_last_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etcd.log");
        for run in ["first", "second", "third"] {
            open(&path).unwrap().write_all(run.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "third");
        assert_eq!(fs::read_to_string(previous(&path)).unwrap(), "second");
    }

    #[test]
    fn a_log_that_grew_too_long_is_trimmed_under_its_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etcd.log");
        let mut writer = open(&path).unwrap();
        assert!(!trim(&path).unwrap());
        let block = vec![b'x'; 1024 * 1024];
        for _ in 0..=16 {
            writer.write_all(&block).unwrap();
        }
        assert!(trim(&path).unwrap());
        writer.write_all(b"after").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(fs::metadata(previous(&path)).unwrap().len(), LOG_LIMIT);
    }

    #[test]
    fn the_tail_is_the_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(tail(&path, 2), "two\nthree");
        assert_eq!(tail(&folder.path().join("absent"), 2), "");
    }
}
