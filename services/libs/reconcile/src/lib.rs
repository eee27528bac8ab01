//! Level-triggered loops over the Kubernetes API: queue, apply, finalizer, status, outbox.
//!
//! A [`Controller`] watches one primary kind and any number of secondary ones, keeps a [`queue`] of
//! keys to look at, and calls a [`Reconciler`] for one key at a time. A wake never says what to do:
//! the reconciler reads the object and makes the world agree with it. The class of its error
//! (`mlp_model::Class`) decides when the key is looked at again.
//!
//! Inside a reconcile: [`Applier`] writes owned objects by server-side apply and skips what is
//! already so, [`finalizer`] guards deletion, [`conditions`] and [`status`] say what was found,
//! [`StatusOutbox`] keeps facts until the broker has them, [`Recorder`] tells `kubectl describe`.
//! [`WriteCounter`] proves that a steady state makes no writes, and with it a reconcile that had no
//! [`effect`] leaves no span. Every failed call becomes an [`Error`] that knows its class.

pub mod apply;
pub mod conditions;
pub mod controller;
pub mod effect;
pub mod error;
pub mod finalizer;
#[cfg(test)]
mod fixture;
mod fresh;
mod metrics;
pub mod outbox;
mod pages;
pub mod queue;
pub mod recorder;
pub mod status;
mod subset;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod trace;
pub mod writes;

pub use kube::runtime::reflector::store::{Writer, store};
pub use kube::runtime::reflector::{ObjectRef, Store};
pub use kube::runtime::watcher;

pub use apply::{Applied, Applier, Ownership};
pub use controller::{Controller, Failure, Handle, Next, Object, Options, Outcome, Reconciler, Trigger};
pub use error::Error;
pub use outbox::StatusOutbox;
pub use pages::pages;
pub use queue::Backoff;
pub use recorder::Recorder;
pub use trace::current_traceparent;
pub use writes::WriteCounter;
