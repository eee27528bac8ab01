//! A service with one task, for the tests that need a process of its own.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use mlp_host::{Host, HostArgs};

/// How the sample's task behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Task {
    Obey,
    Linger,
    End,
    Fail,
    Panic,
}

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    host: HostArgs,
    /// How the task behaves
    #[arg(long, env = "SAMPLE_TASK", default_value = "obey")]
    task: Task,
    /// A key of the service itself that must not be printed
    #[arg(long, env = "SAMPLE_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Wait in the start, before the host runs
    #[arg(long)]
    hang_at_start: bool,
}

impl AsRef<HostArgs> for Args {
    fn as_ref(&self) -> &HostArgs {
        &self.host
    }
}

fn main() -> ExitCode {
    mlp_host::run("sample", app)
}

async fn app(args: Args, host: Host) -> Result<ExitCode, mlp_host::BoxError> {
    let _ = args.api_key;
    if args.hang_at_start {
        tracing::info!("hanging");
        std::future::pending::<()>().await;
    }
    let (stop, how) = (host.shutdown(), args.task);
    host.spawn("worker", async move {
        match how {
            Task::Obey => stop.cancelled().await,
            Task::Linger => std::future::pending::<()>().await,
            Task::End => {}
            Task::Fail => return Err("no more work".into()),
            Task::Panic => std::panic::resume_unwind(Box::new("the worker's invariant broke")),
        }
        tracing::info!("worker stopped");
        Ok::<(), mlp_host::BoxError>(())
    });
    tracing::info!("running");
    let hook = || async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        tracing::info!("drain hook ran");
    };
    Ok(host.run(hook).await)
}
