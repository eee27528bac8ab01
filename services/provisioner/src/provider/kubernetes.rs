//! Services as pods. Looking costs no call: the watches show it.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use mlp_model::Secret;
use mlp_reconcile::controller::Object as Kubernetes;
use mlp_reconcile::{Applier, Error as CallError, ObjectRef, Store};

use super::Provider;
use crate::domain::SERVICE;
use crate::domain::binding::Address;
use crate::domain::kubernetes::{self as rules, Images, Observed, Step};
use crate::domain::model::{ProviderName, Wish};
use crate::domain::plan::Plan;
use crate::error::Error;
use crate::reconcile::Caches;

/// Runs services as pods in the namespace of the request.
pub struct KubernetesProvider {
    applier: Applier,
    images: Images,
    caches: Caches,
}

impl KubernetesProvider {
    /// Works through `client` on what `caches` show.
    pub fn new(client: kube::Client, images: Images, caches: Caches) -> Self {
        let applier = Applier::new(client, SERVICE);
        Self { applier, images, caches }
    }

    async fn apply_with_cache<K>(&self, store: &Store<K>, desired: &K) -> Result<(), Error>
    where
        K: Kubernetes<DynamicType = ()>,
    {
        let live = store.get(&ObjectRef::from_obj(desired));
        self.applier.apply_with_live(live.as_deref(), desired).await?;
        Ok(())
    }

    async fn delete<K>(&self, namespace: &str, name: &str) -> Result<(), Error>
    where
        K: Kubernetes<DynamicType = ()>,
    {
        match self.applier.delete::<K>(Some(namespace), name).await {
            // What somebody else made under our name was never the request's, and stays.
            Ok(_) | Err(CallError::OwnedByAnother { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Provider for KubernetesProvider {
    type Observed = Observed;
    type Step = Step;
    const NAME: ProviderName = ProviderName::Kubernetes;

    fn address(&self, wish: &Wish) -> Option<Address> {
        Some(rules::address(wish))
    }

    async fn observe(&self, wish: &Wish) -> Result<Observed, Error> {
        Ok(self.caches.observed(wish))
    }

    fn plan(&self, wish: &Wish, observed: &Observed) -> Plan<Step> {
        rules::plan(wish, &self.images, observed)
    }

    fn plan_removal(&self, wish: &Wish, observed: &Observed) -> Plan<Step> {
        rules::plan_removal(wish, observed)
    }

    async fn apply(
        &self,
        wish: &Wish,
        _observed: &Observed,
        step: &Step,
        _password: Option<&Secret<String>>,
    ) -> Result<(), Error> {
        let (namespace, name) = (wish.namespace.as_str(), wish.full_name());
        match step {
            Step::Apply(objects) => {
                self.apply_with_cache(&self.caches.services, &objects.headless).await?;
                self.apply_with_cache(&self.caches.services, &objects.service).await?;
                self.apply_with_cache(&self.caches.sets, &objects.set).await?;
                if let Some(claim) = &objects.claim {
                    self.apply_with_cache(&self.caches.claims, claim).await?;
                }
            }
            Step::DeleteWorkload => {
                self.delete::<StatefulSet>(namespace, &name).await?;
                self.delete::<Service>(namespace, &name).await?;
                self.delete::<Service>(namespace, &format!("{name}-pods")).await?;
            }
            Step::DeleteData => {
                self.delete::<PersistentVolumeClaim>(namespace, &rules::claim_name(wish)).await?;
            }
        }
        Ok(())
    }
}
