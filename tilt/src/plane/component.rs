//! What all components have in common: a tool, ports, a way to start, a probe, limits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Options, PlaneError, volumes};
use crate::layout::{Layout, write_private};
use crate::network::Network;
use crate::pki::Pki;
use crate::ports::Ports;
use crate::process::{Process, Spec, probe};
use crate::toolchain::Tool;

/// Everything that a component may ask while it is configured.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) layout: Layout,
    pub(super) options: Options,
    pub(super) ports: Ports,
    pub(super) network: Network,
    pub(super) pki: Pki,
}

impl Site {
    /// The port of a purpose, which was assigned before anything is configured.
    pub(super) fn port(&self, purpose: &'static str) -> Result<u16, PlaneError> {
        self.ports.get(purpose).ok_or(PlaneError::PortUnknown { purpose })
    }

    /// Writes a configuration file and gives its path.
    pub(super) fn write_config(&self, name: &str, content: &str) -> Result<PathBuf, PlaneError> {
        let path = self.layout.config().join(name);
        write_private(&path, content.as_bytes())?;
        Ok(path)
    }
}

/// Command line of a component, and the content of its files, which decides on a restart.
#[derive(Debug, Default)]
pub(super) struct Invocation {
    pub(super) arguments: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) files: Vec<String>,
    /// Whether it sees the platform's own folder of volumes.
    pub(super) volumes: bool,
}

impl Invocation {
    pub(super) fn new(arguments: Vec<String>) -> Self {
        Self { arguments, ..Self::default() }
    }

    pub(super) fn with_file(mut self, content: &str) -> Self {
        self.files.push(content.into());
        self
    }
}

/// How it is seen that a component is ready.
#[derive(Clone, Copy, Debug)]
pub(super) enum Probe {
    /// It accepts connections at the port of this purpose.
    Accepts(&'static str),
    /// The page at the port of this purpose answers with a 2xx.
    Page(&'static str, &'static str),
    /// The Kubernetes API says `ok` at `/readyz`.
    Api,
}

/// One process of the plane, as data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Component {
    pub(super) tool: Tool,
    pub(super) ports: &'static [&'static str],
    pub(super) probe: Probe,
    pub(super) ready_limit: Duration,
    pub(super) stop_grace: Duration,
    pub(super) invocation: fn(&Site) -> Result<Invocation, PlaneError>,
}

impl Component {
    pub(super) const fn name(&self) -> &'static str {
        self.tool.name
    }

    pub(super) fn record(&self, layout: &Layout) -> PathBuf {
        layout.run().join(format!("{}.json", self.name()))
    }

    /// The running process, if any.
    pub(super) fn attach(&self, layout: &Layout) -> Option<Process> {
        Process::attach(self.name(), &self.record(layout), &layout.log(self.name()))
    }

    /// What is to be run, with all files written.
    pub(super) fn spec(&self, site: &Site, program: PathBuf) -> Result<Spec, PlaneError> {
        let Invocation { mut arguments, mut environment, files, volumes } = (self.invocation)(site)?;
        let mut program = program;
        let around = if volumes { volumes::enter(&site.layout, &program)? } else { None };
        if let Some((first, rest)) = around.as_deref().and_then(<[String]>::split_first) {
            program = PathBuf::from(first);
            arguments = rest.iter().cloned().chain(arguments).collect();
        }
        let digest = Sha256::digest(files.join("\0").as_bytes());
        let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        environment.insert("MLP_CONFIG_DIGEST".into(), digest);
        Ok(Spec {
            name: self.name().into(),
            program,
            arguments,
            environment,
            log: site.layout.log(self.name()),
            record: Some(self.record(&site.layout)),
        })
    }

    /// One look at whether the component is ready.
    pub(super) async fn is_ready(&self, ports: &Ports, api: Option<&kube::Client>) -> bool {
        match self.probe {
            Probe::Accepts(purpose) => match ports.get(purpose) {
                Some(port) => probe::accepts(port).await,
                None => false,
            },
            Probe::Page(purpose, path) => match ports.get(purpose) {
                Some(port) => probe::answers(port, path).await,
                None => false,
            },
            Probe::Api => match api {
                Some(client) => api_is_ready(client).await,
                None => false,
            },
        }
    }
}

async fn api_is_ready(client: &kube::Client) -> bool {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else { return false };
    client.request_text(request).await.is_ok_and(|text| text == "ok")
}
