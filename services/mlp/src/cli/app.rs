//! `cargo mlp app ...` as types.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use mlp_host::config::duration;

use super::Output;

/// Flags of `cargo mlp app`.
#[derive(Debug, Args)]
pub(crate) struct App {
    #[command(flatten)]
    pub(crate) call: AppCall,
    #[command(subcommand)]
    pub(crate) verb: AppVerb,
}

/// As whom gitops-sync is asked of which Application, and how the answer is shown.
#[derive(Debug, Args)]
pub(crate) struct AppCall {
    /// Call with the bearer token in this file instead of the administrator's.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// Namespace of the Application; found by its name where this is left out.
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Output format.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// `cargo mlp app ...`
#[derive(Debug, Subcommand)]
pub(crate) enum AppVerb {
    /// List Applications with their states.
    List,
    /// Show an Application, its objects, and what it waits for.
    Get {
        /// The Application.
        name: String,
    },
    /// Ask for a sync.
    Sync(AppSync),
    /// End the sync that runs.
    Terminate {
        /// The Application.
        name: String,
    },
    /// List what was synced when, newest first.
    History {
        /// The Application.
        name: String,
    },
    /// Go back to an entry of the history, and stay there until `release`.
    Rollback(AppRollback),
    /// Let an Application that is held follow its branch again.
    Release {
        /// The Application.
        name: String,
    },
    /// Show how what is live differs from git, or from another branch, as a sync would see it.
    Diff(AppDiff),
    /// Write the files of a new application into a checkout, and its Application.
    New(AppNew),
    /// List rules that git, or another branch, breaks: those that keep a sync from beginning first.
    Findings(AppFindings),
    /// Print the objects that git wants, or another branch does.
    Manifests {
        /// The Application.
        name: String,
        /// Branch, tag or commit in place of the Application's own.
        #[arg(long, default_value = "", hide_default_value = true)]
        revision: String,
    },
}

/// Flags of `cargo mlp app new`.
#[derive(Debug, Args)]
pub(crate) struct AppNew {
    /// The application: of its folder, objects and Application.
    pub(crate) name: String,
    /// The team whose it is.
    #[arg(long)]
    pub(crate) team: String,
    /// Address of the repository, as the platform reads it.
    #[arg(long = "repo", value_name = "URL")]
    pub(crate) repository: String,
    /// Branch that it follows.
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    pub(crate) revision: String,
    /// Folder in the repository; apps/NAME where this is left out.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) path: Option<String>,
    /// Image that it runs, with a tag or digest.
    #[arg(long)]
    pub(crate) image: String,
    /// Port that it listens on.
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// The checkout.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
}

/// Flags of `cargo mlp app findings`.
#[derive(Debug, Args)]
pub(crate) struct AppFindings {
    /// The Application.
    pub(crate) name: String,
    /// Branch, tag or commit in place of the Application's own.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) revision: String,
    /// Fail where a sync would not begin.
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// As SARIF 2.1.0, which code hosts show beside a change.
    #[arg(long)]
    pub(crate) sarif: bool,
}

/// Flags of `cargo mlp diff`: those of `cargo mlp app`, and of its verb.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    call: AppCall,
    #[command(flatten)]
    diff: AppDiff,
}

impl From<Diff> for App {
    fn from(Diff { call, diff }: Diff) -> Self {
        Self { call, verb: AppVerb::Diff(diff) }
    }
}

/// Flags of `cargo mlp app diff`.
#[derive(Debug, Args)]
pub(crate) struct AppDiff {
    /// The Application.
    pub(crate) name: String,
    /// Branch, tag or commit in place of the Application's own.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) revision: String,
    /// Fail where something differs.
    #[arg(long)]
    pub(crate) exit_code: bool,
}

/// Flags of `cargo mlp app sync`.
#[derive(Debug, Args)]
pub(crate) struct AppSync {
    /// The Application.
    pub(crate) name: String,
    /// Revision in place of the Application's own.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) revision: String,
    /// Delete objects that left git.
    #[arg(long)]
    pub(crate) prune: bool,
    /// Only say what would come of it.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// Flags of `cargo mlp app rollback`.
#[derive(Debug, Args)]
pub(crate) struct AppRollback {
    /// The Application.
    pub(crate) name: String,
    /// Entry of the history; the one before the last where this is left out.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    pub(crate) id: i64,
    /// Delete objects that the entry does not have.
    #[arg(long)]
    pub(crate) prune: bool,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// Whether the end is waited for.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Wait for the end, and fail where it fails.
    #[arg(long)]
    pub(crate) wait: bool,
    /// The longest time that it is waited for.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration, requires = "wait")]
    pub(crate) timeout: Duration,
}
