//! What the admission policies add to the creation of a pod, with few and with many teams: by a member, in
//! a namespace of a team and in one of nobody's in turn, on one API server.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;

use super::{SERVICE, plain, pod};
use crate::Error;
use crate::percentile::Times;
use crate::report::{Row, Target};
use crate::rig::Rig;
use crate::service::WRITES;
use crate::teams::{Teams, team};

/// Teams of the cluster at each measurement.
const TEAMS: [usize; 3] = [10, 100, 1_000];
/// Pods created in each namespace per measurement.
const PODS: usize = 400;
/// What the policies may add at the median, in milliseconds.
const MOST: f64 = 3.0;
/// How far the medians may be apart with few and with many teams, in milliseconds: flat.
const FLAT: f64 = 1.0;
/// The measured team, and the namespace that is no team's.
const TEAM: &str = "measured";
const NOBODYS: &str = "nobodys";

pub(crate) async fn run(most: usize) -> Result<Vec<Row>, Error> {
    super::on(Rig::bare(true), async |rig, binary| measure(rig, binary, most).await).await
}

async fn measure(rig: &Rig, binary: &std::path::Path, most: usize) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    let member = rig.member("bench", &format!("{TEAM}-engineers")).await?;
    nobodys(&rig.client()).await?;
    let (bare, _) = pods(&rig.client(), &member, NOBODYS, NOBODYS).await?;
    rows.push(Row::new("a pod, no policy installed, p50", bare.percentile(50), "ms"));
    rig.install_rules().await?;
    let service = rig.service(SERVICE, binary).await?;
    let mut teams = Teams::watch(rig.client()).await?;
    let mut measured = team(TEAM)?;
    if let Some(quota) = &mut measured.spec.quota {
        *quota = serde_json::from_value(json!({
            "requests": {"cpu": "1000", "memory": "1000Gi"}, "limits": {"cpu": "1000", "memory": "1000Gi"},
            "objects": {"pods": 10_000},
        }))?;
    }
    teams.onboard_all(vec![measured], Duration::ZERO).await?;
    let mut added = Vec::new();
    let mut there = 1;
    for count in TEAMS.into_iter().filter(|count| *count <= most) {
        let names: Vec<String> = (there..count).map(|number| format!("other-{number}")).collect();
        teams.onboard(&names).await?;
        there = count;
        // What the service still does after a burst is no cost of admission.
        service.rests(WRITES).await?;
        let (ours, theirs) = pods(&rig.client(), &member, &format!("{TEAM}-team"), NOBODYS).await?;
        let more = ours.percentile(50) - theirs.percentile(50);
        added.push(more);
        rows.push(Row::new(format!("a pod of a team, {count} teams, p50"), ours.percentile(50), "ms"));
        rows.push(Row::new(format!("a pod of nobody, {count} teams, p50"), theirs.percentile(50), "ms"));
        rows.push(
            Row::new(format!("added by policies, {count} teams, p50"), more, "ms")
                .against(Target::AtMost(MOST)),
        );
    }
    let spread =
        added.iter().copied().fold(f64::MIN, f64::max) - added.iter().copied().fold(f64::MAX, f64::min);
    rows.push(Row::new("difference between few and many teams", spread, "ms").against(Target::AtMost(FLAT)));
    Ok(rows)
}

/// A namespace with quota and rights as a team's, and no label of one.
async fn nobodys(client: &Client) -> Result<(), Error> {
    let hard = json!({"requests.cpu": "1000", "requests.memory": "1000Gi", "limits.cpu": "1000",
        "limits.memory": "1000Gi", "pods": "10000"});
    plain(client, NOBODYS, hard).await?;
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "edit"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": format!("{TEAM}-engineers")}],
    }))?;
    Api::namespaced(client.clone(), NOBODYS).create(&PostParams::default(), &binding).await?;
    Ok(())
}

/// Creates pods in both namespaces in turn and removes them; the times of each.
async fn pods(admin: &Client, member: &Client, one: &str, other: &str) -> Result<(Times, Times), Error> {
    let [mut in_one, mut in_other] = [const { Vec::new() }; 2];
    for number in 0..PODS {
        for (side, namespace, times) in [("a", one, &mut in_one), ("b", other, &mut in_other)] {
            let pod = pod(&format!("{side}-{number}"))?;
            let api: Api<Pod> = Api::namespaced(member.clone(), namespace);
            let begun = Instant::now();
            api.create(&PostParams::default(), &pod).await?;
            times.push(begun.elapsed());
        }
    }
    for namespace in [one, other] {
        let at_once = DeleteParams::default().grace_period(0);
        let api: Api<Pod> = Api::namespaced(admin.clone(), namespace);
        api.delete_collection(&at_once, &ListParams::default()).await?;
    }
    Ok((Times::of(in_one), Times::of(in_other)))
}
