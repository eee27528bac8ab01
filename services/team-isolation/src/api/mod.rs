//! Teams over gRPC: [`service`] authorises and calls; [`convert`] holds the translations, [`members`]
//! what members may ask, [`review`] plans and compliance, [`reach`] the network.

mod convert;
mod live;
mod members;
mod reach;
mod review;
pub mod service;

use tonic::Status;

/// What the API server refused or did not answer, as a caller sees it: the service's own trouble.
fn refused(action: &str, error: &kube::Error) -> Status {
    tracing::warn!(action, %error, "the API server refused a call of ours");
    Status::unavailable(format!("the platform could not {action}; try again in a moment"))
}
