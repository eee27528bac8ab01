//! What a team's objects depend on beside its declaration, from watch caches: exemptions, originals of
//! copies, hosts of other teams, and what was refused for want of quota.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Secret};
use kube::{Api, ResourceExt};
use mlp_crds::team::CopiedKind;
use mlp_crds::{IsolationExemption, Team, TeamTombstone};
use mlp_reconcile::controller::Object as Kubernetes;
use mlp_reconcile::{Controller, ObjectRef, Store, watcher};

use super::demand::Demand;
use super::observe::{claimant, team_of, wants};
use super::signals::Signals;
use super::{TeamReconciler, past};
use crate::domain::admission::LISTS;
use crate::domain::claims::{Claimant, Obstacle};
use crate::domain::exemption::Exemptions;
use crate::domain::hosts::{self, HostClaim, Refused};
use crate::domain::lease;
use crate::domain::model::DeclaredTeam;
use crate::domain::objects::Surroundings;
use crate::domain::objects::copies::{COPYABLE, Originals};
use crate::domain::plan::Observed;
use crate::domain::tombstone;
use crate::error::Error;

/// How old an Event may be to count as a wish for quota.
const FRESH: i64 = 60;

/// Caches of what others declare and say.
pub(super) struct Around {
    exemptions: Store<IsolationExemption>,
    config_maps: Store<ConfigMap>,
    secrets: Store<Secret>,
    tombstones: Store<TeamTombstone>,
    pub(super) signals: Signals,
}

/// Adds a watch for each kind.
pub(super) fn watches(
    controller: Controller<Team>,
    client: &kube::Client,
    namespaces: &Store<Namespace>,
    signals: Signals,
) -> (Controller<Team>, Around) {
    let (exemptions, writer) = mlp_reconcile::store();
    let all = Api::<IsolationExemption>::all(client.clone());
    let of_team = |exemption: &IsolationExemption| vec![ObjectRef::new(&exemption.spec.team)];
    let controller = controller.watches_into(writer, all, watcher::Config::default(), of_team);
    let (controller, config_maps) = originals::<ConfigMap>(controller, client, CopiedKind::ConfigMap);
    let (controller, secrets) = originals::<Secret>(controller, client, CopiedKind::Secret);
    let (noted, namespaces) = (signals.demand.clone(), namespaces.clone());
    let refused = watcher::Config::default().fields("reason=FailedCreate");
    let controller = controller.watches(Api::<Event>::all(client.clone()), refused, move |event: &Event| {
        refused_in(event, &noted, &namespaces).into_iter().collect()
    });
    let (controller, tombstones) = tombstones(controller, client);
    (controller, Around { exemptions, config_maps, secrets, tombstones, signals })
}

/// A cache of tombstones; each wakes the teams that want one of its names.
fn tombstones(
    controller: Controller<Team>,
    client: &kube::Client,
) -> (Controller<Team>, Store<TeamTombstone>) {
    let teams = controller.handle().store().clone();
    let (store, writer) = mlp_reconcile::store();
    let wakes = move |stone: &TeamTombstone| {
        let wanting = teams.state_filter(|team: &Team| {
            team.metadata.name == stone.metadata.name
                || stone.spec.namespaces.iter().any(|name| wants(team, name))
        });
        wanting.iter().map(|team| ObjectRef::new(&team.name_any())).collect()
    };
    (controller.watches_into(writer, Api::all(client.clone()), watcher::Config::default(), wakes), store)
}

impl Around {
    /// What of a team's wishes is still another's who has gone.
    pub(super) fn reserved(&self, team: &Claimant, free: &[&String]) -> Vec<Obstacle> {
        let stones = self.tombstones.state();
        let named =
            stones.iter().map(|stone| (stone.metadata.name.as_deref().unwrap_or_default(), &stone.spec));
        tombstone::obstacles(team, free, named, Timestamp::now())
    }
}

/// A cache of what may be copied; each original wakes the teams that copy it.
fn originals<K: Kubernetes<DynamicType = ()>>(
    controller: Controller<Team>,
    client: &kube::Client,
    kind: CopiedKind,
) -> (Controller<Team>, Store<K>) {
    let teams = controller.handle().store().clone();
    let (store, writer) = mlp_reconcile::store();
    let copyable = watcher::Config::default().labels(&format!("{COPYABLE}=true"));
    let wakes = move |object: &K| {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let copying = teams.state_filter(|team: &Team| {
            let copies = team.spec.copies.iter();
            copies
                .into_iter()
                .any(|copy| copy.kind == kind && copy.namespace == namespace && copy.name == name)
        });
        copying.iter().map(|team| ObjectRef::new(&team.name_any())).collect()
    };
    (controller.watches_into(writer, Api::all(client.clone()), copyable, wakes), store)
}

/// The team whose quota an Event says is used up.
fn refused_in(event: &Event, demand: &Demand, namespaces: &Store<Namespace>) -> Option<ObjectRef<Team>> {
    let at =
        event.last_timestamp.as_ref().map(|time| time.0).or(event.event_time.as_ref().map(|time| time.0));
    if at.is_none_or(|at| Timestamp::now().as_second() - at.as_second() > FRESH) {
        return None;
    }
    let name = event.metadata.namespace.as_deref()?;
    let team = team_of(&*namespaces.get(&ObjectRef::new(name))?)?;
    demand.note(name, event.message.as_deref()?).then(|| ObjectRef::new(&team))
}

impl TeamReconciler {
    /// Gathers it for one team.
    pub(super) async fn surroundings(
        &self,
        team: &Team,
        declared: &DeclaredTeam,
        observed: &Observed,
        leaving: &[String],
    ) -> Result<Surroundings, Error> {
        let around = &self.caches.around;
        let names = declared.namespace_names();
        let exemptions = around.exemptions.state();
        let refused = self.refused_hosts(team);
        Ok(Surroundings {
            split: lease::of(declared, observed, leaving, &around.signals.demand.of(&names)),
            exemptions: Exemptions::gather(
                declared.name.as_str(),
                &names,
                exemptions.iter().map(AsRef::as_ref),
                Timestamp::now(),
            ),
            leaving: leaving.to_vec(),
            refused_hosts: refused.into_iter().map(|refused| refused.host).collect(),
            recounts: self.recounts(observed).await?,
            originals: self.originals(team),
        })
    }

    /// After how long the first of the team's exemptions ends, and the namespace is to say so.
    pub(super) fn exemption_ends(&self, team: &Team) -> Option<Duration> {
        let exemptions = self.caches.around.exemptions.state();
        let names = team.namespace_names();
        let all = exemptions.iter().map(AsRef::as_ref);
        let now = Timestamp::now();
        let end = Exemptions::gather(&team.name_any(), &names, all, now).next_end()?;
        Some(past(end, now))
    }

    pub(super) fn originals(&self, team: &Team) -> Originals {
        let mut originals = Originals::default();
        for copy in &team.spec.copies {
            let key = (copy.namespace.clone(), copy.name.clone());
            match copy.kind {
                CopiedKind::ConfigMap => {
                    let found = self
                        .caches
                        .around
                        .config_maps
                        .get(&ObjectRef::new(&copy.name).within(&copy.namespace));
                    originals.config_maps.extend(found.map(|found| (key, (*found).clone())));
                }
                CopiedKind::Secret => {
                    let found =
                        self.caches.around.secrets.get(&ObjectRef::new(&copy.name).within(&copy.namespace));
                    originals.secrets.extend(found.map(|found| (key, (*found).clone())));
                }
            }
        }
        originals
    }

    /// Hosts that the team wants and that are another's. Only teams that want any are compared.
    pub(super) fn refused_hosts(&self, team: &Team) -> Vec<Refused> {
        if hosts_of(team).is_empty() {
            return Vec::new();
        }
        let others = self.all_teams.state_filter(|other| !hosts_of(other).is_empty());
        let claims: Vec<_> = others.iter().map(|other| self.host_claim(other)).collect();
        hosts::refused(&self.host_claim(team), &claims)
    }

    fn host_claim(&self, team: &Team) -> HostClaim {
        let key = format!("{LISTS}/hosts");
        let held = team.namespace_names().into_iter().filter_map(|name| {
            let namespace = self.namespace(&name)?;
            let is_ours = team_of(&*namespace).as_deref() == team.metadata.name.as_deref();
            namespace.annotations().get(&key).filter(|_| is_ours).cloned()
        });
        let held = held.flat_map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>());
        HostClaim { claimant: claimant(team), wanted: hosts_of(team).to_vec(), held: held.collect() }
    }
}

fn hosts_of(team: &Team) -> &[String] {
    team.spec.ingress.as_ref().map(|spec| spec.hosts.as_slice()).unwrap_or_default()
}
