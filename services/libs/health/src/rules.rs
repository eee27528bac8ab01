//! Health of one live object, by the rules that Argo CD has built in.
//!
//! A kind that keeps no status has no health and lowers nothing. A kind that keeps a status which no
//! rule reads is Unknown, never Healthy by absence.

mod conditions;
mod workloads;

use serde_json::Value;

/// Health, best first; the worst of all objects is the Application's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// As it should be.
    Healthy,
    /// Stopped on purpose.
    Suspended,
    /// On its way.
    Progressing,
    /// Not there.
    Missing,
    /// Failed.
    Degraded,
    /// Cannot be told.
    Unknown,
}

impl Level {
    /// The level of a word that Argo CD writes.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Healthy, Self::Suspended, Self::Progressing, Self::Missing, Self::Degraded, Self::Unknown]
            .into_iter()
            .find(|level| level.as_str() == word)
    }

    /// The word that Argo CD writes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Suspended => "Suspended",
            Self::Progressing => "Progressing",
            Self::Missing => "Missing",
            Self::Degraded => "Degraded",
            Self::Unknown => "Unknown",
        }
    }
}

/// Health of one object, with the reason where it is not healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// How it is.
    pub level: Level,
    /// Why, in words; empty where there is nothing to say.
    pub message: String,
}

impl Health {
    /// A health with a reason.
    pub fn new(level: Level, message: impl Into<String>) -> Self {
        Self { level, message: message.into() }
    }

    fn healthy() -> Self {
        Self::new(Level::Healthy, "")
    }
}

/// Built-in kinds that keep no status worth reading, by (group, kind).
const STATELESS: [(&str, &str); 20] = [
    ("", "ConfigMap"),
    ("", "Secret"),
    ("", "ServiceAccount"),
    ("", "ResourceQuota"),
    ("", "LimitRange"),
    ("", "Endpoints"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("networking.k8s.io", "IngressClass"),
    ("policy", "PodDisruptionBudget"),
    ("batch", "CronJob"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("storage.k8s.io", "StorageClass"),
    ("coordination.k8s.io", "Lease"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("argoproj.io", "AppProject"),
];

/// Whether a live object is on its way out, or asks not to be looked at: no script is asked then.
pub(crate) fn decides_before_scripts(live: &Value) -> bool {
    live.pointer("/metadata/deletionTimestamp").is_some() || is_ignored(live)
}

fn is_ignored(live: &Value) -> bool {
    let annotation = live
        .pointer("/metadata/annotations")
        .and_then(|all| all.get("argocd.argoproj.io/ignore-healthcheck"));
    annotation.and_then(Value::as_str) == Some("true")
}

/// Health of a live object of a kind; none where the kind has none.
pub fn of(group: &str, kind: &str, live: &Value) -> Option<Health> {
    if live.pointer("/metadata/deletionTimestamp").is_some() {
        return Some(Health::new(Level::Progressing, "Pending deletion"));
    }
    if is_ignored(live) {
        return None;
    }
    let key = (group, kind);
    if STATELESS.contains(&key) {
        return None;
    }
    Some(match key {
        ("apps", "Deployment") => workloads::deployment(live),
        ("apps", "StatefulSet") => workloads::stateful_set(live),
        ("apps", "DaemonSet") => workloads::daemon_set(live),
        ("apps", "ReplicaSet") => workloads::replica_set(live),
        ("", "Pod") => workloads::pod(live),
        ("batch", "Job") => workloads::job(live),
        ("", "Service") => service(live),
        ("networking.k8s.io", "Ingress") => ingress(live),
        ("", "PersistentVolumeClaim") => claim(live),
        ("", "Namespace") => namespace(live),
        ("argoproj.io", "Workflow") => workflow(live),
        ("argoproj.io", "Application") => return child_application(live),
        _ => return conditions::generic(live),
    })
}

/// The worst of the objects' healths; Missing where objects are wanted and none is live.
pub fn worst<'a>(all: impl Iterator<Item = Option<&'a Health>>, live: usize, wanted: usize) -> Level {
    let worst = all
        .flatten()
        // A missing object shows as OutOfSync; it lowers the whole only where nothing is live.
        .filter(|health| health.level != Level::Missing)
        .map(|health| health.level)
        .max();
    if live == 0 && wanted > 0 { Level::Missing } else { worst.unwrap_or(Level::Healthy) }
}

fn number(live: &Value, pointer: &str) -> i64 {
    live.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

fn text<'a>(live: &'a Value, pointer: &str) -> &'a str {
    live.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn has_address(live: &Value) -> bool {
    live.pointer("/status/loadBalancer/ingress").and_then(Value::as_array).is_some_and(|all| !all.is_empty())
}

fn service(live: &Value) -> Health {
    if text(live, "/spec/type") != "LoadBalancer" || has_address(live) {
        return Health::healthy();
    }
    Health::new(Level::Progressing, "waiting for an address of the load balancer")
}

fn ingress(live: &Value) -> Health {
    if has_address(live) {
        Health::healthy()
    } else {
        Health::new(Level::Progressing, "waiting for an address")
    }
}

fn claim(live: &Value) -> Health {
    match text(live, "/status/phase") {
        "Bound" => Health::healthy(),
        "Lost" => Health::new(Level::Degraded, "the volume is lost"),
        _ => Health::new(Level::Progressing, "waiting for a volume"),
    }
}

fn namespace(live: &Value) -> Health {
    match text(live, "/status/phase") {
        "Active" => Health::healthy(),
        other => Health::new(Level::Progressing, format!("the namespace is {other}")),
    }
}

fn workflow(live: &Value) -> Health {
    let message = text(live, "/status/message");
    match text(live, "/status/phase") {
        "Succeeded" => Health::new(Level::Healthy, message),
        "Failed" | "Error" => Health::new(Level::Degraded, message),
        _ => Health::new(Level::Progressing, message),
    }
}

/// A child that is Missing or Unknown says nothing about its parent.
fn child_application(live: &Value) -> Option<Health> {
    let level = match text(live, "/status/health/status") {
        "Healthy" => Level::Healthy,
        "Suspended" => Level::Suspended,
        "Progressing" => Level::Progressing,
        "Degraded" => Level::Degraded,
        _ => return None,
    };
    Some(Health::new(level, text(live, "/status/health/message")))
}

#[cfg(test)]
mod tests;
