//! Teams over gRPC: [`service`] authorises and calls; [`convert`] holds the translations, [`members`]
//! what members may ask, [`opening`] what they may
//! open, [`review`] plans and compliance, [`reach`] the network.

mod convert;
mod live;
mod members;
mod opening;
mod reach;
mod review;
pub mod service;

use mlp_host::grpc::Identity;
use tonic::{Request, Status};

/// What the API server refused or did not answer, as a caller sees it: the service's own trouble.
fn refused(action: &str, error: &kube::Error) -> Status {
    tracing::warn!(action, %error, "the API server refused a call of ours");
    Status::unavailable(format!("the platform could not {action}; try again in a moment"))
}

/// Who calls.
fn caller<T>(request: &Request<T>) -> Result<Identity, Status> {
    Identity::of(request)
        .cloned()
        .ok_or_else(|| Status::unauthenticated("send a bearer token of the cluster"))
}
