//! A control plane that runs, and what the services on it are told.

use std::path::Path;

use mlp_model::Environment;
use mlp_tilt::node::{NetworkAgent, NodeOptions, RealNode};
use mlp_tilt::plane::Endpoints;
use mlp_tilt::process::Watchdog;
use mlp_tilt::toolchain::pins::{GOTEMPLATE, HELM, KUSTOMIZE};
use mlp_tilt::{Layout, Plane, Progress, Toolchain};

use crate::exit::Failure;
use crate::platform::{Parts, Platform, ServiceRecord};
use crate::services::{self, SERVICES, Surroundings};

use super::broker;
use super::deploy::Deployer;

/// The subject of gRPC calls that `mlp` itself makes; may read everything of the platform.
const OPERATOR: &str = "mlp-operator";
/// A cluster role that Kubernetes ships.
const OPERATOR_ROLE: &str = "cluster-admin";
/// How often gitops-sync asks a repository for news on a laptop; Argo CD's default is 180 s.
const LOCAL_POLL: &str = "3s";

/// A plane with everything needed to run services on it.
pub(crate) struct Running {
    pub(crate) layout: Layout,
    pub(crate) plane: Plane,
    pub(crate) environment: Environment,
    /// Held while this process runs in the foreground: the node ends with it.
    pub(crate) node: Option<RealNode>,
}

impl Running {
    /// The plane that another `mlp` started.
    pub(crate) async fn attach(layout: &Layout, environment: Environment) -> Result<Self, Failure> {
        let plane =
            Plane::attach(layout).await.map_err(|error| Failure::of("finding the control plane", &error))?;
        Ok(Self { layout: layout.clone(), plane, environment, node: None })
    }

    /// Starts the real node where the cluster is to have one.
    pub(crate) async fn start_node(&mut self, toolchain: &Toolchain, detach: bool) -> Result<(), Failure> {
        if !self.plane.nodes().real() {
            return self.without_node().await;
        }
        let program = services::this_binary()?;
        let agent = NetworkAgent { program, arguments: vec!["network-agent".to_owned()] };
        let options = NodeOptions { detach, agent: Some(agent), ..NodeOptions::default() };
        let node = RealNode::start(&self.plane, toolchain, options, &Progress::stderr()).await;
        self.node = Some(node.map_err(|error| Failure::of("starting the real node", &error))?);
        Ok(())
    }

    /// Stops the real node of an earlier `up` and takes it out of the cluster, where there was one.
    async fn without_node(&self) -> Result<(), Failure> {
        let quiet = Progress::quiet();
        RealNode::stop(&self.layout, &quiet)
            .await
            .map_err(|error| Failure::of("stopping the real node", &error))?;
        RealNode::forget(&self.plane.client())
            .await
            .map_err(|error| Failure::of("taking the real node out of the cluster", &error))
    }

    /// The pinned kubectl and kustomize with the administrator's kubeconfig.
    pub(crate) async fn deployer(&self, toolchain: &Toolchain) -> Result<Deployer, Failure> {
        Deployer::new(toolchain, self.plane.kubeconfig(), None).await
    }

    /// Ports of each service: (gRPC, admin), the same at every start.
    pub(crate) fn service_ports(&self) -> Result<Vec<(&'static str, u16, u16)>, Failure> {
        let wrong =
            |error: &dyn std::error::Error| Failure::while_doing("choosing ports for the services", error);
        let mut ports = mlp_tilt::ports::Ports::load(&self.layout).map_err(|error| wrong(&error))?;
        let purposes: Vec<String> =
            SERVICES.iter().flat_map(|name| [format!("{name}-grpc"), format!("{name}-admin")]).collect();
        let names: Vec<&str> = purposes.iter().map(String::as_str).collect();
        let runs = |purpose: &str| {
            let name = purpose.trim_end_matches("-grpc").trim_end_matches("-admin");
            services::is_running(name, &self.layout)
        };
        ports.assign(&self.layout, &names, runs).map_err(|error| wrong(&error))?;
        let port = |name: &str, kind: &str| ports.get(&format!("{name}-{kind}")).unwrap_or_default();
        Ok(SERVICES.iter().map(|name| (*name, port(name, "grpc"), port(name, "admin"))).collect())
    }

    /// A kubeconfig per service, from its own ServiceAccount, and one for the person's gRPC calls.
    pub(crate) async fn accounts(&self) -> Result<(), Failure> {
        let made = |error| Failure::while_doing("making service accounts", &error);
        for name in SERVICES {
            self.plane.service_kubeconfig(name, None).await.map_err(made)?;
        }
        self.plane.service_kubeconfig(OPERATOR, Some(OPERATOR_ROLE)).await.map_err(made)?;
        Ok(())
    }

    /// Starts the services named and waits until they are ready; returns all their addresses.
    pub(crate) async fn start_services(
        &self,
        binaries: &Path,
        names: &[&str],
        watchdog: Option<&Watchdog>,
    ) -> Result<(), Failure> {
        let around = self.surroundings();
        let ports = self.service_ports()?;
        let wanted: Vec<_> = ports.iter().filter(|(name, _, _)| names.contains(name)).collect();
        for (name, grpc, admin) in &wanted {
            services::start(name, &self.layout, binaries, (*grpc, *admin), &around).await?;
            if let Some(watchdog) = watchdog {
                services::guard(name, &self.layout, watchdog)?;
            }
        }
        let all = wanted.iter().map(|(name, _, admin)| services::wait_ready(name, &self.layout, *admin));
        futures::future::try_join_all(all).await.map(drop)
    }

    /// The record for other commands.
    pub(crate) fn record(&self) -> Result<Platform, Failure> {
        let Endpoints { nats, otlp_traces, otlp_metrics, jaeger, prometheus, .. } = self.plane.endpoints();
        let services = self.service_ports()?.into_iter().map(|(name, grpc, admin)| {
            let record = ServiceRecord {
                grpc: format!("http://127.0.0.1:{grpc}"),
                admin: format!("http://127.0.0.1:{admin}"),
                log: self.layout.log(name),
            };
            (name.to_owned(), record)
        });
        Ok(Parts {
            environment: self.environment,
            kubeconfig: self.plane.kubeconfig(),
            nats_url: nats.unwrap_or_default(),
            nats_credentials: broker::operator_credentials(&self.layout),
            otlp_traces: otlp_traces.unwrap_or_default(),
            otlp_metrics: otlp_metrics.unwrap_or_default(),
            jaeger: jaeger.unwrap_or_default(),
            prometheus: prometheus.unwrap_or_default(),
            token: self.layout.token(OPERATOR),
            services: services.collect(),
            simulated_only: !self.plane.nodes().real(),
        }
        .into())
    }

    fn surroundings(&self) -> Surroundings {
        let endpoints = self.plane.endpoints();
        let seed = broker::seed_file(&self.layout).display().to_string();
        let toolchain = Toolchain::new(&self.layout, None);
        let tool =
            |tool| toolchain.find(tool).map(|found| found.path().display().to_string()).unwrap_or_default();
        let extra = vec![
            ("gitops-sync", "MLP_KUSTOMIZE", tool(&KUSTOMIZE)),
            ("gitops-sync", "MLP_HELM", tool(&HELM)),
            ("gitops-sync", "MLP_GOTEMPLATE", tool(&GOTEMPLATE)),
            ("gitops-sync", "MLP_REPOSITORY_INTERVAL", LOCAL_POLL.to_owned()),
            // The examples' repository is a folder of this machine.
            ("gitops-sync", "MLP_ALLOW_FILE_REPOSITORIES", "true".to_owned()),
            ("gitops-sync", "MLP_CACHE_DIR", self.layout.data("gitops-sync").display().to_string()),
            (
                "cost-attribution",
                "MLP_STORE",
                self.layout.data("cost-attribution").join("costs.db").display().to_string(),
            ),
            ("team-isolation", "MLP_NATS_OPERATOR_SEED", seed),
            ("team-isolation", "MLP_NETWORK_POLICY_ENFORCER", "nodes".to_owned()),
            ("team-isolation", "MLP_PROTECTED_CIDRS", self.plane.network().cluster_ranges().join(",")),
            ("team-isolation", "MLP_AUDIT_LOG", self.layout.logs().join("audit.log").display().to_string()),
        ];
        Surroundings {
            environment: self.environment,
            nats_url: endpoints.nats.unwrap_or_default(),
            otlp_traces: endpoints.otlp_traces.unwrap_or_default(),
            otlp_metrics: endpoints.otlp_metrics.unwrap_or_default(),
            extra,
        }
    }
}
