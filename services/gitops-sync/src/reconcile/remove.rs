//! The way out: with Argo CD's finalizer, the objects go before the Application does; without it
//! they stay as they are.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::{Api, ResourceExt};
use mlp_crds::argocd::{ApplicationCondition, ApplicationStatus};
use mlp_crds::{Application, ApplicationRecord};
use mlp_model::OutboxStore as _;
use mlp_reconcile::{Next, ObjectRef, StatusOutbox, finalizer, status};

use super::{AT_ONCE, ApplicationReconciler};
use crate::domain::SERVICE;
use crate::domain::consent::{self, Consent};
use crate::domain::hook::Phase;
use crate::domain::identity::{Owner, owner};
use crate::domain::object_options::ObjectOptions;
use crate::domain::operation;
use crate::domain::picture::Extra;
use crate::domain::request::{Propagation, deletion};
use crate::error::Error;

/// Argo CD's finalizers, each with what it does to dependents.
const FINALIZERS: [(&str, Propagation); 3] = [
    ("resources-finalizer.argocd.argoproj.io", Propagation::Foreground),
    ("resources-finalizer.argocd.argoproj.io/foreground", Propagation::Foreground),
    ("resources-finalizer.argocd.argoproj.io/background", Propagation::Background),
];
/// Condition type for what holds up the end of an Application.
const DELETION: &str = "DeletionError";
/// When deletions under way are looked at again; watches are usually quicker.
pub(super) const AGAIN: Duration = Duration::from_secs(3);

impl ApplicationReconciler {
    /// Runs the hooks before, deletes what the Application tracks, runs the hooks after, then lets it go.
    pub(super) async fn remove(&self, application: Arc<Application>) -> Result<Next, Error> {
        if let Some(next) = self.end_with(&application, Phase::PreDelete).await? {
            return Ok(next);
        }
        let held = FINALIZERS.iter().find(|(name, _)| finalizer::has(&*application, name));
        let Some((name, propagation)) = held else {
            return Ok(self.end_with(&application, Phase::PostDelete).await?.unwrap_or(Next::Done));
        };
        let instance = self.instance(&application);
        let mut gaps = Vec::new();
        let live = self.live(&application, &[], false, &mut gaps).await?;
        let of_all = application.spec.sync_policy.as_ref().map(|policy| deletion(&policy.sync_options));
        let mut going = Vec::new();
        for (id, object) in live {
            // Options that cannot be read may say Delete=false.
            let Ok(options) = ObjectOptions::read(&object) else {
                tracing::warn!(object = %id, "sync options are not readable, the object is kept");
                continue;
            };
            let consent = options.delete.max(of_all.unwrap_or_default());
            if owner(&object) == Owner::Instance(instance.clone()) && consent != Consent::Withheld {
                let deleting = object.pointer("/metadata/deletionTimestamp").is_some();
                going.push((consent, Extra { id, options, deleting, health: None }));
            }
        }
        // What was not listed may be what asks.
        let gap = gaps.first().map(|gap| format!("waiting: what is live is not known: {gap}"));
        if let Some(message) = gap.or_else(|| unconfirmed(&application, &going)) {
            self.say_what_is_waited_for(application, message).await?;
            return Ok(Next::After(AGAIN));
        }
        for (_, extra) in going.iter().filter(|(_, extra)| !extra.deleting) {
            self.delete(extra, *propagation).await?;
        }
        if !going.is_empty() {
            tracing::info!(left = going.len(), "objects of a deleted application are still there");
            let said = application.status.iter().flat_map(|status| &status.conditions);
            if said.clone().any(|one| one.type_ == DELETION) {
                let message = "waiting for what is being deleted to be gone".to_owned();
                self.say_what_is_waited_for(application, message).await?;
            }
            return Ok(Next::After(AGAIN));
        }
        finalizer::remove(&self.namespaced(&application), SERVICE, &application, name).await?;
        Ok(Next::After(AT_ONCE))
    }

    /// Says why the way out does not go on.
    pub(super) async fn say_what_is_waited_for(
        &self,
        application: Arc<Application>,
        message: String,
    ) -> Result<(), Error> {
        let mut next = application.status.clone().unwrap_or_default();
        wait_for(&mut next, message);
        status::write(&self.namespaced(&application), SERVICE, application, &next).await?;
        Ok(())
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
            self.contents.forget(&record.spec.uid);
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

/// Notes what the way out waits for.
pub(super) fn wait_for(status: &mut ApplicationStatus, message: String) {
    if status.conditions.iter().any(|one| one.type_ == DELETION && one.message == message) {
        return;
    }
    let last_transition_time = Some(operation::seconds(Timestamp::now()));
    status.conditions.retain(|one| one.type_ != DELETION);
    status.conditions.push(ApplicationCondition { type_: DELETION.into(), message, last_transition_time });
}

/// What a person has yet to agree to before anything is deleted.
fn unconfirmed(application: &Application, going: &[(Consent, Extra)]) -> Option<String> {
    let since = application.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    let approved = consent::is_approved(application.annotations(), since);
    let asking = going.iter().filter(|(consent, extra)| !consent.holds(approved) && !extra.deleting);
    let asking: Vec<_> = asking.map(|(_, extra)| extra.id.to_string()).collect();
    consent::request(&asking, &since.map(operation::seconds).unwrap_or_default())
}
