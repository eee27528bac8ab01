//! What a person sees while something takes time: named steps with their elapsed time.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a step that still runs is reported again.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// One thing to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A step began.
    Started {
        /// What is being done, as a phrase: `building etcd v3.6.4`.
        step: String,
    },
    /// A step still runs.
    Running {
        /// The phrase of [`Event::Started`].
        step: String,
        /// Time since the step began.
        elapsed: Duration,
    },
    /// A step ended well.
    Done {
        /// The phrase of [`Event::Started`].
        step: String,
        /// What the step took.
        elapsed: Duration,
    },
    /// A remark that belongs to no step.
    Note {
        /// The remark.
        text: String,
    },
}

type Show = dyn Fn(&Event) + Send + Sync;

/// Where events go. Cheap to clone; the quiet one drops them.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Show>>);

impl Progress {
    /// Shows nothing.
    #[must_use]
    pub fn quiet() -> Self {
        Self(None)
    }

    /// Calls `show` for each event, in the task that made it.
    pub fn new(show: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(show)))
    }

    /// One line on standard error per heartbeat, finished step and remark; a step shorter than a
    /// heartbeat is one line.
    #[must_use]
    pub fn stderr() -> Self {
        Self::new(|event| match event {
            Event::Started { .. } => {}
            Event::Running { step, elapsed } => eprintln!("  … {step}: {}", human(*elapsed)),
            Event::Done { step, elapsed } => eprintln!("  ✓ {step} ({})", human(*elapsed)),
            Event::Note { text } => eprintln!("  {text}"),
        })
    }

    /// Shows a remark.
    pub fn note(&self, text: impl Into<String>) {
        self.emit(&Event::Note { text: text.into() });
    }

    /// Runs `work` as a step: start, a heartbeat every ten seconds, and the end when it is `Ok`.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn step<T, E>(
        &self,
        step: impl Into<String>,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.step_every(HEARTBEAT, step.into(), work).await
    }

    async fn step_every<T, E>(
        &self,
        heartbeat: Duration,
        step: String,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        self.emit(&Event::Started { step: step.clone() });
        let mut work = std::pin::pin!(work);
        let result = loop {
            match tokio::time::timeout(heartbeat, &mut work).await {
                Ok(result) => break result,
                Err(_) => self.emit(&Event::Running { step: step.clone(), elapsed: begun.elapsed() }),
            }
        };
        if result.is_ok() {
            self.emit(&Event::Done { step, elapsed: begun.elapsed() });
        }
        result
    }

    fn emit(&self, event: &Event) {
        if let Some(show) = &self.0 {
            show(event);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Progress(shown)" } else { "Progress(quiet)" })
    }
}

/// A duration as a person says it: `340 ms`, `6.2 s`, `4 min 20 s`.
#[must_use]
pub fn human(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match seconds {
        0 => format!("{} ms", elapsed.as_millis()),
        1..=59 => format!("{:.1} s", elapsed.as_secs_f64()),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn durations_read_like_speech() {
        assert_eq!(human(Duration::from_millis(340)), "340 ms");
        assert_eq!(human(Duration::from_millis(6_200)), "6.2 s");
        assert_eq!(human(Duration::from_secs(260)), "4 min 20 s");
    }

    #[tokio::test]
    async fn a_long_step_reports_that_it_still_runs() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let enough = Arc::new(tokio::sync::Notify::new());
        let progress = {
            let (seen, enough) = (Arc::clone(&seen), Arc::clone(&enough));
            Progress::new(move |event| {
                let mut seen = seen.lock().unwrap();
                seen.push(event.clone());
                if seen.len() == 3 {
                    enough.notify_one();
                }
            })
        };
        let work = async {
            enough.notified().await;
            Ok::<_, ()>(7)
        };
        assert_eq!(progress.step_every(Duration::from_millis(1), "waiting".into(), work).await, Ok(7));
        let seen = seen.lock().unwrap();
        assert!(matches!(seen[1], Event::Running { .. }) && matches!(seen[2], Event::Running { .. }));
        assert!(matches!(seen.last(), Some(Event::Done { .. })));
    }

    #[tokio::test]
    async fn a_failed_step_is_not_shown_as_done() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let progress = {
            let seen = Arc::clone(&seen);
            Progress::new(move |event| seen.lock().unwrap().push(event.clone()))
        };
        let _ = progress.step("failing", async { Err::<(), _>("no") }).await;
        assert_eq!(*seen.lock().unwrap(), vec![Event::Started { step: "failing".into() }]);
    }
}
