//! Hints: what one replica of a service tells the others, at most once.
//!
//! A hint says where to look now and is no fact: it is not stored, and whoever misses it finds the same a little later by
//! looking anyway.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};

use crate::connection::{Bus, REQUEST_TIMEOUT};
use crate::error::{EnsureError, Source};

/// Largest hint in bytes.
pub const LARGEST: usize = 64 * 1024;
/// How long sending one may take.
const SENDING: Duration = REQUEST_TIMEOUT;

impl Bus {
    /// Tells all replicas of a service, this one too.
    ///
    /// # Errors
    /// [`EnsureError::Unavailable`] where the broker is not reached now: nobody was told.
    pub async fn hint(&self, service: &str, hint: Vec<u8>) -> Result<(), EnsureError> {
        let failed =
            |source: Source| EnsureError::Unavailable { what: format!("hints of {service}"), source };
        if hint.len() > LARGEST {
            return Err(failed(format!("larger than {LARGEST} bytes").into()));
        }
        // The client would keep it for a broker that comes back, when nobody waits for it any more.
        if !self.is_connected() {
            return Err(failed("not connected to the broker".into()));
        }
        let sending = async {
            self.client().publish(subject(service), hint.into()).await.map_err(Source::from)?;
            self.client().flush().await.map_err(Source::from)
        };
        match tokio::time::timeout(SENDING, sending).await {
            Ok(sent) => sent.map_err(failed),
            Err(elapsed) => Err(failed(elapsed.into())),
        }
    }

    /// The hints of a service from now on, for as long as the connection lives.
    ///
    /// # Errors
    /// [`EnsureError::Unavailable`] where the connection is closed.
    pub async fn hints(
        &self,
        service: &str,
    ) -> Result<impl Stream<Item = Bytes> + Send + use<>, EnsureError> {
        let failed =
            |source: Source| EnsureError::Unavailable { what: format!("hints of {service}"), source };
        let subscription = self.client().subscribe(subject(service)).await;
        let subscription = subscription.map_err(|error| failed(error.into()))?;
        Ok(subscription.map(|message| message.payload))
    }
}

/// Outside of what streams hold.
fn subject(service: &str) -> String {
    format!("mlp.hint.{service}")
}
