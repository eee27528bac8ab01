//! A service as pods: one StatefulSet, two Services, a volume claim that outlives them.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, Pod, Service, ServicePort, ServiceSpec,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use mlp_crds::cache::DeletionPolicy;

use super::binding::{Address, owner_labels};
use super::model::Wish;
use super::plan::{Plan, Running, State};

mod pod;

pub use pod::Images;

/// Name of the claim template; the claim is `data-<full name>-0`.
const DATA: &str = "data";

/// Annotation of the StatefulSet with the generation of the request that it was made for: what it shows
/// of an earlier one says nothing of this one.
const GENERATION: &str = "mlplatform.dev/request-generation";

/// What a service consists of.
#[derive(Clone, Debug, PartialEq)]
pub struct Objects {
    /// Gives the pod its name.
    pub headless: Service,
    /// The address that clients use.
    pub service: Service,
    /// The pod.
    pub set: StatefulSet,
    /// The claim, once the StatefulSet made it: only there can it grow.
    pub claim: Option<PersistentVolumeClaim>,
}

/// Everything that a wish needs in its namespace, beside the Secret.
///
/// A StatefulSet's claim template never changes: it keeps what `observed` shows, and the claim itself
/// grows.
pub fn objects(wish: &Wish, images: &Images, observed: &Observed) -> Objects {
    let first = observed.set.as_ref().and_then(storage_of);
    let storage = wish.storage.as_ref();
    let claim = storage.filter(|_| observed.claim.is_some()).map(|storage| {
        let mut claim = claim(wish, storage);
        claim.metadata.name = Some(claim_name(wish));
        claim.metadata.namespace = Some(wish.namespace.clone());
        claim
    });
    let set = set(wish, images, first.as_ref().or(storage));
    Objects { headless: headless(wish), service: service(wish), set, claim }
}

/// The storage in a StatefulSet's claim template.
fn storage_of(set: &StatefulSet) -> Option<String> {
    let template = set.spec.as_ref()?.volume_claim_templates.as_ref()?.first()?;
    let requests = template.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    requests.get("storage").map(|amount| amount.0.clone())
}

/// The address that resolves to the Service within the cluster.
pub fn address(wish: &Wish) -> Address {
    let host = format!("{}.{}.svc", wish.full_name(), wish.namespace);
    Address { host, port: wish.engine.port(), tls: false }
}

/// Name of the one pod.
pub fn pod_name(wish: &Wish) -> String {
    format!("{}-0", wish.full_name())
}

/// Name of the one claim; Kubernetes makes it from the template.
pub fn claim_name(wish: &Wish) -> String {
    format!("{DATA}-{}", pod_name(wish))
}

fn metadata(wish: &Wish, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(wish.namespace.clone()),
        labels: Some(owner_labels(wish)),
        ..ObjectMeta::default()
    }
}

/// The labels that never change: a StatefulSet's selector cannot.
fn selector(wish: &Wish) -> BTreeMap<String, String> {
    [(mlp_model::labels::INSTANCE.to_owned(), wish.full_name())].into()
}

fn service(wish: &Wish) -> Service {
    let port = ServicePort {
        name: Some(wish.engine.as_str().to_owned()),
        port: i32::from(wish.engine.port()),
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::Int(i32::from(wish.engine.port()))),
        ..ServicePort::default()
    };
    Service {
        metadata: metadata(wish, wish.full_name()),
        spec: Some(ServiceSpec {
            ports: Some(vec![port]),
            selector: Some(selector(wish)),
            type_: Some("ClusterIP".to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn headless(wish: &Wish) -> Service {
    let mut headless = service(wish);
    headless.metadata = metadata(wish, format!("{}-pods", wish.full_name()));
    if let Some(spec) = &mut headless.spec {
        spec.cluster_ip = Some("None".to_owned());
        spec.publish_not_ready_addresses = Some(true);
    }
    headless
}

fn set(wish: &Wish, images: &Images, maybe_storage: Option<&String>) -> StatefulSet {
    let claims = maybe_storage.map(|storage| vec![claim(wish, storage)]);
    let generation = (GENERATION.to_owned(), wish.generation.to_string());
    StatefulSet {
        metadata: ObjectMeta { annotations: Some([generation].into()), ..metadata(wish, wish.full_name()) },
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            selector: LabelSelector { match_labels: Some(selector(wish)), match_expressions: None },
            service_name: Some(format!("{}-pods", wish.full_name())),
            template: pod::template(wish, images),
            volume_claim_templates: claims,
            // Data goes by our own act, never because an object above it went.
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some("Retain".to_owned()),
                when_scaled: Some("Retain".to_owned()),
            }),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

fn claim(wish: &Wish, storage: &str) -> PersistentVolumeClaim {
    let requests = [("storage".to_owned(), Quantity(storage.to_owned()))];
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(DATA.to_owned()),
            labels: Some(owner_labels(wish)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements { requests: Some(requests.into()), limits: None }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// What the cluster shows of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The StatefulSet.
    pub set: Option<StatefulSet>,
    /// The pod.
    pub pod: Option<Pod>,
    /// Whether the pod's node runs nothing.
    pub on_simulated_node: bool,
    /// Whether the Services are there.
    pub has_services: bool,
    /// The claim.
    pub claim: Option<PersistentVolumeClaim>,
}

/// One call to the Kubernetes API.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make the objects agree with the request; the comparison is the applier's.
    Apply(Box<Objects>),
    /// Stop the pod and take its Services away.
    DeleteWorkload,
    /// Remove the data.
    DeleteData,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apply(objects) => {
                let name = |metadata: &ObjectMeta| metadata.name.clone().unwrap_or_default();
                write!(
                    formatter,
                    "apply Service {}, Service {}, StatefulSet {}",
                    name(&objects.headless.metadata),
                    name(&objects.service.metadata),
                    name(&objects.set.metadata)
                )
            }
            Self::DeleteWorkload => formatter.write_str("delete StatefulSet and Services"),
            Self::DeleteData => formatter.write_str("delete PersistentVolumeClaim and Secret"),
        }
    }
}

/// What is left to do for a request that stays.
pub fn plan(wish: &Wish, images: &Images, observed: &Observed) -> Plan<Step> {
    let steps = vec![Step::Apply(Box::new(objects(wish, images, observed)))];
    Plan { steps, state: state(wish, images, observed) }
}

/// What is left to do for a request that goes.
pub fn plan_removal(wish: &Wish, observed: &Observed) -> Plan<Step> {
    if observed.set.is_some() || observed.pod.is_some() || observed.has_services {
        let waits = format!("waiting until pod {} is gone", pod_name(wish));
        let leaving = observed.set.as_ref().is_none_or(|set| set.metadata.deletion_timestamp.is_some());
        let steps = if leaving && !observed.has_services { Vec::new() } else { vec![Step::DeleteWorkload] };
        return Plan { steps, state: State::Deleting(waits) };
    }
    let claim = observed.claim.as_ref().map(|_| format!("PersistentVolumeClaim {}", claim_name(wish)));
    match wish.deletion {
        DeletionPolicy::Retain => Plan::rest(State::Gone { kept: claim }),
        DeletionPolicy::Delete => Plan { steps: vec![Step::DeleteData], state: State::Gone { kept: None } },
    }
}

fn state(wish: &Wish, images: &Images, observed: &Observed) -> State {
    let running = Running { address: address(wish), version: images.version(wish) };
    let Some(set) = &observed.set else {
        return State::Creating("the StatefulSet is being made".to_owned());
    };
    let Some(pod) = &observed.pod else {
        return State::Creating(format!(
            "pod {} is not there yet; see the StatefulSet's events",
            pod_name(wish)
        ));
    };
    if observed.on_simulated_node {
        return State::Simulated(running);
    }
    let status = set.status.clone().unwrap_or_default();
    let stamp = set.metadata.annotations.as_ref().and_then(|all| all.get(GENERATION));
    let rolled_out = stamp.is_some_and(|stamp| *stamp == wish.generation.to_string())
        && status.observed_generation >= set.metadata.generation
        && status.update_revision.is_some()
        && status.current_revision == status.update_revision;
    match (is_ready(pod), rolled_out) {
        (true, true) => State::Ready(running),
        (true, false) => State::Updating(running, "the pod is being replaced".to_owned()),
        (false, _) => State::Creating(waiting_reason(pod)),
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let leaving = pod.metadata.deletion_timestamp.is_some();
    !leaving
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Why the pod is not ready, in its own words where it has some.
fn waiting_reason(pod: &Pod) -> String {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let Some(status) = &pod.status else { return format!("pod {name} is not scheduled yet") };
    let waiting = status.container_statuses.iter().flatten().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.clone()?;
        Some(match &waiting.message {
            Some(message) => format!("pod {name}: {reason}: {message}"),
            None => format!("pod {name}: {reason}"),
        })
    });
    let unscheduled = status.conditions.iter().flatten().find_map(|condition| {
        let blocked = condition.type_ == "PodScheduled" && condition.status == "False";
        condition.message.clone().filter(|_| blocked).map(|message| format!("pod {name}: {message}"))
    });
    waiting.or(unscheduled).unwrap_or_else(|| format!("pod {name} does not accept connections yet"))
}

#[cfg(test)]
mod tests;
