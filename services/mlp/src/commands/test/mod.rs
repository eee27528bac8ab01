//! `mlp test`: every rung of the ladder, with all set-up, its time, and one closing line.

mod prepare;
mod run;
mod rungs;
mod tally;

use std::time::{Duration, Instant};

use crate::cli;
use crate::commands::up::foreground::told_to_end;
use crate::exit::{Failure, Outcome};
use crate::progress::seconds;

use rungs::{RUNGS, Rung};
use tally::Tally;

/// What one rung came to.
struct Ran {
    name: &'static str,
    took: Duration,
    tally: Tally,
    succeeded: bool,
}

/// Runs the chosen rungs.
pub(crate) async fn test(global: &cli::Global, flags: &cli::Test) -> Outcome {
    if flags.list {
        for rung in RUNGS {
            println!("{:<10} {}", rung.name, rung.finds);
        }
        return Ok(());
    }
    let chosen = choose(flags)?;
    let mut prepared = prepare::Prepared::new(global, run::repository_root()?);
    let mut ran = Vec::new();
    let climbed = tokio::select! {
        climbed = climb(&chosen, &mut prepared, &mut ran) => climbed,
        () = told_to_end() => Err(Failure::interrupted()),
    };
    // What a failed flow needs to be understood stays: the platform's logs.
    let whole = climbed.is_ok() && ran.iter().all(|rung| rung.succeeded);
    let ended = prepared.end(whole).await;
    if let (Err(_), Some(next)) = (&climbed, chosen.get(ran.len())) {
        // What could not even be prepared is a failure that the closing line must show.
        let tally = Tally { failed: 1, ..Tally::default() };
        ran.push(Ran { name: next.name, took: Duration::ZERO, tally, succeeded: false });
    }
    let closed = close(&ran);
    climbed.and(closed).and(ended)
}

async fn climb(
    chosen: &[&'static Rung],
    prepared: &mut prepare::Prepared<'_>,
    ran: &mut Vec<Ran>,
) -> Outcome {
    for rung in chosen {
        let begun = Instant::now();
        for need in rung.needs {
            prepared.prepare(*need).await?;
        }
        let preparation = begun.elapsed();
        if preparation > Duration::from_secs(1) {
            println!("-- prepared for {} in {}", rung.name, seconds(preparation));
        }
        ran.push(run::run(rung, prepared.root(), prepared.environment()).await?);
    }
    Ok(())
}

fn choose(flags: &cli::Test) -> Result<Vec<&'static Rung>, Failure> {
    if let Some(unknown) = flags.rungs.iter().find(|name| !RUNGS.iter().any(|rung| rung.name == **name)) {
        let known: Vec<_> = RUNGS.iter().map(|rung| rung.name).collect();
        return Err(Failure::usage(format!("there is no rung `{unknown}`; there are {}", known.join(", "))));
    }
    let wanted = |rung: &&Rung| {
        (flags.rungs.is_empty() || flags.rungs.iter().any(|name| name == rung.name))
            && (!flags.fast || rung.needs.is_empty())
    };
    Ok(RUNGS.iter().filter(wanted).collect())
}

/// Prints the budget per rung and the closing line that CI reads.
fn close(ran: &[Ran]) -> Outcome {
    let mut total = Tally::default();
    println!("\n{:<12} {:>14} {:>8} {:>8}", "rung", "time", "passed", "failed");
    for rung in ran {
        let mark = if rung.succeeded { "" } else { "  ✗" };
        let (passed, failed) = (rung.tally.passed, rung.tally.failed);
        println!("{:<12} {:>14} {passed:>8} {failed:>8}{mark}", rung.name, seconds(rung.took));
        total.add(rung.tally);
    }
    println!("\n{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    let broken: Vec<_> = ran.iter().filter(|rung| !rung.succeeded).map(|rung| rung.name).collect();
    if broken.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "failed: {}; run `cargo mlp test {}` to see only these",
        broken.join(", "),
        broken.join(" ")
    )))
}
