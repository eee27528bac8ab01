//! `cargo mlp up --detach` with everything built, from an empty state folder.

use std::process::Stdio;
use std::time::Instant;

use crate::report::{Row, Target};
use crate::{Error, cargo, rig};

/// The most that the whole may take, in seconds.
const WHOLE: f64 = 30.0;
/// The step of our own services, and the most that it may take, in seconds.
const SERVICES: (&str, f64) = ("services ready", 10.0);

pub(crate) async fn run() -> Result<Vec<Row>, Error> {
    // What is missing is built and cached by a first run, which is not measured.
    mlp(&["up", "--detach", "--wipe"]).await?;
    mlp(&["down", "--wipe"]).await?;
    let begun = Instant::now();
    let said = mlp(&["up", "--detach"]).await;
    let took = begun.elapsed().as_secs_f64();
    mlp(&["down", "--wipe"]).await?;
    let mut rows = vec![Row::new("warm `cargo mlp up --detach`", took, "s").against(Target::AtMost(WHOLE))];
    for (step, seconds) in steps(&said?) {
        let row = Row::new(format!("of which: {step}"), seconds, "s");
        rows.push(if step == SERVICES.0 { row.against(Target::AtMost(SERVICES.1)) } else { row });
    }
    Ok(rows)
}

/// Runs `cargo mlp` as a person does, on a state folder of its own, and gives what it said on stderr.
async fn mlp(arguments: &[&str]) -> Result<String, Error> {
    let mut command = cargo::from_a_shell();
    command.current_dir(rig::layout()?.root()).args(["run", "--quiet", "--package", "mlp", "--"]);
    command.args(arguments).arg("--state").arg(rig::folder()?.join("up"));
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(format!("`mlp {}` failed: {}", arguments.join(" "), last.join(" | ")).into())
}

/// The lines `  ✓ <step>   <time>` with times in seconds.
fn steps(said: &str) -> Vec<(String, f64)> {
    said.lines().filter_map(step).collect()
}

fn step(line: &str) -> Option<(String, f64)> {
    let (name, time) = line.trim().strip_prefix("✓ ")?.rsplit_once("  ")?;
    let seconds = match time.trim().split_once(" min ") {
        Some((minutes, rest)) => {
            minutes.parse::<f64>().ok()? * 60.0 + rest.strip_suffix(" s")?.parse::<f64>().ok()?
        }
        None => time.trim().strip_suffix(" s")?.parse().ok()?,
    };
    Some((name.trim().to_owned(), seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_from_what_up_says() {
        let said = "  ✓ control plane ready                             6.1 s\n  … x\n  ✓ services ready                  1 min 04 s\n\nup in 9.9 s\n";
        assert_eq!(steps(said), [("control plane ready".into(), 6.1), ("services ready".into(), 64.0)]);
    }
}
