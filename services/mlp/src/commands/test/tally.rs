//! Counts what test runners print, so that `mlp test` can close with one line for all.

/// How many tests passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl Tally {
    /// Adds what one line of output says, where it is a closing line of cargo test or go test.
    pub(super) fn read_line(&mut self, line: &str) {
        if let Some(counts) = line.trim().strip_prefix("test result: ") {
            for part in counts.split([';', '.']) {
                let mut words = part.split_whitespace();
                let (Some(count), Some(word)) = (words.next(), words.next()) else { continue };
                let Ok(count) = count.parse::<u64>() else { continue };
                match word {
                    "passed" => self.passed += count,
                    "failed" => self.failed += count,
                    "ignored" => self.skipped += count,
                    _ => {}
                }
            }
        } else if line.starts_with("--- PASS: ") {
            self.passed += 1;
        } else if line.starts_with("--- FAIL: ") {
            self.failed += 1;
        }
    }

    /// Adds another tally.
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_and_go_lines_are_counted_and_others_are_not() {
        let mut tally = Tally::default();
        for line in [
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.02s",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
            "--- PASS: TestButtons (0.00s)",
            "    --- PASS: TestButtons/inner (0.00s)",
            "ok  \tmlplatform.dev/tests/tiltfile\t0.3s",
            "test plan::idempotent ... ok",
            "7 passed",
        ] {
            tally.read_line(line);
        }
        assert_eq!(tally, Tally { passed: 15, failed: 1, skipped: 1 });
    }
}
