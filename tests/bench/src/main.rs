//! Benchmarks with their bounds: `cargo mlp bench [NAME]...`.
//!
//! Each bench is a module that starts what it measures and gives rows: a value, its unit, its
//! bound and whether it is met. The table goes to stdout, all of it as JSON to `.mlp/bench/`.
//! A missed bound is a result; the exit code is 1 only when something could not be measured.

mod applications;
mod bus;
mod cargo;
mod changes;
mod isolation;
mod memory;
mod onboarding;
mod percentile;
mod report;
mod rig;
mod service;
mod teams;
mod up;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use report::{Report, Row};

/// Whatever keeps a bench from its result.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Runs benchmarks; all of them where none is named.
#[derive(Debug, Parser)]
#[command(name = "mlp-bench")]
struct Arguments {
    /// What to measure
    #[arg(value_enum, value_name = "NAME")]
    names: Vec<Bench>,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Teams onboarded at once, or Applications; the bounds are for 1000
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    teams: usize,
}

/// One benchmark.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Bench {
    /// Publishing and handling, side by side with `nats bench` on one server
    Bus,
    /// From a Team applied to its isolation in force, for 1, 100 and many teams
    Onboarding,
    /// Resident memory of each service
    Memory,
    /// Bringing the platform up, with everything built
    Up,
    /// What the admission policies add to the creation of a pod, with 10, 100 and 1,000 teams
    Admission,
    /// Teams of three namespaces each at 20 teams a second, and a start of the service on all of them
    Namespaces,
    /// Applications of one monorepo, in the namespaces of 100 teams
    Applications,
    /// Pushes told by webhook, drift, and an object that is never still, among Applications of one monorepo
    Changes,
    /// 100,000 racing creations against the quota of one team with 20 namespaces
    Quota,
}

impl Bench {
    async fn run(self, teams: usize) -> Result<Vec<Row>, Error> {
        match self {
            Self::Bus => bus::run().await,
            Self::Onboarding => onboarding::run(teams).await,
            Self::Memory => memory::run().await,
            Self::Up => up::run().await,
            Self::Admission => isolation::admission::run(teams).await,
            Self::Namespaces => isolation::namespaces::run(teams).await,
            Self::Applications => applications::run(teams).await,
            Self::Changes => changes::run(teams).await,
            Self::Quota => isolation::quota::run().await,
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let all = Bench::value_variants().to_vec();
    let chosen = if arguments.names.is_empty() { all } else { arguments.names };
    let mut report = Report::new();
    for bench in chosen {
        eprintln!("== {}", bench.name());
        report.note_load(&bench.name());
        let rows = bench.run(arguments.teams).await;
        report.add(&bench.name(), rows.unwrap_or_else(|error| vec![Row::failed("all of it", &*error)]));
    }
    match report.save() {
        Ok(path) => eprintln!("written to {}", path.display()),
        Err(error) => eprintln!("the results cannot be kept: {error}"),
    }
    println!("{}", if arguments.json { report.json() } else { report.table() });
    if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
