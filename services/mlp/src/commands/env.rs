//! `mlp env`: shell exports for the clients people have.

use mlp_tilt::toolchain::Tool;
use mlp_tilt::toolchain::pins::{GRPCURL, KUBECTL, KUSTOMIZE, NATS};
use mlp_tilt::{Layout, Toolchain};

use crate::cli::Global;
use crate::exit::Outcome;
use crate::platform::Platform;

/// The tools of the toolchain that people call themselves.
pub(crate) const FOR_PEOPLE: [Tool; 4] = [KUBECTL, NATS, GRPCURL, KUSTOMIZE];

/// Prints `export NAME=value` lines; `eval "$(cargo mlp env)"` sets them.
pub(crate) fn env(global: &Global) -> Outcome {
    let layout = global.layout()?;
    let platform = Platform::load(layout.state())?;
    // An empty entry of PATH would be the working directory.
    let tools = Some(tools(&layout)).filter(|tools| !tools.is_empty());
    if let Some(tools) = tools {
        println!("export PATH={}:\"$PATH\"", quote(&tools));
    }
    for (name, value) in variables(&platform) {
        println!("export {name}={}", quote(&value));
    }
    Ok(())
}

/// The variables and their values, sorted as they are printed.
pub(crate) fn variables(platform: &Platform) -> Vec<(String, String)> {
    let mut all = vec![
        ("KUBECONFIG".to_owned(), platform.kubeconfig.display().to_string()),
        ("NATS_URL".to_owned(), platform.nats_url.clone()),
        ("NATS_CREDS".to_owned(), platform.nats_credentials.display().to_string()),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT".to_owned(), platform.otlp_traces.clone()),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT".to_owned(), platform.otlp_metrics.clone()),
        ("JAEGER_URL".to_owned(), platform.jaeger.clone()),
        ("PROMETHEUS_URL".to_owned(), platform.prometheus.clone()),
        ("MLP_TOKEN_FILE".to_owned(), platform.token.display().to_string()),
    ];
    for (name, service) in &platform.services {
        let upper = name.replace('-', "_").to_uppercase();
        all.push((format!("MLP_GRPC_{upper}"), service.grpc.trim_start_matches("http://").to_owned()));
    }
    all
}

/// The folders of the pinned command-line tools, so that a shell finds kubectl, nats and grpcurl.
fn tools(layout: &Layout) -> String {
    let toolchain = Toolchain::new(layout, None);
    let found = FOR_PEOPLE.iter().filter_map(|tool| toolchain.find(tool));
    let folders = found.filter_map(|found| found.path().parent().map(|folder| folder.display().to_string()));
    folders.collect::<Vec<_>>().join(":")
}

/// Quotes for a POSIX shell.
fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_survives_a_quote() {
        assert_eq!(quote("it's"), "'it'\\''s'");
    }
}
