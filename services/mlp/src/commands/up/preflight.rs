//! What must hold before anything is touched: credentials, contexts, tools.

use std::path::Path;

use kube::config::Kubeconfig;
use mlp_model::Environment;

use crate::cli::{Cluster, Up};
use crate::exit::Failure;

/// Where AWS clients find credentials (AWS SDK reference, standardized credential providers).
const CREDENTIAL_VARIABLES: [&str; 4] =
    ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];

/// What of the process' surroundings the checks read; a value, so that tests can make one.
pub(crate) struct Machine {
    /// Whether an environment variable is set and not empty.
    pub(crate) has_variable: fn(&str) -> bool,
    /// Whether a program is on PATH.
    pub(crate) has_program: fn(&str) -> bool,
}

impl Machine {
    /// This machine.
    pub(crate) fn this() -> Self {
        Self {
            has_variable: |name| std::env::var_os(name).is_some_and(|value| !value.is_empty()),
            has_program: |name| {
                std::env::var_os("PATH").is_some_and(|path| {
                    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
                })
            },
        }
    }
}

/// Refuses what cannot work, naming everything that is missing at once.
pub(crate) fn check(flags: &Up, machine: &Machine) -> Result<(), Failure> {
    let mut missing = Vec::new();
    if flags.environment.uses_aws() {
        aws(flags, machine, &mut missing);
    }
    match flags.cluster {
        Cluster::Embedded if flags.environment.uses_aws() => missing.push(
            "an EKS cluster: pass --cluster kubeconfig --context NAME (the embedded cluster is for --environment local)"
                .to_owned(),
        ),
        Cluster::Kind => {
            for (program, remedy) in [
                ("docker", "install Docker, or use --cluster embedded"),
                ("kind", "install kind from https://kind.sigs.k8s.io, or use --cluster embedded"),
            ] {
                if !(machine.has_program)(program) {
                    missing.push(format!("`{program}`: {remedy}"));
                }
            }
        }
        Cluster::Kubeconfig if flags.context.is_none() => {
            missing.push("the context: pass --context NAME (`kubectl config get-contexts` lists them)".to_owned());
        }
        Cluster::Embedded | Cluster::Kubeconfig => {}
    }
    if flags.cluster != Cluster::Embedded {
        let embedded_only = [
            ("--wipe", flags.wipe),
            ("--nodes", flags.nodes.is_some()),
            ("--fresh-ports", flags.fresh_ports),
            ("--unsafe-no-fsync", flags.unsafe_no_fsync),
        ];
        let given = embedded_only.into_iter().filter(|(_, given)| *given);
        let given: Vec<_> = given.map(|(flag, _)| flag).collect();
        if !given.is_empty() {
            let flags = given.join(", ");
            return Err(Failure::usage(format!("{flags}: for the embedded cluster only; leave it out")));
        }
    }
    if let Some(assets) = flags.assets.as_ref().filter(|assets| !assets.is_dir()) {
        missing.push(format!("--assets {}: there is no such folder", assets.display()));
    }
    let deploys_examples = flags.cluster == Cluster::Embedded && !flags.no_examples;
    if deploys_examples && !(machine.has_program)("git") {
        missing.push("`git`: apt-get install git; the examples are deployed from a repository".to_owned());
    }
    if missing.is_empty() {
        return Ok(());
    }
    let what = format!("--environment {} --cluster {:?}", flags.environment, flags.cluster).to_lowercase();
    Err(Failure::missing(format!("nothing was done; {what} lacks:\n  - {}", missing.join("\n  - "))))
}

fn aws(flags: &Up, machine: &Machine, missing: &mut Vec<String>) {
    if !CREDENTIAL_VARIABLES.iter().any(|name| (machine.has_variable)(name)) {
        missing.push(format!(
            "AWS credentials for {}: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            flags.environment
        ));
    }
    if !(machine.has_variable)("AWS_REGION") && !(machine.has_variable)("AWS_DEFAULT_REGION") {
        missing.push("the AWS region: set AWS_REGION".to_owned());
    }
}

/// Refuses a context that is not local, unless the person said `--yes`.
pub(crate) fn check_context(kubeconfig: &Kubeconfig, name: &str, yes: bool) -> Result<(), Failure> {
    let context = kubeconfig.contexts.iter().find(|context| context.name == name);
    let Some(cluster) = context.and_then(|context| context.context.as_ref()).map(|context| &context.cluster)
    else {
        let known: Vec<_> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
        return Err(Failure::usage(format!("--context {name}: the kubeconfig has {}", known.join(", "))));
    };
    let cluster = kubeconfig.clusters.iter().find(|entry| entry.name == *cluster);
    let server = cluster.and_then(|entry| entry.cluster.as_ref()?.server.as_deref()).unwrap_or_default();
    if yes || is_local(server) {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "--context {name} is the cluster at {server}, which is not on this machine; add --yes to act on it"
    )))
}

fn is_local(server: &str) -> bool {
    let host = server.split("://").nth(1).unwrap_or(server);
    ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"].iter().any(|local| {
        host.strip_prefix(local).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    })
}

/// The environment's folder of definitions.
pub(crate) fn definitions(root: &Path, environment: Environment) -> std::path::PathBuf {
    root.join("deploy/environments").join(environment.as_str())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn up(arguments: &[&str]) -> Up {
        let cli = Cli::parse_from([&["mlp", "up"], arguments].concat());
        match cli.command {
            Command::Up(flags) => flags,
            _ => panic!("`up` parses as something else"),
        }
    }

    const BARE: Machine = Machine { has_variable: |_| false, has_program: |_| false };
    const FULL: Machine = Machine { has_variable: |_| true, has_program: |_| true };

    #[test]
    fn prod_without_credentials_names_everything_it_lacks() {
        let failure = check(&up(&["--environment", "prod"]), &BARE).unwrap_err().to_string();
        for part in ["nothing was done", "AWS credentials for prod", "AWS_REGION", "--cluster kubeconfig"] {
            assert!(failure.contains(part), "{failure}");
        }
        let remote = ["--environment", "prod", "--cluster", "kubeconfig", "--context", "x"];
        assert!(check(&up(&remote), &FULL).is_ok());
        let failure = check(&up(&[&remote[..], &["--wipe"]].concat()), &FULL).unwrap_err().to_string();
        assert!(failure.contains("--wipe: for the embedded cluster only"), "{failure}");
    }

    #[test]
    fn local_needs_nothing_and_kind_names_its_tools() {
        assert!(check(&up(&[]), &FULL).is_ok());
        let failure = check(&up(&["--assets", "/nowhere"]), &BARE).unwrap_err().to_string();
        assert!(failure.contains("`git`") && failure.contains("--assets /nowhere"), "{failure}");
        let failure = check(&up(&["--cluster", "kind"]), &BARE).unwrap_err().to_string();
        assert!(failure.contains("`docker`") && failure.contains("`kind`"), "{failure}");
    }

    #[test]
    fn a_foreign_context_needs_yes() {
        let kubeconfig = Kubeconfig::from_yaml(
            "{apiVersion: v1, kind: Config, clusters: [{name: far, cluster: {server: 'https://far.example:6443'}}, \
             {name: near, cluster: {server: 'https://127.0.0.1:6443'}}, \
             {name: trick, cluster: {server: 'https://127.0.0.1.far.example:6443'}}], contexts: [\
             {name: far, context: {cluster: far, user: u}}, {name: near, context: {cluster: near, user: u}}, \
             {name: trick, context: {cluster: trick, user: u}}]}",
        )
        .unwrap();
        assert!(check_context(&kubeconfig, "near", false).is_ok());
        assert!(check_context(&kubeconfig, "far", true).is_ok());
        for name in ["far", "trick"] {
            let failure = check_context(&kubeconfig, name, false).unwrap_err().to_string();
            assert!(failure.contains("--yes"), "{failure}");
        }
        assert!(check_context(&kubeconfig, "absent", true).unwrap_err().to_string().contains("far, near"));
    }
}
