//! Whether the classes and pools that a declaration names exist. A misspelt one would only show when a
//! pod or claim waits for ever.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, ListParams};
use kube::core::ClusterResourceScope;
use kube::{Client, Resource};
use mlp_reconcile::Error as CallError;
use mlp_reconcile::controller::Object as Kubernetes;

use super::TeamReconciler;
use crate::domain::admission::POOL;
use crate::domain::model::DeclaredTeam;

/// How long an answer is good for.
const GOOD_FOR: Duration = Duration::from_secs(600);

/// What was found for one generation of a team.
struct Answer {
    generation: i64,
    at: Instant,
    missing: Vec<String>,
}

/// Answers by team.
#[derive(Default)]
pub(super) struct References(Mutex<HashMap<String, Answer>>);

impl References {
    fn known(&self, team: &DeclaredTeam) -> Option<Vec<String>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = known.get(team.name.as_str())?;
        (answer.generation == team.generation && answer.at.elapsed() < GOOD_FOR)
            .then(|| answer.missing.clone())
    }

    fn note(&self, team: &DeclaredTeam, missing: &[String]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = Answer { generation: team.generation, at: Instant::now(), missing: missing.to_vec() };
        known.insert(team.name.to_string(), answer);
    }

    /// Forgets a team that is gone.
    pub(super) fn forget(&self, team: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(team);
    }
}

impl TeamReconciler {
    /// Paths of the declaration with names that nothing has. A team that names nothing costs no call.
    pub(super) async fn missing_references(&self, team: &DeclaredTeam) -> Result<Vec<String>, CallError> {
        if let Some(missing) = self.references.known(team) {
            return Ok(missing);
        }
        let mut missing = Vec::new();
        let policy = &team.policy;
        for name in &policy.storage_classes {
            absent::<StorageClass>(&self.client, "spec.policy.storageClasses", name, &mut missing).await?;
        }
        for class in &policy.priority_classes {
            absent::<PriorityClass>(&self.client, "spec.policy.priorityClasses", &class.name, &mut missing)
                .await?;
        }
        if !team.ingress.hosts.is_empty() {
            for name in &team.ingress.classes {
                absent::<IngressClass>(&self.client, "spec.ingress.classes", name, &mut missing).await?;
            }
        }
        for pool in &team.scheduling.node_pools {
            let wanted = ListParams::default().labels(&format!("{POOL}={pool}")).limit(1);
            let found = Api::<Node>::all(self.client.clone()).list_metadata(&wanted).await;
            let found =
                found.map_err(|source| CallError::of(format!("look for nodes of pool {pool}"), source))?;
            if found.items.is_empty() {
                missing.push(format!("spec.scheduling.nodePools: no node is of pool {pool}"));
            }
        }
        self.references.note(team, &missing);
        Ok(missing)
    }
}

async fn absent<K>(
    client: &Client,
    path: &str,
    name: &str,
    missing: &mut Vec<String>,
) -> Result<(), CallError>
where
    K: Kubernetes + Resource<Scope = ClusterResourceScope, DynamicType = ()>,
{
    let kind = K::kind(&());
    let found = Api::<K>::all(client.clone()).get_metadata_opt(name).await;
    let found = found.map_err(|source| CallError::of(format!("look for {kind} {name}"), source))?;
    if found.is_none() {
        missing.push(format!("{path}: there is no {kind} {name}"));
    }
    Ok(())
}
