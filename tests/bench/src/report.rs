//! What a bench gives, as a table for people and JSON for programs.

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{fs, io};

use serde::Serialize;

use crate::rig;

/// The bound of a value.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Target {
    /// Not more than this.
    AtMost(f64),
    /// Not less than this.
    AtLeast(f64),
}

/// One measured value, or why there is none.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    bench: String,
    name: String,
    value: Option<f64>,
    unit: &'static str,
    target: Option<Target>,
    met: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Row {
    /// A value without a bound.
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let name = name.into();
        Self { bench: String::new(), name, value: Some(value), unit, target: None, met: None, error: None }
    }

    /// The same with its bound.
    pub(crate) fn against(self, target: Target) -> Self {
        let met = self.value.map(|value| match target {
            Target::AtMost(most) => value <= most,
            Target::AtLeast(least) => value >= least,
        });
        Self { target: Some(target), met, ..self }
    }

    /// What could not be measured, with the whole chain of causes.
    pub(crate) fn failed(name: impl Into<String>, error: &(dyn Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let _ = write!(text, ": {inner}");
            cause = inner.source();
        }
        Self { value: None, error: Some(text), ..Self::new(name, 0.0, "") }
    }

    fn cells(&self) -> [String; 4] {
        let number = |value: f64| match value {
            value if value.abs() >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
            value => format!("{value:.2}"),
        };
        let value =
            self.value.map_or_else(|| "none".to_owned(), |value| format!("{} {}", number(value), self.unit));
        let target = match self.target {
            Some(Target::AtMost(most)) => format!("≤ {} {}", number(most), self.unit),
            Some(Target::AtLeast(least)) => format!("≥ {} {}", number(least), self.unit),
            None => String::new(),
        };
        let verdict = match (&self.error, self.met) {
            (Some(error), _) => format!("error: {error}"),
            (None, Some(true)) => "met".to_owned(),
            (None, Some(false)) => "MISSED".to_owned(),
            (None, None) => String::new(),
        };
        [self.name.clone(), value, target, verdict]
    }
}

/// All rows of a run, with the machine they hold for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    time: String,
    processors: usize,
    memory_mebibytes: u64,
    optimised: bool,
    /// Processes that wanted a processor in the minute before each bench: who else was at work.
    load_before: Vec<(String, f64)>,
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new() -> Self {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kibibytes: Option<u64> = total.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        Self {
            time: jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string(),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mebibytes: kibibytes.unwrap_or_default() / 1024,
            optimised: !cfg!(debug_assertions),
            load_before: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Notes how busy the machine is; call it before each bench.
    pub(crate) fn note_load(&mut self, bench: &str) {
        let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = text.split_whitespace().next().and_then(|load| load.parse().ok());
        self.load_before.push((bench.to_owned(), load.unwrap_or_default()));
    }

    /// Adds what a bench gave.
    pub(crate) fn add(&mut self, bench: &str, rows: Vec<Row>) {
        self.rows.extend(rows.into_iter().map(|row| Row { bench: bench.to_owned(), ..row }));
    }

    /// Whether everything could be measured.
    pub(crate) fn is_complete(&self) -> bool {
        self.rows.iter().all(|row| row.error.is_none())
    }

    /// Writes `.mlp/bench/<time>.json`.
    pub(crate) fn save(&self) -> io::Result<PathBuf> {
        let folder = rig::folder().map_err(io::Error::other)?;
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{}.json", self.time));
        fs::write(&path, self.json())?;
        Ok(path)
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// One line per row, under the bench's name.
    pub(crate) fn table(&self) -> String {
        let build = if self.optimised { "release build" } else { "DEBUG BUILD: bounds do not hold for it" };
        let (processors, memory) = (self.processors, self.memory_mebibytes);
        let mut text = format!("{}  {processors} processors, {memory} MiB, {build}\n", self.time);
        let rows: Vec<(&str, [String; 4])> =
            self.rows.iter().map(|row| (row.bench.as_str(), row.cells())).collect();
        let width = |select: fn(&[String; 4]) -> &String| {
            rows.iter().map(|(_, cells)| select(cells).chars().count()).max().unwrap_or_default()
        };
        let (first, second, third) = (width(|[a, ..]| a), width(|[_, b, ..]| b), width(|[_, _, c, _]| c));
        let mut last = "";
        for (bench, [name, value, target, verdict]) in &rows {
            if *bench != last {
                let load = self.load_before.iter().find(|(name, _)| name == bench).map(|(_, load)| *load);
                let _ = writeln!(text, "\n{bench}  (load before: {:.1})", load.unwrap_or_default());
                last = bench;
            }
            let line = format!("  {name:<first$}  {value:>second$}  {target:>third$}  {verdict}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_decide_and_a_failure_is_never_met() {
        assert_eq!(Row::new("a", 5.0, "ms").against(Target::AtMost(5.0)).met, Some(true));
        assert_eq!(Row::new("a", 5.1, "ms").against(Target::AtMost(5.0)).met, Some(false));
        assert_eq!(Row::new("a", 49.0, "%").against(Target::AtLeast(50.0)).met, Some(false));
        let failed = Row::failed("a", &io::Error::other("no broker")).against(Target::AtMost(5.0));
        assert_eq!((failed.met, failed.error.as_deref()), (None, Some("no broker")));
    }
}
