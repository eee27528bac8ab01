//! `mlp support-bundle`: what a bug report needs, without what it must not carry.
//!
//! In: logs, status, versions. Out: a tar.gz. Private keys, tokens,
//! kubeconfigs and credentials are never read; text that looks like a secret is redacted in what is.

mod redact;

use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use mlp_tilt::Toolchain;

use super::status;
use crate::cli::{Global, SupportBundle};
use crate::exit::{Failure, Outcome};
use crate::platform::Platform;

/// At most this much of each log: its end.
const LOG_TAIL: usize = 2 * 1024 * 1024;

/// Writes the archive.
pub(crate) async fn support_bundle(global: &Global, flags: &SupportBundle) -> Outcome {
    let layout = global.layout()?;
    let what = format!("writing {}", flags.output.display());
    let failed = |error: std::io::Error| Failure::while_doing(&what, &error);
    let file = std::fs::File::create(&flags.output).map_err(failed)?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    add(&mut archive, "versions.txt", &versions(&layout)).map_err(failed)?;
    add(&mut archive, "status.json", &current_status(global).await).map_err(failed)?;
    for (name, text) in logs(&layout.logs()) {
        add(&mut archive, &format!("logs/{name}"), &text).map_err(failed)?;
    }
    let encoder = archive.into_inner().map_err(failed)?;
    encoder.finish().map_err(failed)?;
    println!("{}", flags.output.display());
    Ok(())
}

async fn current_status(global: &Global) -> String {
    let report = async {
        let platform = Platform::load(&global.state()?)?;
        status::gather(&platform).await
    };
    match report.await {
        Ok(report) => serde_json::to_string_pretty(&report).unwrap_or_else(|error| error.to_string()),
        Err(failure) => failure.to_string(),
    }
}

fn versions(layout: &mlp_tilt::Layout) -> String {
    let mut text = format!("mlp {}\n", env!("CARGO_PKG_VERSION"));
    for (tool, found) in Toolchain::new(layout, None).inventory() {
        let state = if found.is_some() { "found" } else { "not built" };
        text.push_str(&format!("{} {} {state}\n", tool.name, tool.version));
    }
    text
}

fn logs(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<_> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let bytes = std::fs::read(entry.path()).ok()?;
            let tail = bytes.get(bytes.len().saturating_sub(LOG_TAIL)..).unwrap_or_default();
            Some((name, String::from_utf8_lossy(tail).into_owned()))
        })
        .collect();
    all.sort();
    all
}

fn add<W: std::io::Write>(archive: &mut tar::Builder<W>, name: &str, text: &str) -> std::io::Result<()> {
    let text = redact::redact(text);
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append_data(&mut header, format!("mlp-support-bundle/{name}"), text.as_bytes())
}
