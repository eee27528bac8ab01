//! The connection Secret: its password is made once and kept before anything is made with it.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use kube::Api;
use kube::api::PostParams;
use mlp_model::{Secret, labels};
use mlp_reconcile::{Error as CallError, ObjectRef};
use rand::Rng as _;
use rand::distr::Alphanumeric;

use super::RequestReconciler;
use crate::domain::SERVICE;
use crate::domain::binding::{self, Address};
use crate::domain::model::{ProviderName, Wish};
use crate::error::Error;

/// Letters and digits only: RDS and ElastiCache refuse others, and a URI would have to escape them.
/// 32 of them are 190 bits.
const PASSWORD_LENGTH: usize = 32;

impl RequestReconciler {
    /// The password of a request: the one in its Secret, or a new one, kept before it is returned.
    pub(super) async fn password(
        &self,
        wish: &Wish,
        provider: ProviderName,
        known: Option<&Address>,
    ) -> Result<Secret<String>, Error> {
        if let Some(password) = self.cached_secret(wish).as_deref().and_then(binding::password_of) {
            return Ok(password);
        }
        let action = || format!("keep the password of {} in Secret {}", wish.path(), wish.full_name());
        let api = self.secrets(wish);
        let generated = generate();
        let desired = binding::secret(wish, provider, &generated, known);
        let params = PostParams { field_manager: Some(SERVICE.to_owned()), ..PostParams::default() };
        match api.create(&params, &desired).await.map_err(|source| CallError::of(action(), source)) {
            Ok(_) => Ok(generated),
            // Made by an earlier look whose Secret the cache does not show yet, or kept from before.
            Err(error) if error.is_conflict() => {
                let found =
                    api.get(&wish.full_name()).await.map_err(|source| CallError::of(action(), source))?;
                ours(&found, action())?;
                Ok(binding::password_of(&found)
                    .ok_or(CallError::Incomplete { action: action(), field: "data.password" })?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Completes the Secret; no call where it says so already.
    pub(super) async fn write_secret(
        &self,
        wish: &Wish,
        provider: ProviderName,
        password: &Secret<String>,
        address: &Address,
    ) -> Result<(), Error> {
        let desired = binding::secret(wish, provider, password, Some(address));
        let live = self.cached_secret(wish);
        let complete = live.as_ref().is_some_and(|live| live.data == desired.data);
        if !complete {
            self.applier.apply_with_live(live.as_deref(), &desired).await?;
        }
        Ok(())
    }

    /// Deletes the Secret of the request; one that is gone, or never was ours, counts as done.
    pub(super) async fn delete_secret(&self, wish: &Wish) -> Result<(), Error> {
        let deleted = self.applier.delete::<KubernetesSecret>(Some(&wish.namespace), &wish.full_name()).await;
        match deleted {
            // A Secret of somebody else under that name was never the request's.
            Ok(_) | Err(CallError::OwnedByAnother { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn secrets(&self, wish: &Wish) -> Api<KubernetesSecret> {
        Api::namespaced(self.parts.client.clone(), &wish.namespace)
    }

    fn cached_secret(&self, wish: &Wish) -> Option<Arc<KubernetesSecret>> {
        self.parts.caches.secrets.get(&ObjectRef::new(&wish.full_name()).within(&wish.namespace))
    }
}

/// Refuses a Secret of that name that somebody else made.
fn ours(found: &KubernetesSecret, action: String) -> Result<(), CallError> {
    let manager = found.metadata.labels.as_ref().and_then(|all| all.get(labels::MANAGED_BY));
    if manager.is_some_and(|manager| manager == SERVICE) {
        return Ok(());
    }
    let owner = manager.cloned().unwrap_or_else(|| "somebody outside the platform".to_owned());
    Err(CallError::OwnedByAnother { action, owner, label: format!("{}={SERVICE}", labels::MANAGED_BY) })
}

fn generate() -> Secret<String> {
    let letters = rand::rng().sample_iter(Alphanumeric).take(PASSWORD_LENGTH);
    Secret::new(letters.map(char::from).collect())
}
