//! Level-triggered loops over the Kubernetes API: queue, apply, finalizer, status, outbox.
