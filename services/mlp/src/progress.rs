//! Steps with their times, on stderr: stdout carries only what a program may read.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Prints one line per step: its name while it runs (on a terminal), its time when it is done.
pub(crate) struct Steps {
    started: Instant,
    terminal: bool,
}

impl Steps {
    /// Starts the clock.
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), terminal: std::io::stderr().is_terminal() }
    }

    /// Runs one step. `work` may report what it is doing; the line on a terminal is redrawn.
    pub(crate) async fn run<T, E>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        self.note(name, begun);
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        tokio::pin!(work);
        let result = loop {
            tokio::select! {
                result = &mut work => break result,
                _ = ticks.tick() => self.note(name, begun),
            }
        };
        self.finish(name, begun.elapsed(), result.is_ok());
        result
    }

    /// Time since the first step began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn note(&self, name: &str, begun: Instant) {
        if self.terminal {
            let mut stderr = std::io::stderr();
            let _ = write!(stderr, "\r\x1b[2K  … {name:<44} {:>7}", seconds(begun.elapsed()));
            let _ = stderr.flush();
        }
    }

    fn finish(&self, name: &str, took: Duration, succeeded: bool) {
        let mark = if succeeded { "✓" } else { "✗" };
        let start = if self.terminal { "\r\x1b[2K" } else { "" };
        // A terminal that has gone is no reason to stop half-way.
        let _ = writeln!(std::io::stderr(), "{start}  {mark} {name:<44} {:>7}", seconds(took));
    }
}

/// `1.2 s`, or `3 min 04 s` from a minute on.
pub(crate) fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        assert_eq!(seconds(Duration::from_millis(1_240)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(184)), "3 min 04 s");
    }
}
