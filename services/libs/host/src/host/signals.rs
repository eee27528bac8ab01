//! SIGTERM and SIGINT: the first begins the drain, the second cuts it short.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two signals. Where a handler cannot be installed, that signal keeps its default action.
pub(super) struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
}

impl Signals {
    /// From here on these signals no longer end the process by themselves.
    pub(super) fn listen() -> Self {
        let listen = |kind| signal(kind).ok();
        Self { terminate: listen(SignalKind::terminate()), interrupt: listen(SignalKind::interrupt()) }
    }

    /// Cancels `first` at the first signal and `second` at the next.
    pub(super) async fn pass_on(mut self, first: CancellationToken, second: CancellationToken) {
        let name = self.next().await;
        tracing::info!(signal = name, "asked to end");
        first.cancel();
        let name = self.next().await;
        tracing::warn!(signal = name, "asked to end again, hurrying");
        second.cancel();
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            () = received(self.terminate.as_mut()) => "SIGTERM",
            () = received(self.interrupt.as_mut()) => "SIGINT",
        }
    }
}

async fn received(signal: Option<&mut Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}
