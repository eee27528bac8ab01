//! `mlp logs`: the log file of a service or component, bounded in size by whoever writes it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::cli::{Global, Logs};
use crate::exit::{Failure, Outcome};

/// How often a followed file is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);

/// Prints the log, and what is added while `--follow` is on.
pub(crate) async fn logs(global: &Global, flags: &Logs) -> Outcome {
    let folder = global.state()?.join("logs");
    let path = find(&folder, &flags.service)?;
    let what = format!("reading {}", path.display());
    let mut position = 0;
    loop {
        position = print_from(&path, position).await.map_err(|error| Failure::while_doing(&what, &error))?;
        if !flags.follow {
            return Ok(());
        }
        tokio::time::sleep(FOLLOW_INTERVAL).await;
    }
}

fn find(folder: &Path, service: &str) -> Result<PathBuf, Failure> {
    let path = folder.join(format!("{service}.log"));
    if path.is_file() && !service.contains('/') {
        return Ok(path);
    }
    let mut known: Vec<String> = std::fs::read_dir(folder)
        .map_err(|_missing| Failure::failed("no platform has run here; run `cargo mlp up`"))?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".log").map(str::to_owned))
        .collect();
    known.sort();
    Err(Failure::usage(format!("there is no log of `{service}`; there are {}", known.join(", "))))
}

/// Prints what stands after `position`; a file that became shorter was rotated and is read anew.
async fn print_from(path: &Path, position: u64) -> std::io::Result<u64> {
    let mut file = tokio::fs::File::open(path).await?;
    let length = file.metadata().await?.len();
    let start = if length < position { 0 } else { position };
    file.seek(std::io::SeekFrom::Start(start)).await?;
    let mut buffer = vec![0; 64 * 1024];
    let mut end = start;
    loop {
        let count = file.read(&mut buffer).await?;
        if count == 0 {
            return Ok(end);
        }
        end += count as u64;
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(buffer.get(..count).unwrap_or_default())?;
        stdout.flush()?;
    }
}
