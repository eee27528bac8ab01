//! Whether an exemption is in force, on the exemption itself. What it lifts is written into namespaces with
//! the rest of a team; this only says so.

use std::sync::Arc;

use jiff::Timestamp;
use kube::Api;
use mlp_crds::IsolationExemption;
use mlp_reconcile::conditions::{self, Finding, READY};
use mlp_reconcile::{Error, Next, Reconciler, status};

use super::past;
use crate::domain::SERVICE;
use crate::domain::exemption::{Standing, standing};

/// Writes the condition of one exemption at a time.
pub(super) struct ExemptionReconciler {
    exemptions: Api<IsolationExemption>,
}

impl ExemptionReconciler {
    /// Writes through `client`.
    pub(super) fn new(client: kube::Client) -> Self {
        Self { exemptions: Api::all(client) }
    }
}

impl Reconciler<IsolationExemption> for ExemptionReconciler {
    type Error = Error;

    async fn reconcile(&self, exemption: Arc<IsolationExemption>) -> Result<Next, Error> {
        let now = Timestamp::now();
        let standing = standing(&exemption.spec, now);
        let generation = exemption.metadata.generation;
        let mut next = exemption.status.clone().unwrap_or_default();
        next.observed_generation = generation;
        let ready = Finding::new(READY, standing.holds(), standing.reason(), standing.message());
        conditions::set(&mut next.conditions, ready, generation, now);
        status::write(&self.exemptions, SERVICE, exemption, &next).await?;
        Ok(match standing {
            Standing::InForce(end) => Next::After(past(end, now)),
            _ => Next::Done,
        })
    }
}
