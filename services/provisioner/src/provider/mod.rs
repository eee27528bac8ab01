//! Who runs a service: observe, plan, apply.
//!
//! A plan is a printable value made by the pure domain; a provider only looks and calls. Which one
//! it is follows from the environment alone (`domain::model::ProviderName::of`).

use std::fmt::Display;
use std::future::Future;

use mlp_model::Secret;

use crate::domain::binding::Address;
use crate::domain::model::{ProviderName, Wish};
use crate::domain::plan::{Plan, State};
use crate::error::Error;

pub mod aws;
pub mod kubernetes;

/// Runs databases and caches.
pub trait Provider: Send + Sync {
    /// What it shows of a request.
    type Observed: Send + Sync;
    /// One call that it can make.
    type Step: Display + Send + Sync;

    /// Its name in status, Secret and facts.
    const NAME: ProviderName;

    /// The address of a service where it is known before the service is made.
    fn address(&self, wish: &Wish) -> Option<Address>;

    /// Looks, and changes nothing.
    fn observe(&self, wish: &Wish) -> impl Future<Output = Result<Self::Observed, Error>> + Send;

    /// What is left to do for a request that stays; pure.
    fn plan(&self, wish: &Wish, observed: &Self::Observed) -> Plan<Self::Step>;

    /// What is left to do for a request that goes; pure.
    fn plan_removal(&self, wish: &Wish, observed: &Self::Observed) -> Plan<Self::Step>;

    /// Makes one call. Making it again is harmless.
    fn apply(
        &self,
        wish: &Wish,
        observed: &Self::Observed,
        step: &Self::Step,
        password: Option<&Secret<String>>,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Observes, plans and applies once; says what the provider said.
///
/// `password` is there for a request that stays and absent for one that goes: the way out needs
/// nothing that a namespace on its way out may have lost.
///
/// # Errors
/// Any [`Error`] of a call; the steps before it are done, and the next look goes on from there.
pub async fn drive<P: Provider>(
    provider: &P,
    wish: &Wish,
    password: Option<&Secret<String>>,
) -> Result<State, Error> {
    let observed = provider.observe(wish).await?;
    let plan = match password {
        Some(_) => provider.plan(wish, &observed),
        None => provider.plan_removal(wish, &observed),
    };
    for step in &plan.steps {
        tracing::debug!(%step, "next step");
        provider.apply(wish, &observed, step, password).await?;
    }
    Ok(plan.state)
}
