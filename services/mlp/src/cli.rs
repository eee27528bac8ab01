//! The command line as types. Every flag has its sentence here; `mlp --help` is a golden file.

mod app;
mod team;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use mlp_model::Environment;

pub(crate) use app::{App, AppDiff, AppFindings, AppNew, AppVerb, Diff, Wait};
pub(crate) use team::{Adopt, MemberKubeconfig, Offboard, Team, TeamOutput, TeamVerb};

/// Exit codes, printed under `mlp --help`.
const EXIT_CODES: &str = "Exit codes:
  0    done
  1    failed; the last line on stderr says what and what to do
  2    wrong usage
  3    not ready within the time limit
  4    something is missing on this machine (see `cargo mlp doctor`)
  5    refused: a foreign cluster without --yes, or another platform's state
  130  interrupted; what this call had started was stopped";

/// Runs and looks at the ML platform.
#[derive(Debug, Parser)]
#[command(name = "mlp", version, after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Folder of the platform's state; `.mlp/state` of the checkout by default. Two folders are two platforms.
    #[arg(long = "state", global = true, env = "MLP_STATE", value_name = "DIR")]
    pub(crate) state_folder: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring the platform up, onboard the example teams, and show it until Ctrl-C.
    Up(Up),
    /// Stop the platform; its state stays.
    Down(Down),
    /// Show teams, services, applications and cost of the running platform.
    Status(Status),
    /// Print shell exports for kubectl, nats, grpcurl and OpenTelemetry clients.
    Env,
    /// Print a service's or component's log.
    Logs(Logs),
    /// Read the platform's events and dead letters.
    #[command(subcommand)]
    Events(Events),
    /// Show what a team has and may do, and why something was refused.
    Team(Team),
    /// Show Applications, sync them, and go back to what was.
    App(App),
    /// Show how what is live differs from a branch, as a sync would see it: `app diff`.
    Diff(Diff),
    /// Say how healthy an object is, as gitops-sync would.
    #[command(subcommand)]
    Health(Health),
    /// Rebuild one service and restart its process.
    Restart(Restart),
    /// Print one trace as a tree.
    Trace(Trace),
    /// Say what this machine has and lacks.
    Doctor,
    /// Write a redacted archive of logs, states and versions for a bug report.
    SupportBundle(SupportBundle),
    /// Run the tests of this repository, setting up what they need.
    Test(Test),
    /// Run the benchmarks of this repository.
    Bench(Bench),
    /// Print new keys for a broker in a cluster, as Secrets to apply and to keep locked away.
    BrokerKeys,
    /// Make NetworkPolicy true on the real node; `up` starts it there.
    #[command(hide = true)]
    NetworkAgent(NetworkAgent),
    /// Print a completion script for a shell.
    Completion(Completion),
}

/// Verbs of `cargo mlp health`.
#[derive(Debug, Subcommand)]
pub(crate) enum Health {
    /// Read an object from a file and print its status and message.
    Assess(Assess),
}

/// Flags of `cargo mlp health assess`.
#[derive(Debug, Args)]
pub(crate) struct Assess {
    /// The live object, YAML or JSON; `-` reads it from stdin.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// A health script as Argo CD has them, in place of the built-in rule.
    #[arg(long, value_name = "FILE")]
    pub(crate) lua: Option<PathBuf>,
    /// The script may use `string` and `math` too, as with Argo CD's useOpenLibs.
    #[arg(long, requires = "lua")]
    pub(crate) open_libs: bool,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// Which cluster carries the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cluster {
    /// etcd, API server, controllers and nodes as processes of this machine.
    Embedded,
    /// A kind cluster, made if it is not there; needs Docker and kind.
    Kind,
    /// The cluster of a kubeconfig context (see --context).
    Kubeconfig,
}

/// Which nodes the embedded cluster gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Nodes {
    /// kwok nodes: nothing runs on them, and what depends on them says Simulated.
    Simulated,
    /// One real node (Linux, root).
    Real,
    /// Both.
    Both,
}

/// Flags of `cargo mlp up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Return once everything is ready; `cargo mlp down` stops it.
    #[arg(long)]
    pub(crate) detach: bool,
    /// Delete the platform's state first.
    #[arg(long)]
    pub(crate) wipe: bool,
    /// Where to run.
    #[arg(long, value_enum, default_value = "embedded")]
    pub(crate) cluster: Cluster,
    /// Context of the kubeconfig, with --cluster kubeconfig.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Which environment's definitions to apply: local, dev, staging or prod.
    #[arg(long, default_value_t = Environment::Local, value_name = "NAME")]
    pub(crate) environment: Environment,
    /// Nodes of the embedded cluster; the default is what this machine can do.
    #[arg(long, value_enum)]
    pub(crate) nodes: Option<Nodes>,
    /// Folder with ready-made binaries, looked at before KUBEBUILDER_ASSETS, PATH and the cache.
    #[arg(long, value_name = "DIR")]
    pub(crate) assets: Option<PathBuf>,
    /// Choose new ports instead of the remembered ones.
    #[arg(long)]
    pub(crate) fresh_ports: bool,
    /// Act on a cluster that is not local.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Stop after the services are ready; apply no example teams.
    #[arg(long)]
    pub(crate) no_examples: bool,
    /// Run etcd without fsync: faster, and a power failure loses the platform's state.
    #[arg(long)]
    pub(crate) unsafe_no_fsync: bool,
}

impl Up {
    /// The platform that `mlp test` runs its flows on.
    pub(crate) fn for_tests() -> Self {
        Self {
            detach: true,
            wipe: false,
            cluster: Cluster::Embedded,
            context: None,
            environment: Environment::Local,
            nodes: None,
            assets: None,
            fresh_ports: false,
            yes: false,
            no_examples: false,
            unsafe_no_fsync: false,
        }
    }
}

/// Flags of `cargo mlp down`.
#[derive(Debug, Args)]
pub(crate) struct Down {
    /// Delete the platform's state too.
    #[arg(long)]
    pub(crate) wipe: bool,
}

/// How a command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Tables for people.
    #[default]
    Text,
    /// JSON for programs; fields are added, never changed.
    Json,
}

/// Flags of `mlp status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// Flags of `mlp logs`.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// A service (for example team-isolation) or component (for example kube-apiserver).
    pub(crate) service: String,
    /// Keep printing what is added.
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// Flags of `mlp restart`.
#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// The service, for example team-isolation.
    pub(crate) service: String,
}

/// `mlp events ...`
#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// Print events as they come.
    Tail(Tail),
    /// List the dead letters.
    Dead(Dead),
    /// Send dead letters again, each to the consumer that failed.
    Redrive(Redrive),
}

/// Flags of `mlp events tail`.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Only events of this team.
    #[arg(long, value_name = "TEAM")]
    pub(crate) team: Option<String>,
    /// Begin with everything that is stored, not with what comes next.
    #[arg(long)]
    pub(crate) all: bool,
    /// End when the stored events are printed, instead of waiting for the next.
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// End after this many events.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// Flags of `mlp events dead`.
#[derive(Debug, Args)]
pub(crate) struct Dead {
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// Flags of `mlp events redrive`.
#[derive(Debug, Args)]
pub(crate) struct Redrive {
    /// Only dead letters of this consumer.
    #[arg(long, value_name = "NAME")]
    pub(crate) consumer: Option<String>,
    /// Only the dead letter with this number, as `mlp events dead` lists it.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) sequence: Option<u64>,
    /// Say what would be sent, and send nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Flags of `mlp trace`.
#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// A trace id (32 hex digits), or `team/NAME`, `database/NAMESPACE/NAME`, `cache/NAMESPACE/NAME`,
    /// `application/NAMESPACE/NAME`.
    pub(crate) id: String,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// Flags of `mlp support-bundle`.
#[derive(Debug, Args)]
pub(crate) struct SupportBundle {
    /// The archive to write.
    #[arg(short, long, default_value = "mlp-support-bundle.tar.gz", value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// Flags of `mlp test`.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Only what needs no servers.
    #[arg(long)]
    pub(crate) fast: bool,
    /// Only these rungs; `mlp test --list` names them.
    #[arg(value_name = "RUNG")]
    pub(crate) rungs: Vec<String>,
    /// List the rungs and what each finds.
    #[arg(long)]
    pub(crate) list: bool,
}

/// Flags of `mlp network-agent`.
#[derive(Debug, Args)]
pub(crate) struct NetworkAgent {
    /// Its access to the API server.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: PathBuf,
    /// The node that it runs on.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: String,
    /// The node's pod network.
    #[arg(long, value_name = "CIDR")]
    pub(crate) pods: String,
}

/// Flags of `mlp bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Only these benchmarks: bus, onboarding, memory, up, admission, namespaces, applications, changes, quota.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// Flags of `mlp completion`.
#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}
