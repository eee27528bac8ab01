//! Applies `deploy/` through the pinned kustomize and kubectl, which know more of it than we would.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use mlp_bus::accounts::Keyring;
use mlp_tilt::toolchain::Tool;
use mlp_tilt::toolchain::pins::{KUBECTL, KUSTOMIZE};
use mlp_tilt::{Progress, Toolchain};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::commands::broker_keys;
use crate::exit::Failure;

/// Kinds of `deploy/` that run the services in a cluster. On the embedded platform processes of
/// this machine stand in for them, and applying them would run everything twice.
const RUN_BY_PROCESSES: [&str; 8] = [
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Service",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "HorizontalPodAutoscaler",
];
/// Field manager of everything that is applied here.
const FIELD_MANAGER: &str = "mlp";

/// The tools and the cluster to apply to.
pub(crate) struct Deployer {
    kustomize: PathBuf,
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    context: Option<String>,
}

impl Deployer {
    /// A deployer with the pinned tools, which are built where they are missing.
    pub(crate) async fn new(
        toolchain: &Toolchain,
        kubeconfig: PathBuf,
        context: Option<String>,
    ) -> Result<Self, Failure> {
        let find = async |tool: Tool| {
            let found = toolchain.find_or_build(&tool, &Progress::stderr()).await;
            found.map_err(|error| Failure::of(&format!("getting {}", tool.name), &error))
        };
        Ok(Self { kustomize: find(KUSTOMIZE).await?, kubectl: find(KUBECTL).await?, kubeconfig, context })
    }

    /// The manifests of a kustomization, one YAML document each.
    pub(crate) async fn build(&self, folder: &Path) -> Result<String, Failure> {
        let mut command = Command::new(&self.kustomize);
        command.arg("build").arg(folder);
        run(command, None, &format!("building {}", folder.display())).await
    }

    /// Applies manifests by server-side apply; returns kubectl's lines, one per object.
    pub(crate) async fn apply(&self, manifests: &str, what: &str) -> Result<String, Failure> {
        let mut command = self.kubectl();
        command.args([
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager",
            FIELD_MANAGER,
            "-f",
            "-",
        ]);
        run(command, Some(manifests), &format!("applying {what}")).await
    }

    /// Applies an environment's manifests without the workloads that processes stand in for.
    pub(crate) async fn apply_definitions(&self, manifests: &str) -> Result<(), Failure> {
        self.apply_in_order(&without_workloads(manifests)).await
    }

    /// Applies an environment's manifests whole.
    pub(crate) async fn apply_everything(&self, manifests: &str) -> Result<(), Failure> {
        self.apply_in_order(manifests).await
    }

    /// Definitions and namespaces first, then what needs them.
    async fn apply_in_order(&self, manifests: &str) -> Result<(), Failure> {
        let is_first = |document: &&str| {
            ["CustomResourceDefinition", "Namespace"].iter().any(|kind| kind_of(document) == *kind)
        };
        let served = self.serves_defaults().await?;
        let documents = manifests.split("\n---\n").filter(|document| served || !is_default(document));
        let (first, rest): (Vec<&str>, Vec<&str>) = documents.partition(is_first);
        self.apply(&first.join("\n---\n"), "definitions and namespaces").await?;
        let mut wait = self.kubectl();
        wait.args(["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"]);
        run(wait, None, "waiting for the custom resource definitions").await?;
        self.apply(&rest.join("\n---\n"), "the environment's definitions").await.map(drop)
    }

    /// Whether the API server knows MutatingAdmissionPolicy v1, which came with Kubernetes 1.36. Before that
    /// pods state their pools and tolerations themselves.
    async fn serves_defaults(&self) -> Result<bool, Failure> {
        let mut look = self.kubectl();
        look.args(["get", "--raw", "/apis/admissionregistration.k8s.io/v1"]);
        let served = run(look, None, "asking the API server what it serves").await?;
        Ok(served.contains("mutatingadmissionpolicies"))
    }

    /// Gives the broker of a cluster its keys, where it has none yet.
    pub(crate) async fn ensure_broker_keys(&self, root: &Path) -> Result<(), Failure> {
        let what = "applying the platform's namespace";
        let namespace = std::fs::read_to_string(root.join("deploy/base/namespace.yaml"))
            .map_err(|error| Failure::while_doing(what, &error))?;
        self.apply(&namespace, "the platform's namespace").await?;
        let mut look = self.kubectl();
        look.args(["get", "secret", broker_keys::OPERATOR, "-n", broker_keys::NAMESPACE]);
        look.args(["--ignore-not-found", "-o", "name"]);
        let found = run(look, None, "looking for the broker's keys").await?;
        if found.trim().is_empty() {
            let manifests = broker_keys::manifests(&Keyring::generate())?;
            self.apply(&manifests, "the broker's keys").await?;
        }
        Ok(())
    }

    /// Waits until the teams among these manifests are isolated.
    pub(crate) async fn wait_for_teams(&self, manifests: &str) -> Result<(), Failure> {
        let mut wait = self.kubectl();
        wait.args(["wait", "--for=condition=Ready", "--timeout=120s", "team"]);
        let teams = manifests.split("\n---\n").filter(|document| kind_of(document) == "Team");
        wait.args(teams.map(|document| field(document, "  name:")));
        run(wait, None, "waiting for the teams").await.map(drop)
    }

    /// Waits until each service's Deployment is available.
    pub(crate) async fn wait_for_services(&self, names: &[&str]) -> Result<(), Failure> {
        for name in names {
            let mut wait = self.kubectl();
            let deployment = format!("deployment/{name}");
            wait.args([
                "wait",
                "-n",
                broker_keys::NAMESPACE,
                "--for=condition=Available",
                "--timeout=300s",
                &deployment,
            ]);
            run(wait, None, &format!("waiting for {name}")).await?;
        }
        Ok(())
    }

    /// Where it applies to, for people.
    pub(crate) fn describe(&self) -> String {
        self.context.clone().unwrap_or_else(|| self.kubeconfig.display().to_string())
    }

    fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        if let Some(context) = &self.context {
            command.args(["--context", context]);
        }
        command
    }
}

async fn run(mut command: Command, input: Option<&str>, what: &str) -> Result<String, Failure> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| Failure::while_doing(what, &error))?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.as_bytes()).await.map_err(|error| Failure::while_doing(what, &error))?;
    }
    let output = child.wait_with_output().await.map_err(|error| Failure::while_doing(what, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    Err(Failure::failed(format!("{what}: {}", reason.trim())))
}

/// Splits a stream of YAML documents and drops what processes stand in for.
pub(crate) fn without_workloads(manifests: &str) -> String {
    let kept: Vec<_> = manifests.split("\n---\n").filter(|document| !run_by_processes(document)).collect();
    kept.join("\n---\n")
}

fn is_default(document: &str) -> bool {
    kind_of(document).starts_with("MutatingAdmissionPolicy")
}

fn run_by_processes(document: &str) -> bool {
    let namespace = field(document, "  namespace:");
    namespace == broker_keys::NAMESPACE && RUN_BY_PROCESSES.contains(&kind_of(document))
}

fn kind_of(document: &str) -> &str {
    field(document, "kind:")
}

/// A field by its key at its own indentation; manifests come from kustomize, which writes one form.
fn field<'a>(document: &'a str, key: &str) -> &'a str {
    document.lines().find_map(|line| line.strip_prefix(key)).map(str::trim).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_known_by_their_kind() {
        assert!(is_default("apiVersion: x\nkind: MutatingAdmissionPolicyBinding\nmetadata:\n  name: y"));
        assert!(!is_default("apiVersion: x\nkind: ValidatingAdmissionPolicy\nmetadata:\n  name: y"));
    }

    #[test]
    fn only_the_platforms_own_workloads_are_left_out() {
        let document = |kind: &str, namespace: &str| {
            format!("apiVersion: v1\nkind: {kind}\nmetadata:\n  name: x\n  namespace: {namespace}")
        };
        let all = [
            document("Deployment", "mlp-system"),
            document("ServiceAccount", "mlp-system"),
            document("Deployment", "ml-team"),
        ]
        .join("\n---\n");
        let kept = without_workloads(&all);
        assert_eq!(kept.matches("kind:").count(), 2);
        assert!(kept.contains("ServiceAccount") && kept.contains("ml-team"));
    }
}
