//! Supervised tasks: a task that ends before it was told to, or panics, is known by name.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{BoxError, chain};
use crate::readiness::Readiness;

/// What a supervised task may return: nothing, or a result whose error is reported.
pub trait TaskOutcome: Send {
    /// The text of the failure, when it was one.
    fn failure(self) -> Option<String>;
}

impl TaskOutcome for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: Into<BoxError> + Send> TaskOutcome for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| chain(error.into().as_ref()))
    }
}

/// Starts tasks and watches how they end.
#[derive(Clone)]
pub struct Supervisor {
    tasks: TaskTracker,
    stop: CancellationToken,
    readiness: Readiness,
    deaths: mpsc::Sender<String>,
}

impl Supervisor {
    /// Tasks are expected to run until `stop`; the names of those that do not are sent once each.
    pub fn new(stop: CancellationToken, readiness: Readiness) -> (Self, mpsc::Receiver<String>) {
        // One death is enough to end the process; later ones are in the log and in /readyz.
        let (deaths, receiver) = mpsc::channel(1);
        (Self { tasks: TaskTracker::new(), stop, readiness, deaths }, receiver)
    }

    /// A supervisor that reports to the same place, whose tasks end at another token.
    #[must_use]
    pub fn sibling(&self, stop: CancellationToken) -> Self {
        Self { tasks: TaskTracker::new(), stop, ..self.clone() }
    }

    /// Runs `task` until it ends. Ending before the stop token is cancelled is a death, an error or
    /// a panic is one at any time.
    pub fn spawn<F>(&self, name: impl Into<String>, task: F)
    where
        F: Future + Send + 'static,
        F::Output: TaskOutcome,
    {
        let (name, this) = (name.into(), self.clone());
        self.tasks.spawn(async move {
            let problem = match AssertUnwindSafe(task).catch_unwind().await {
                Ok(output) => match output.failure() {
                    Some(error) => Some(format!("failed: {error}")),
                    None if this.stop.is_cancelled() => None,
                    None => Some("ended by itself".to_owned()),
                },
                Err(panic) => Some(format!("panicked: {}", panic_text(panic.as_ref()))),
            };
            if let Some(problem) = problem {
                tracing::error!(task = %name, %problem, "task died");
                this.readiness.fail(format!("task {name}"), problem);
                // Full means that a death is already known.
                let _ = this.deaths.try_send(name);
            }
        });
    }

    /// Waits until all tasks have ended; no more are started after.
    pub async fn joined(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// How many tasks run.
    pub fn running(&self) -> usize {
        self.tasks.len()
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
