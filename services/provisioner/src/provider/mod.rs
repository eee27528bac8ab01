//! Who runs a store: pods of ours or AWS. The environment alone picks one.
//!
//! The pipeline is the same for both: observe what exists, decide (pure, in `domain`), apply one
//! step at a time. Everything is level-triggered: after a crash, the next observation decides.

pub mod aws;

use std::fmt;
use std::future::Future;

use mlp_model::{Classified, Secret};

use crate::domain::{Plan, Request};

/// Makes requests true in one place.
pub trait Provider: Send + Sync {
    /// What exists there now for one request.
    type Observed: fmt::Debug + Send + Sync;
    /// One call that changes something; its `Display` is fit for a person and holds no secret.
    type Step: fmt::Display + Send + Sync;
    /// Why a call failed; its class decides what the loop does.
    type Error: Classified + Send + Sync + 'static;

    /// The word for `status.provider`.
    fn name(&self) -> &'static str;

    /// Reads what exists for `request`; changes nothing.
    fn observe(
        &self,
        request: &Request,
    ) -> impl Future<Output = Result<Self::Observed, Self::Error>> + Send;

    /// What is to be done. Pure: the same input gives the same plan. An error means that the
    /// request cannot be met here whatever exists.
    fn decide(
        &self,
        request: &Request,
        observed: &Self::Observed,
    ) -> Result<Plan<Self::Step>, Self::Error>;

    /// Does one step. Doing it twice is harmless. `password` is the one already stored in the
    /// connection Secret; only a step that creates needs it.
    fn apply(
        &self,
        request: &Request,
        step: &Self::Step,
        password: &Secret<String>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
