//! `mlp team offboard`: shows what the way out would do, begins it, and takes it back. What is done is
//! team-isolation's (`spec.offboarding` of the Team); a Team that is kept in git is changed there instead.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Api, ListParams, Patch};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use mlp_crds::Team;
use mlp_crds::team::{OffboardingPhase, OffboardingSpec, OffboardingStep};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{as_mlp, find};
use crate::cli::Offboard;
use crate::cluster;
use crate::commands::status::report::State;
use crate::exit::{Failure, Outcome};
use crate::platform::Platform;

/// How long the change may take until the Team says that it is made.
const LIMIT: Duration = Duration::from_secs(120);
/// How often the Team is looked at.
const POLL: Duration = Duration::from_millis(300);
/// Objects of a namespace that are counted, at most.
const MOST: u32 = 500;

/// Shows, begins or undoes the way out.
pub(super) async fn offboard(platform: &Platform, flags: &Offboard) -> Outcome {
    let client = cluster::client(&platform.kubeconfig).await?;
    let teams: Api<Team> = Api::all(client.clone());
    let team = read(&teams, &flags.team).await?;
    let step = step_of(&team);
    if step == OffboardingStep::Purging {
        return Err(Failure::failed(format!("team {} is being removed; there is no way back", flags.team)));
    }
    if flags.undo {
        change(&teams, &team, flags, OffboardingPhase::Active).await?;
        wait(&teams, flags, "back at work", |team| {
            step_of(team) == OffboardingStep::Active && state(team).ready
        })
        .await?;
        println!("team {} works again: its rights, workloads and quota are as before", flags.team);
        return Ok(());
    }
    let namespaces = team.namespace_names();
    let pods = count::<Pod>(&client, &namespaces).await?;
    let claims = count::<PersistentVolumeClaim>(&client, &namespaces).await?;
    let hours = retention(&team, flags);
    println!("team {}, namespaces {}:", flags.team, namespaces.join(", "));
    println!("  rights      everybody's are cut first, those that the team gave among them");
    println!("  work        {pods} pods end; what they belong to is noted and stopped");
    println!("  data        {claims} volume claims and all objects stay for {hours} hours at least");
    println!(
        "  afterwards  `cargo mlp team offboard {} --undo` takes it back; deleting the Team ends it",
        flags.team
    );
    if !flags.yes {
        println!("\nnothing was changed; --yes begins");
        return Ok(());
    }
    change(&teams, &team, flags, OffboardingPhase::Suspended).await?;
    let team = wait(&teams, flags, "retained", |team| step_of(team) == OffboardingStep::Retained).await?;
    let until = team.status.and_then(|status| status.offboarding?.retained_until).unwrap_or_default();
    println!("\nrights are cut and work has stopped; data is kept until {until}");
    Ok(())
}

async fn read(teams: &Api<Team>, name: &str) -> Result<Team, Failure> {
    find(teams, name).await?.ok_or_else(|| Failure::usage(format!("there is no team {name}")))
}

fn step_of(team: &Team) -> OffboardingStep {
    let status = team.status.as_ref().and_then(|status| status.offboarding.as_ref());
    status.map(|offboarding| offboarding.step).unwrap_or_default()
}

fn state(team: &Team) -> State {
    let status = team.status.clone().unwrap_or_default();
    State::of(&status.conditions, status.observed_generation, team.metadata.generation)
}

fn retention(team: &Team, flags: &Offboard) -> u32 {
    let declared = team.spec.offboarding.as_ref().map(|spec| spec.retention_hours);
    flags.retention_hours.or(declared).unwrap_or(OffboardingSpec::DEFAULT_RETENTION_HOURS)
}

async fn change(teams: &Api<Team>, team: &Team, flags: &Offboard, phase: OffboardingPhase) -> Outcome {
    let patch = json!({"spec": {"offboarding": {"phase": phase, "retentionHours": retention(team, flags)}}});
    let patched = teams.patch(&flags.team, &as_mlp(), &Patch::Merge(&patch)).await;
    patched.map(drop).map_err(|error| Failure::while_doing(&format!("changing team {}", flags.team), &error))
}

async fn wait(
    teams: &Api<Team>,
    flags: &Offboard,
    what: &str,
    done: impl Fn(&Team) -> bool,
) -> Result<Team, Failure> {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        let team = read(teams, &flags.team).await?;
        if done(&team) {
            return Ok(team);
        }
        if tokio::time::Instant::now() > deadline {
            let said = state(&team).message;
            let (name, limit) = (&flags.team, LIMIT.as_secs());
            return Err(Failure::not_ready(format!("team {name} is not {what} within {limit} s: {said}")));
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn count<K>(client: &Client, namespaces: &[String]) -> Result<usize, Failure>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let mut all = 0;
    for namespace in namespaces {
        let api = Api::<K>::namespaced(client.clone(), namespace);
        let listed = api.list_metadata(&ListParams::default().limit(MOST)).await;
        let what = format!("counting what is in {namespace}");
        all += listed.map_err(|error| Failure::while_doing(&what, &error))?.items.len();
    }
    Ok(all)
}
