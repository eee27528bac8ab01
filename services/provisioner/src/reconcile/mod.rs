//! One look at one request: is its team there, is its password kept, what does the provider say.
//!
//! [`observe`] holds the watch caches, [`secret`] the connection Secret, [`report`] writes status,
//! facts and Events in one place. Databases and Caches go through the same steps; [`Request`] is
//! what tells them apart.

mod observe;
mod report;
mod request;
mod secret;

use std::sync::Arc;
use std::time::Duration;

use kube::{Api, ResourceExt};
use mlp_bus::Relay;
use mlp_crds::cache::{DeletionPolicy, Phase};
use mlp_model::{Class, Classified as _, Environment, OutboxStore as _, labels};
use mlp_reconcile::{Applier, Next, Reconciler, Recorder, StatusOutbox, finalizer};

use crate::domain::SERVICE;
use crate::domain::model::Wish;
use crate::domain::outcome::Outcome;
use crate::domain::plan::State;
use crate::error::Error;
use crate::provider::aws::AwsProvider;
use crate::provider::kubernetes::KubernetesProvider;
use crate::provider::{Provider, drive};

pub use observe::{Caches, watches};
pub use request::Request;

/// A team usually follows within this time, and its fact wakes the request; this is the net below.
const TEAM_AGAIN: Duration = Duration::from_secs(10);
/// The net below the watches while pods come or go.
const PODS_AGAIN: Duration = Duration::from_secs(10);
/// How often a service in AWS that is as asked for is compared again.
const DRIFT_AGAIN: Duration = Duration::from_secs(300);

/// Reasons of a provider that cannot do something now, through no fault of the request.
const DELAYS: [&str; 2] = ["AwsBusy", "AwsCapacity"];

/// The provider of this environment.
pub enum Providers {
    /// Pods.
    Kubernetes(KubernetesProvider),
    /// RDS and ElastiCache.
    Aws(AwsProvider),
}

/// What the reconcilers of both kinds work with.
pub struct Parts {
    /// Client of the API server.
    pub client: kube::Client,
    /// Watch caches of this kind.
    pub caches: Caches,
    /// Who runs services here.
    pub providers: Providers,
    /// Takes facts to the broker.
    pub relay: Relay,
    /// Where the platform runs.
    pub environment: Environment,
    /// How often a service that AWS works on is looked at.
    pub poll: Duration,
}

/// Makes requests of one kind true, one at a time.
pub struct RequestReconciler {
    parts: Parts,
    applier: Applier,
    recorder: Recorder,
}

impl RequestReconciler {
    /// Works with `parts`.
    pub fn new(parts: Parts) -> Self {
        let applier = Applier::new(parts.client.clone(), SERVICE);
        let recorder = Recorder::new(parts.client.clone(), SERVICE);
        Self { parts, applier, recorder }
    }

    /// Makes what is asked for true, as far as it can be now.
    async fn provide<K: Request>(&self, request: &K, wish: &Wish) -> Result<Outcome, Error> {
        let status = request.common_status();
        let begun = !matches!(status.phase, None | Some(Phase::Pending));
        if !begun && let Err(waits) = self.parts.caches.isolated_team(&wish.namespace) {
            return Ok(Outcome::WaitingForTeam(waits));
        }
        let state = match &self.parts.providers {
            Providers::Kubernetes(provider) => self.provide_by(provider, wish).await?,
            Providers::Aws(provider) => self.provide_by(provider, wish).await?,
        };
        Ok(Outcome::Provider(state))
    }

    /// Password first, then the service, then the address into the Secret.
    async fn provide_by<P: Provider>(&self, provider: &P, wish: &Wish) -> Result<State, Error> {
        let known = provider.address(wish);
        let password = self.password(wish, P::NAME, known.as_ref()).await?;
        let state = drive(provider, wish, Some(&password)).await?;
        if let State::Ready(running) | State::Updating(running, _) | State::Simulated(running) = &state {
            self.write_secret(wish, P::NAME, &password, &running.address).await?;
        }
        Ok(state)
    }

    /// Takes away what was made, except what is to be kept.
    async fn remove(&self, wish: &Wish) -> Result<Outcome, Error> {
        if wish.protected {
            return Ok(Outcome::Protected);
        }
        let state = match &self.parts.providers {
            Providers::Kubernetes(provider) => drive(provider, wish, None).await?,
            Providers::Aws(provider) => drive(provider, wish, None).await?,
        };
        if matches!(state, State::Gone { .. }) && wish.deletion == DeletionPolicy::Delete {
            self.delete_secret(wish).await?;
        }
        Ok(Outcome::Provider(state))
    }

    /// When to look again.
    fn next(&self, outcome: &Outcome) -> Next {
        match (outcome, &self.parts.providers) {
            (Outcome::WaitingForTeam(_), _) => Next::After(TEAM_AGAIN),
            (Outcome::Provider(State::Ready(_) | State::Failed { .. }), Providers::Aws(_)) => {
                Next::After(DRIFT_AGAIN)
            }
            (Outcome::Provider(_), Providers::Aws(_)) => Next::After(self.parts.poll),
            (Outcome::Provider(State::Deleting(_)), _) => Next::After(PODS_AGAIN),
            _ => Next::Done,
        }
    }

    /// Hands recorded facts to the broker; done when it has acknowledged and they are trimmed.
    async fn publish<K: Request>(&self, api: &Api<K>, request: &K) -> Result<(), Error> {
        if request.common_status().outbox.pending.is_empty() {
            return Ok(());
        }
        let outbox = StatusOutbox::of(api.clone(), SERVICE, request)?;
        self.parts.relay.flush(&outbox).await?;
        Ok(())
    }

    /// The facts are out and nothing is left: the request may go.
    async fn release<K: Request>(&self, api: &Api<K>, request: &K) -> Result<Next, Error> {
        let name = request.name_any();
        let newest = api.get_opt(&name).await;
        let newest = newest.map_err(|source| {
            mlp_reconcile::Error::of(format!("read {} {name}", K::KIND.as_str()), source)
        })?;
        let Some(newest) = newest else { return Ok(Next::Done) };
        let outbox = StatusOutbox::of(api.clone(), SERVICE, &newest)?;
        if !outbox.pending(1).await?.is_empty() {
            self.parts.relay.flush(&outbox).await?;
            return Ok(Next::After(Duration::from_millis(100)));
        }
        finalizer::remove(api, SERVICE, &newest, &labels::finalizer(SERVICE)).await?;
        Ok(Next::Done)
    }

    async fn look<K: Request>(&self, request: Arc<K>) -> Result<Next, Error> {
        let api = Api::<K>::namespaced(self.parts.client.clone(), &request.namespace().unwrap_or_default());
        let leaving = request.meta().deletion_timestamp.is_some();
        let finalizer = labels::finalizer(SERVICE);
        if leaving && !finalizer::has(&*request, &finalizer) {
            return Ok(Next::Done);
        }
        let request = finalizer::ensure(&api, SERVICE, request, &finalizer).await?;
        let wish = request.wish(self.parts.environment);
        let wish = Wish { payer: self.parts.caches.payer(&wish.namespace), ..wish };
        let looked = if leaving { self.remove(&wish).await } else { self.provide(&*request, &wish).await };
        let (outcome, next) = match looked {
            Ok(outcome) => {
                let next = self.next(&outcome);
                (outcome, next)
            }
            Err(error) => refusal(error)?,
        };
        let request = self.report(&api, request, &wish, &outcome).await?;
        self.publish(&api, &*request).await?;
        match outcome {
            Outcome::Provider(State::Gone { .. }) => self.release(&api, &*request).await,
            _ => Ok(next),
        }
    }
}

/// Errors that belong on the request: what will not pass by itself, and what the provider said.
fn refusal(error: Error) -> Result<(Outcome, Next), Error> {
    let next = match error.class() {
        Class::Waiting(delay) if DELAYS.contains(&error.reason()) => {
            let outcome = Outcome::Delayed { reason: error.reason(), message: error.to_string() };
            return Ok((outcome, Next::After(delay)));
        }
        Class::Terminal => Next::Done,
        Class::Waiting(delay) if error.is_providers() => Next::After(delay),
        _ => return Err(error),
    };
    Ok((Outcome::Refused { reason: error.reason(), message: error.to_string() }, next))
}

impl<K: Request> Reconciler<K> for RequestReconciler {
    type Error = Error;

    async fn reconcile(&self, request: Arc<K>) -> Result<Next, Error> {
        self.look(request).await
    }
}
