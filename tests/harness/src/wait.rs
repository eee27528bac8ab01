//! Waiting for a condition with a limit; never a bare sleep.

use std::fmt;
use std::future::Future;
use std::time::Duration;

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// A condition was not met in time.
#[derive(Debug)]
pub struct TimedOut {
    what: String,
    limit: Duration,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} did not happen within {:?}", self.what, self.limit)
    }
}

impl std::error::Error for TimedOut {}

/// Looks every 20 ms until `condition` gives a value, and gives that value. One look that hangs
/// is cut off at the limit too.
///
/// # Errors
/// The limit passed; the message says what was waited for.
pub async fn wait_until<T, F>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) -> Result<T, TimedOut>
where
    F: Future<Output = Option<T>>,
{
    let look = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(limit, look).await.map_err(|_| TimedOut { what: what.into(), limit })
}
