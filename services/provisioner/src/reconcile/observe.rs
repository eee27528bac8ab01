//! What the watch caches show of a request and of the team that it belongs to.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, Secret, Service};
use kube::{Api, ResourceExt};
use mlp_crds::Team;
use mlp_model::labels;
use mlp_reconcile::controller::Object as Kubernetes;
use mlp_reconcile::{Controller, ObjectRef, Store, watcher};

use super::Request;
use crate::domain::SERVICE;
use crate::domain::binding::COMPONENT;
use crate::domain::kubernetes::{Observed, claim_name, pod_name};
use crate::domain::model::{Kind, Payer, Wish};

/// Caches of what one kind of request is made of. Clones read the same caches.
#[derive(Clone)]
pub struct Caches {
    pub(crate) sets: Store<StatefulSet>,
    pub(crate) services: Store<Service>,
    pub(crate) claims: Store<PersistentVolumeClaim>,
    pub(crate) secrets: Store<Secret>,
    pods: Store<Pod>,
    simulated: Store<Node>,
    teams: Store<Team>,
}

/// Adds a watch for each kind that requests of kind `K` are made of, for simulated nodes and teams.
pub fn watches<K: Request>(controller: Controller<K>, client: &kube::Client) -> (Controller<K>, Caches) {
    let (controller, sets) = owned(controller, client);
    let (controller, services) = owned(controller, client);
    let (controller, claims) = owned(controller, client);
    let (controller, secrets) = owned(controller, client);
    let (controller, pods) = owned(controller, client);
    let (simulated, writer) = mlp_reconcile::store();
    let config = watcher::Config::default().labels(&format!("{}=true", labels::SIMULATED_NODE));
    // A node becomes simulated or real only when it is made anew, and then its pods are too.
    let controller =
        controller.watches_into(writer, Api::<Node>::all(client.clone()), config, |_: &Node| Vec::new());
    let requests = controller.handle().store().clone();
    let (teams, writer) = mlp_reconcile::store();
    let wakes = move |team: &Team| {
        let namespaces = team.namespace_names();
        let waiting = requests.state_filter(|request| {
            request.namespace().is_some_and(|namespace| namespaces.contains(&namespace))
        });
        waiting.iter().map(|request| ObjectRef::from_obj(&**request)).collect()
    };
    let all = Api::<Team>::all(client.clone());
    let controller = controller.watches_into(writer, all, watcher::Config::default(), wakes);
    (controller, Caches { sets, services, claims, secrets, pods, simulated, teams })
}

/// A cache of the objects that this service made for requests of kind `K`.
fn owned<K: Request, S>(controller: Controller<K>, client: &kube::Client) -> (Controller<K>, Store<S>)
where
    S: Kubernetes<DynamicType = ()>,
{
    let selector = format!("{}={SERVICE},{COMPONENT}={}", labels::MANAGED_BY, K::KIND.suffix());
    let (store, writer) = mlp_reconcile::store();
    let wakes = |object: &S| {
        let name = request_of_instance(object, K::KIND);
        let key = name.and_then(|name| Some(ObjectRef::new(&name).within(&object.namespace()?)));
        key.into_iter().collect()
    };
    let config = watcher::Config::default().labels(&selector);
    (controller.watches_into(writer, Api::all(client.clone()), config, wakes), store)
}

/// The name of the request that an object was made for, from its instance label.
fn request_of_instance<S: kube::Resource>(object: &S, kind: Kind) -> Option<String> {
    let instance = object.meta().labels.as_ref()?.get(labels::INSTANCE)?;
    instance.strip_suffix(kind.suffix())?.strip_suffix('-').map(str::to_owned)
}

impl Caches {
    /// Everything that the cluster shows of a request.
    pub(crate) fn observed(&self, wish: &Wish) -> Observed {
        let pod = self.pods.get(&within(&pod_name(wish), wish));
        let node = pod.as_ref().and_then(|pod| pod.spec.as_ref()?.node_name.clone());
        let simulated = node.is_some_and(|node| self.simulated.get(&ObjectRef::new(&node)).is_some());
        let headless = format!("{}-pods", wish.full_name());
        let services = [wish.full_name(), headless];
        Observed {
            set: self.sets.get(&within(&wish.full_name(), wish)).map(|set| (*set).clone()),
            pod: pod.map(|pod| (*pod).clone()),
            on_simulated_node: simulated,
            has_services: services.iter().any(|name| self.services.get(&within(name, wish)).is_some()),
            claim: self.claims.get(&within(&claim_name(wish), wish)).map(|claim| (*claim).clone()),
        }
    }

    /// The team that holds a namespace, isolated or not.
    pub(crate) fn team(&self, namespace: &str) -> Option<String> {
        let holders = self.teams.state_filter(|team| holds(team, namespace));
        holders.first().map(|team| team.name_any())
    }

    /// The team that holds a namespace, with who pays for it.
    pub(crate) fn payer(&self, namespace: &str) -> Option<Payer> {
        let holders = self.teams.state_filter(|team| holds(team, namespace));
        holders
            .first()
            .map(|team| Payer { team: team.name_any(), cost_center: team.cost_center().to_owned() })
    }

    /// Whether the namespace's team is isolated; else the sentence that says what is waited for.
    pub(crate) fn isolated_team(&self, namespace: &str) -> Result<String, String> {
        let claimants =
            self.teams.state_filter(|team| team.namespace_names().iter().any(|name| name == namespace));
        let isolated = claimants.iter().find(|team| {
            let status = team.status.iter().flat_map(|status| &status.namespaces);
            status.into_iter().any(|entry| entry.name == namespace && entry.ready)
        });
        match (isolated, claimants.first()) {
            (Some(team), _) => Ok(team.name_any()),
            (None, Some(team)) => Err(format!(
                "team {} is not isolated yet; its TeamIsolated fact is waited for",
                team.name_any()
            )),
            (None, None) => Err(format!(
                "no team has namespace {namespace}; make the request in a team's namespace, or declare the team"
            )),
        }
    }
}

fn holds(team: &Team, namespace: &str) -> bool {
    let status = team.status.iter().flat_map(|status| &status.namespaces);
    status.into_iter().any(|entry| entry.name == namespace)
}

fn within<S: Kubernetes<DynamicType = ()>>(name: &str, wish: &Wish) -> ObjectRef<S> {
    ObjectRef::new(name).within(&wish.namespace)
}
