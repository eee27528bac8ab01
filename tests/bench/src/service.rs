//! One service's process: started, asked for its metrics, measured, stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mlp_harness::wait_until;
use mlp_tilt::ports::free_port;
use mlp_tilt::process::{Process, Spec, Watchdog, probe};

use crate::Error;

/// How long a service may take to `/readyz`.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long a service may take to drain.
const STOP_LIMIT: Duration = Duration::from_secs(25);
/// How long nothing may happen until a service counts as settled.
const QUIET: Duration = Duration::from_secs(3);
/// Counts a service's writes to the API server.
pub(crate) const WRITES: &str = "mlp_kubernetes_writes_total";
/// Counts its reconciles.
pub(crate) const RECONCILES: &str = "mlp_reconcile_duration_seconds_count";
/// So many times [`SETTLE_LIMIT`] for what a burst leaves to do.
const PATIENCE: usize = 5;
/// How long a service may take to settle.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);

/// A running service.
pub(crate) struct Service {
    process: Process,
    admin: u16,
    spec: Spec,
}

impl Service {
    /// Starts the process under guard and waits until it says that it is ready.
    pub(crate) async fn start(
        name: &str,
        binary: &Path,
        variables: impl IntoIterator<Item = (&'static str, String)>,
        log: PathBuf,
        watchdog: &Watchdog,
    ) -> Result<Self, Error> {
        let admin = free_port().ok_or("no free port is left")?;
        let mut environment: BTreeMap<String, String> =
            variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        environment.insert("MLP_ADMIN_LISTEN".to_owned(), format!("127.0.0.1:{admin}"));
        let program = binary.to_path_buf();
        let spec =
            Spec { name: name.to_owned(), program, arguments: Vec::new(), environment, log, record: None };
        Self::launch(spec, admin, watchdog).await
    }

    async fn launch(spec: Spec, admin: u16, watchdog: &Watchdog) -> Result<Self, Error> {
        let mut process = Process::spawn(&spec)?;
        watchdog.guard(process.identity())?;
        process.ready(READY_LIMIT, || probe::answers(admin, "/readyz")).await?;
        Ok(Self { process, admin, spec })
    }

    /// Stops it and starts it again.
    pub(crate) async fn restart(mut self, watchdog: &Watchdog) -> Result<Self, Error> {
        self.process.stop(STOP_LIMIT).await?;
        Self::launch(self.spec, self.admin, watchdog).await
    }

    /// Stops it.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        Ok(self.process.stop(STOP_LIMIT).await?)
    }

    /// Resident memory in MiB, by the kernel's account.
    pub(crate) fn resident_mebibytes(&self) -> Result<f64, Error> {
        self.mebibytes("VmRSS:")
    }

    /// The most that was resident since the start, in MiB.
    pub(crate) fn peak_mebibytes(&self) -> Result<f64, Error> {
        self.mebibytes("VmHWM:")
    }

    /// Time of a processor that it took so far, in seconds (proc(5): utime and stime, in ticks).
    pub(crate) fn processor_seconds(&self) -> Result<f64, Error> {
        const TICKS: f64 = 100.0;
        let pid = self.process.identity().pid;
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .map_err(|error| format!("{} ended: {error}", self.process.name()))?;
        // The name in parentheses may hold anything; what follows is numbers.
        let (_, rest) = text.rsplit_once(") ").ok_or("proc stat has no name")?;
        let ticks = rest.split(' ').skip(11).take(2).map(str::parse::<f64>);
        Ok(ticks.sum::<Result<f64, _>>()? / TICKS)
    }

    fn mebibytes(&self, line: &str) -> Result<f64, Error> {
        let pid = self.process.identity().pid;
        let text = std::fs::read_to_string(format!("/proc/{pid}/status"))
            .map_err(|error| format!("{} ended: {error}", self.process.name()))?;
        let found = text.lines().find_map(|text| text.strip_prefix(line));
        let kibibytes: f64 =
            found.and_then(|rest| rest.split_whitespace().next()).unwrap_or_default().parse()?;
        Ok(kibibytes / 1024.0)
    }

    /// The sum of a metric's series on `/metrics`; 0 when it has none yet.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64, Error> {
        let page = probe::get(self.admin, "/metrics").await;
        let (_, page) = page.ok_or_else(|| format!("{} does not answer on /metrics", self.process.name()))?;
        Ok(sum(&page, name))
    }

    /// Waits until the metric has at least this value.
    pub(crate) async fn reaches(&self, name: &str, value: f64) -> Result<(), Error> {
        let reached = || async { self.metric(name).await.ok().filter(|now| *now >= value) };
        let what = format!("{}: {name} at {value}", self.process.name());
        wait_until(SETTLE_LIMIT, &what, reached).await?;
        Ok(())
    }

    /// As [`Service::settled`], however long the work after a burst takes (accounts are made one by one).
    pub(crate) async fn rests(&self, name: &str) -> Result<f64, Error> {
        for _ in 1..PATIENCE {
            if let Ok(value) = self.settled(name).await {
                return Ok(value);
            }
        }
        self.settled(name).await
    }

    /// Waits until the metric has not moved for a while, and gives it.
    pub(crate) async fn settled(&self, name: &str) -> Result<f64, Error> {
        let deadline = tokio::time::Instant::now() + SETTLE_LIMIT;
        let mut last = self.metric(name).await?;
        loop {
            let moved = || async { self.metric(name).await.ok().filter(|now| *now > last) };
            match wait_until(QUIET, "a change of the metric", moved).await {
                Ok(now) => last = now,
                Err(_quiet) => return Ok(last),
            }
            if tokio::time::Instant::now() > deadline {
                return Err(
                    format!("{}: {name} still grows after {SETTLE_LIMIT:?}", self.process.name()).into()
                );
            }
        }
    }
}

/// Adds the values of all series of a metric in Prometheus' text.
fn sum(page: &str, name: &str) -> f64 {
    let series = page.lines().filter_map(|line| line.strip_prefix(name));
    let values = series.filter(|rest| rest.starts_with('{') || rest.starts_with(' '));
    values.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).fold(0.0, |sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_metric_are_added() {
        let page = "# TYPE a_total counter\na_total{x=\"1 2\"} 3\na_total{x=\"2\"} 4\na_total_other 9\na 1\n";
        assert_eq!((sum(page, "a_total"), sum(page, "a"), sum(page, "b")), (7.0, 1.0, 0.0));
    }
}
