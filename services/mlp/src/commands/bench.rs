//! `mlp bench`: builds the benchmarks with optimisation and runs them.

use crate::cli::{Bench, Global, Output};
use crate::exit::{Failure, Outcome};

/// Runs the chosen benchmarks; all of them where none is named.
pub(crate) async fn bench(global: &Global, flags: &Bench) -> Outcome {
    let layout = global.layout()?;
    let mut command = mlp_tilt::cargo::without_our_package("cargo");
    command.current_dir(layout.root()).kill_on_drop(true);
    command.args(["run", "--quiet", "--release", "-p", "mlp-bench", "--"]).args(&flags.names);
    if flags.output == Output::Json {
        command.arg("--json");
    }
    let status =
        command.status().await.map_err(|error| Failure::missing(format!("cannot run cargo: {error}")))?;
    if status.success() { Ok(()) } else { Err(Failure::failed("a benchmark failed; its messages are above")) }
}
