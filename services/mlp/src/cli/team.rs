//! `cargo mlp team ...` as types.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use mlp_model::Environment;

/// Flags of `cargo mlp team`.
#[derive(Debug, Args)]
pub(crate) struct Team {
    /// Call with the bearer token in this file instead of the administrator's.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// Output format; sarif for compliance only.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub(crate) output: TeamOutput,
    #[command(subcommand)]
    pub(crate) verb: TeamVerb,
}

/// `cargo mlp team ...`
#[derive(Debug, Subcommand)]
pub(crate) enum TeamVerb {
    /// List the namespaces of the caller's own teams.
    Namespaces,
    /// Open a further namespace within the team's share.
    Open(OpenNamespace),
    /// Close a namespace that was opened; it goes when it is empty.
    Close {
        /// The team.
        team: String,
        /// The namespace.
        namespace: String,
    },
    /// Show quota and use, in total and by namespace.
    Usage {
        /// The team.
        team: String,
    },
    /// Say what was refused to the team of late, and how to mend it.
    Why {
        /// The team.
        team: String,
    },
    /// Print what the caller, or somebody else, may do in the team's namespaces.
    CanI {
        /// The team.
        team: String,
        /// Ask about this user instead of the caller.
        #[arg(long = "as", value_name = "USER")]
        user: Option<String>,
        /// Groups of the user; may be repeated.
        #[arg(long = "as-group", value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Say whether a connection gets through the network policies, and by which rule.
    Reach {
        /// The sender: namespace/pod.
        #[arg(long, value_name = "NAMESPACE/POD")]
        from: String,
        /// The receiver: namespace/pod:port or address:port.
        #[arg(long, value_name = "NAMESPACE/POD:PORT")]
        to: String,
        /// TCP, UDP or SCTP.
        #[arg(long, default_value = "TCP")]
        protocol: String,
    },
    /// Show the calls that would make the team as declared.
    Plan {
        /// The team.
        team: String,
    },
    /// Show what adopting a namespace that is there would do, and offer it to the team.
    Adopt(Adopt),
    /// Show what the way out of a team would do, begin it, or take it back.
    Offboard(Offboard),
    /// Check every piece of the team's isolation; fails where one is missing.
    Compliance {
        /// The team.
        team: String,
    },
    /// Write a kubeconfig for a member of the team (embedded platform).
    Kubeconfig(MemberKubeconfig),
}

/// How `cargo mlp team` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TeamOutput {
    /// Tables for people.
    #[default]
    Text,
    /// JSON for programs; fields are added, never changed.
    Json,
    /// SARIF 2.1.0 for code hosts (compliance).
    Sarif,
}

/// Flags of `cargo mlp team kubeconfig`.
#[derive(Debug, Args)]
pub(crate) struct MemberKubeconfig {
    /// The team.
    pub(crate) team: String,
    /// The member's user name.
    #[arg(long)]
    pub(crate) user: String,
    /// The member's groups; may be repeated.
    #[arg(long = "group", value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
}

/// Flags of `mlp team open`.
#[derive(Debug, Args)]
pub(crate) struct OpenNamespace {
    /// The team.
    pub(crate) team: String,
    /// The namespace; begins with the team's name and a hyphen.
    pub(crate) namespace: String,
    /// The environment whose rules it follows, where it is not the platform's.
    #[arg(long)]
    pub(crate) environment: Option<Environment>,
    /// Percent of the team's quota that it always has.
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    pub(crate) share: u32,
}

/// Flags of `mlp team adopt`.
#[derive(Debug, Args)]
pub(crate) struct Adopt {
    /// The team.
    pub(crate) team: String,
    /// The namespace, which no team has.
    pub(crate) namespace: String,
    /// Offer it to the team; without this the plan is shown and nothing is changed.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Flags of `mlp team offboard`.
#[derive(Debug, Args)]
pub(crate) struct Offboard {
    /// The team.
    pub(crate) team: String,
    /// Begin it; without this it is shown and nothing is changed.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Take it back: rights, work and quota return.
    #[arg(long, conflicts_with = "yes")]
    pub(crate) undo: bool,
    /// How long data is kept at least; as the Team says where this is left out.
    #[arg(long, value_name = "HOURS")]
    pub(crate) retention_hours: Option<u32>,
}
