//! Rules before a sync: which of them an Application's manifests break, and the state of exemptions from them.

use std::sync::Arc;

use jiff::Timestamp;
use kube::{Api, ResourceExt as _};
use mlp_crds::{Application, PolicyExemption, PolicyExemptionSpec};
use mlp_reconcile::conditions::{Finding as Condition, READY};
use mlp_reconcile::{Next, ObjectRef, Reconciler, conditions, status};
use serde_json::Value;

use super::render::Desired;
use super::{ApplicationReconciler, until};
use crate::domain::SERVICE;
use crate::domain::identity::{ObjectId, Owner, owner};
use crate::domain::policy::{self, Asker, Demands, Finding, Judged, Verdict};
use crate::error::Error;

impl ApplicationReconciler {
    /// Rules that what is wanted breaks, but for those that are lifted.
    pub(super) fn findings<'a>(
        &self,
        application: &Application,
        all: impl Iterator<Item = &'a Desired>,
    ) -> Vec<Finding> {
        let objects: Vec<Judged<'_>> = all
            .map(|one| Judged { id: &one.id, object: &one.object, file: &one.file, line: one.line })
            .collect();
        self.judge(application, &objects)
    }

    /// The findings for which a sync does not begin, and the others. A rule that a live object of the Application breaks already is no
    /// reason: a sync that leaves it so brings nothing new.
    pub(super) fn barring<'a>(
        &self,
        application: &Application,
        findings: &'a [Finding],
        live: &[(ObjectId, Value)],
    ) -> (Vec<&'a Finding>, Vec<&'a Finding>) {
        if findings.iter().all(|finding| finding.verdict != Verdict::Deny) {
            return (Vec::new(), findings.iter().collect());
        }
        let instance = Owner::Instance(self.instance(application));
        let ours = live.iter().filter(|(_, object)| owner(object) == instance);
        let objects: Vec<Judged<'_>> =
            ours.map(|(id, object)| Judged { id, object, file: "", line: 0 }).collect();
        let standing = self.judge(application, &objects);
        findings.iter().partition(|finding| finding.is_barring(&standing))
    }

    fn judge(&self, application: &Application, objects: &[Judged<'_>]) -> Vec<Finding> {
        let now = Timestamp::now();
        let exemptions = self.caches.exemptions.state_filter(|one| policy::misnamed(&one.spec).is_none());
        let exemptions: Vec<&PolicyExemptionSpec> = exemptions.iter().map(|one| &one.spec).collect();
        let (namespace, name) = (application.namespace().unwrap_or_default(), application.name_any());
        let asker = Asker { application: (&namespace, &name), exemptions: &exemptions, now };
        policy::judge(asker, objects, |namespace| {
            let namespace = self.caches.namespaces.get(&ObjectRef::new(namespace))?;
            Demands::of(namespace.labels(), namespace.annotations(), now)
        })
    }
}

/// Says of each exemption whether it is in force.
pub struct ExemptionReconciler {
    client: kube::Client,
}

impl ExemptionReconciler {
    /// A reconciler that writes through `client`.
    pub const fn new(client: kube::Client) -> Self {
        Self { client }
    }
}

impl Reconciler<PolicyExemption> for ExemptionReconciler {
    type Error = Error;

    async fn reconcile(&self, exemption: Arc<PolicyExemption>) -> Result<Next, Error> {
        let now = Timestamp::now();
        let end = exemption.spec.expires.parse::<Timestamp>();
        let (holds, reason, message, next) = match (policy::misnamed(&exemption.spec), end) {
            (Some(wrong), _) => (false, "InvalidRule", wrong, Next::Done),
            (None, Err(_)) => {
                (false, "InvalidTime", "spec.expires: is no moment of the calendar".to_owned(), Next::Done)
            }
            (None, Ok(end)) if end <= now => {
                (false, "Expired", format!("ended at {end}; delete it"), Next::Done)
            }
            (None, Ok(end)) => (true, "InForce", format!("lifted until {end}"), Next::After(until(end, now))),
        };
        let mut said = exemption.status.clone().unwrap_or_default();
        let generation = exemption.metadata.generation;
        conditions::set(&mut said.conditions, Condition::new(READY, holds, reason, message), generation, now);
        said.observed_generation = generation;
        let api = Api::<PolicyExemption>::all(self.client.clone());
        status::write(&api, SERVICE, exemption, &said).await?;
        Ok(next)
    }
}
