//! What a running platform is, as written by `mlp up` for every other command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mlp_model::Environment;
use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// Version of the record's format; another one is refused instead of misread.
const FORMAT: u32 = 1;
/// The record's file within the platform's state folder.
const FILE: &str = "platform.json";

/// The addresses of one service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ServiceRecord {
    /// `http://host:port` of gRPC.
    pub(crate) grpc: String,
    /// `http://host:port` of `/livez`, `/readyz` and `/metrics`.
    pub(crate) admin: String,
    /// The log file.
    pub(crate) log: PathBuf,
}

/// The record of a platform. No secrets: it names files that hold them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Platform {
    format: u32,
    /// Which definitions were applied.
    pub(crate) environment: Environment,
    /// Kubeconfig of the cluster's administrator.
    pub(crate) kubeconfig: PathBuf,
    /// The broker, as a client names it.
    pub(crate) nats_url: String,
    /// Credentials of the platform's account.
    pub(crate) nats_credentials: PathBuf,
    /// Where traces go by OTLP/gRPC.
    pub(crate) otlp_traces: String,
    /// Where metrics go by OTLP/HTTP.
    pub(crate) otlp_metrics: String,
    /// Jaeger's query API.
    pub(crate) jaeger: String,
    /// Prometheus.
    pub(crate) prometheus: String,
    /// A file with a bearer token for gRPC calls as the cluster's administrator.
    pub(crate) token: PathBuf,
    /// The five services by name.
    pub(crate) services: BTreeMap<String, ServiceRecord>,
    /// Whether workloads run nowhere: only simulated nodes.
    pub(crate) simulated_only: bool,
}

/// What `up` knows when everything listens; the format is the record's own business.
pub(crate) struct Parts {
    pub(crate) environment: Environment,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) nats_url: String,
    pub(crate) nats_credentials: PathBuf,
    pub(crate) otlp_traces: String,
    pub(crate) otlp_metrics: String,
    pub(crate) jaeger: String,
    pub(crate) prometheus: String,
    pub(crate) token: PathBuf,
    pub(crate) services: BTreeMap<String, ServiceRecord>,
    pub(crate) simulated_only: bool,
}

impl From<Parts> for Platform {
    fn from(parts: Parts) -> Self {
        let Parts {
            environment,
            kubeconfig,
            nats_url,
            nats_credentials,
            otlp_traces,
            otlp_metrics,
            jaeger,
            prometheus,
            token,
            services,
            simulated_only,
        } = parts;
        Self {
            format: FORMAT,
            environment,
            kubeconfig,
            nats_url,
            nats_credentials,
            otlp_traces,
            otlp_metrics,
            jaeger,
            prometheus,
            token,
            services,
            simulated_only,
        }
    }
}

impl Platform {
    /// Reads the record of the platform in `state`.
    ///
    /// # Errors
    /// Where no platform is recorded, or the record is of another format or corrupt.
    pub(crate) fn load(state: &Path) -> Result<Self, Failure> {
        let file = state.join(FILE);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Failure::failed("no platform is up here; run `cargo mlp up`"));
            }
            Err(error) => return Err(Failure::while_doing(&format!("reading {}", file.display()), &error)),
        };
        let corrupt = |why: String| {
            let path = file.display();
            Failure::failed(format!(
                "{path} is not readable ({why}); run `cargo mlp down --wipe`, then `cargo mlp up`"
            ))
        };
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| corrupt(error.to_string()))?;
        let format = value.get("format").and_then(serde_json::Value::as_u64);
        if format != Some(u64::from(FORMAT)) {
            return Err(corrupt(format!("its format is {format:?}, this command reads {FORMAT}")));
        }
        serde_json::from_value(value).map_err(|error| corrupt(error.to_string()))
    }

    /// Writes the record, whole or not at all.
    pub(crate) fn save(&self, state: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Failure::while_doing("writing the platform's record", &error))?;
        let (file, partial) = (state.join(FILE), state.join(format!("{FILE}.partial")));
        std::fs::write(&partial, text)
            .and_then(|()| std::fs::rename(&partial, &file))
            .map_err(|error| Failure::while_doing(&format!("writing {}", file.display()), &error))
    }

    /// Forgets the record; harmless where there is none.
    pub(crate) fn forget(state: &Path) -> Result<(), Failure> {
        match std::fs::remove_file(state.join(FILE)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Failure::while_doing("removing the platform's record", &error)),
        }
    }

    /// The service of that name, or a failure that lists the names.
    pub(crate) fn service(&self, name: &str) -> Result<&ServiceRecord, Failure> {
        self.services.get(name).ok_or_else(|| {
            let known: Vec<_> = self.services.keys().map(String::as_str).collect();
            Failure::usage(format!("there is no service `{name}`; there are {}", known.join(", ")))
        })
    }
}
