//! What makes a process ready: named checks and the tasks that died.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The checks behind `/readyz` and gRPC health. Clones share their content.
#[derive(Clone)]
pub struct Readiness {
    checks: Arc<Mutex<BTreeMap<String, Check>>>,
    failures: Arc<Mutex<BTreeMap<String, String>>>,
    draining: Arc<watch::Sender<bool>>,
    starting: Arc<AtomicBool>,
}

/// One check's result: its name, and the reason where it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check's or the dead task's name.
    pub name: String,
    /// Why it failed; `None` when it is well.
    pub problem: Option<String>,
}

impl Default for Readiness {
    fn default() -> Self {
        let (draining, _) = watch::channel(false);
        let (checks, failures, starting) = (Arc::default(), Arc::default(), Arc::default());
        Self { checks, failures, draining: Arc::new(draining), starting }
    }
}

impl Readiness {
    /// Adds a check, or replaces the one of that name. It is called on each probe: it must only
    /// look at what is known already, never wait.
    pub fn add(
        &self,
        name: impl Into<String>,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), Arc::new(check));
    }

    /// Records a failure for good: a task that died does not come back.
    pub fn fail(&self, name: impl Into<String>, problem: impl Into<String>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.entry(name.into()).or_insert_with(|| problem.into());
    }

    /// The process is not ready until [`Readiness::set_started`]: its listeners and checks are still to come.
    pub fn set_starting(&self) {
        self.starting.store(true, Ordering::Release);
    }

    /// Whatever the process serves is served from now on.
    pub fn set_started(&self) {
        self.starting.store(false, Ordering::Release);
    }

    /// From now on the process is not ready, so that callers go elsewhere.
    pub fn set_draining(&self) {
        self.draining.send_replace(true);
    }

    /// All checks, in the order of their names.
    pub fn findings(&self) -> Vec<Finding> {
        let checks: Vec<(String, Check)> = {
            let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
            checks.iter().map(|(name, check)| (name.clone(), Arc::clone(check))).collect()
        };
        let mut findings: Vec<Finding> =
            checks.into_iter().map(|(name, check)| Finding { name, problem: check().err() }).collect();
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        findings.extend(
            failures.iter().map(|(name, why)| Finding { name: name.clone(), problem: Some(why.clone()) }),
        );
        if self.starting.load(Ordering::Acquire) {
            findings.push(Finding { name: "start".to_owned(), problem: Some("still starting".to_owned()) });
        }
        if *self.draining.borrow() {
            findings.push(Finding { name: "drain".to_owned(), problem: Some("shutting down".to_owned()) });
        }
        findings
    }

    /// Whether every check passes, no task died and no drain began.
    pub fn is_ready(&self) -> bool {
        self.findings().iter().all(|finding| finding.problem.is_none())
    }
}

/// The text of `/readyz?verbose`, in the manner of the Kubernetes API server.
pub fn verbose(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        // Writing to a String cannot fail.
        let _ = match &finding.problem {
            None => writeln!(text, "[+]{} ok", finding.name),
            Some(problem) => writeln!(text, "[-]{} failed: {problem}", finding.name),
        };
    }
    let failed = findings.iter().any(|finding| finding.problem.is_some());
    text.push_str(if failed { "readyz check failed\n" } else { "readyz check passed\n" });
    text
}
