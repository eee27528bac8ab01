//! The way out: with Argo CD's finalizer, the objects go before the Application does; without it
//! they stay as they are.

use std::sync::Arc;
use std::time::Duration;

use kube::{Api, ResourceExt};
use mlp_crds::{Application, ApplicationRecord};
use mlp_model::OutboxStore as _;
use mlp_reconcile::{Next, ObjectRef, StatusOutbox, finalizer};

use super::ApplicationReconciler;
use crate::domain::SERVICE;
use crate::domain::identity::{Owner, owner};
use crate::domain::object_options::ObjectOptions;
use crate::domain::picture::Extra;
use crate::domain::request::Propagation;
use crate::error::Error;

/// Argo CD's finalizers, each with what it does to dependents.
const FINALIZERS: [(&str, Propagation); 3] = [
    ("resources-finalizer.argocd.argoproj.io", Propagation::Foreground),
    ("resources-finalizer.argocd.argoproj.io/foreground", Propagation::Foreground),
    ("resources-finalizer.argocd.argoproj.io/background", Propagation::Background),
];
/// When deletions under way are looked at again; watches are usually quicker.
const AGAIN: Duration = Duration::from_secs(3);

impl ApplicationReconciler {
    /// Deletes what the Application tracks, then lets it go.
    pub(super) async fn remove(&self, application: Arc<Application>) -> Result<Next, Error> {
        let held = FINALIZERS.iter().find(|(name, _)| finalizer::has(&*application, name));
        let Some((name, propagation)) = held else { return Ok(Next::Done) };
        let instance = self.instance(&application);
        let mut gaps = Vec::new();
        let live = self.live(&application, &[], false, &mut gaps).await?;
        let mut left = 0_usize;
        for (id, object) in live {
            // Options that cannot be read may say Delete=false.
            let Ok(options) = ObjectOptions::read(&object) else {
                tracing::warn!(object = %id, "sync options are not readable, the object is kept");
                continue;
            };
            if owner(&object) != Owner::Instance(instance.clone()) || !options.delete {
                continue;
            }
            left += 1;
            if object.pointer("/metadata/deletionTimestamp").is_none() {
                let extra = Extra { id, options, deleting: false, health: None };
                self.delete(&extra, *propagation).await?;
            }
        }
        if left > 0 || !gaps.is_empty() {
            tracing::info!(left, gaps = gaps.len(), "objects of a deleted application are still there");
            return Ok(Next::After(AGAIN));
        }
        finalizer::remove(&self.namespaced(&application), SERVICE, &application, name).await?;
        Ok(Next::Done)
    }

    /// Publishes what is left to say and removes the records of Applications that are gone; `keep` is
    /// the uid of the one that lives under the key now.
    pub(super) async fn drop_records(
        &self,
        key: &ObjectRef<Application>,
        keep: Option<&str>,
    ) -> Result<(), Error> {
        let namespace = key.namespace.clone().unwrap_or_default();
        let stale = self.caches.records.state_filter(|record| {
            record.namespace().as_deref() == Some(&namespace)
                && record.spec.name == key.name
                && Some(record.spec.uid.as_str()) != keep
        });
        let api = Api::<ApplicationRecord>::namespaced(self.client.clone(), &namespace);
        for record in stale {
            let name = record.name_any();
            // The cache may not show an Application (yet); its record is not lost for that.
            let applications = Api::<Application>::namespaced(self.client.clone(), &namespace);
            let owner = applications.get_opt(&key.name).await;
            let owner =
                owner.map_err(|source| Error::call(format!("look for Application {}", key.name), source))?;
            if owner.and_then(|application| application.uid()).as_deref() == Some(record.spec.uid.as_str()) {
                continue;
            }
            self.published.forget(&record.spec.uid);
            let outbox = StatusOutbox::new(api.clone(), SERVICE, &name);
            match outbox.pending(1).await {
                Ok(pending) if pending.is_empty() => {}
                Ok(_) => {
                    self.relay.flush(&outbox).await?;
                }
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
            }
            match api.delete(&name, &Default::default()).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(source) => return Err(Error::call(format!("delete ApplicationRecord {name}"), source)),
            }
        }
        Ok(())
    }

    pub(super) fn namespaced(&self, application: &Application) -> Api<Application> {
        Api::namespaced(self.client.clone(), &application.namespace().unwrap_or_default())
    }
}
