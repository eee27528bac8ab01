//! What the admission policies add to the creation of a pod, with few and with many teams: by a member, in
//! a namespace of a team and in one of nobody's in turn, with the policies and without, on one API server.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use mlp_harness::wait_until;
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
/// Pods created in each namespace per measurement, with the policies and without.
const PODS: usize = 400;
/// How often the policies come and go meanwhile.
const ROUNDS: usize = 4;
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
        let (mut with, mut without) = (Round::default(), Round::default());
        // In turn, so that what drifts meets both.
        for _ in 0..ROUNDS {
            rig.remove_rules().await?;
            without.add(rig, &member, false).await?;
            rig.install_rules().await?;
            with.add(rig, &member, true).await?;
        }
        let more = with.beyond() - without.beyond();
        added.push(more);
        let what = |pod: &str, rules: &str| format!("a pod of {pod}, {count} teams, {rules} policies, p50");
        rows.push(Row::new(what("a team", "no"), Times::of(without.team).percentile(50), "ms"));
        rows.push(Row::new(what("nobody", "no"), Times::of(without.nobody).percentile(50), "ms"));
        rows.push(Row::new(what("a team", "our"), Times::of(with.team).percentile(50), "ms"));
        rows.push(Row::new(what("nobody", "our"), Times::of(with.nobody).percentile(50), "ms"));
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

/// Times of pods with the policies, or without.
#[derive(Default)]
struct Round {
    team: Vec<Duration>,
    nobody: Vec<Duration>,
}

impl Round {
    /// Creates pods in both namespaces in turn and removes them.
    async fn add(&mut self, rig: &Rig, member: &Client, with_rules: bool) -> Result<(), Error> {
        let (ours, theirs) = (format!("{TEAM}-team"), NOBODYS);
        let pods = |namespace: &str| Api::<Pod>::namespaced(member.clone(), namespace);
        rules_are(&pods(&ours), with_rules).await?;
        for number in 0..PODS / ROUNDS {
            for (namespace, times) in [(ours.as_str(), &mut self.team), (theirs, &mut self.nobody)] {
                let pod = pod(&format!("pod-{number}"))?;
                let begun = Instant::now();
                pods(namespace).create(&PostParams::default(), &pod).await?;
                times.push(begun.elapsed());
            }
        }
        for namespace in [ours.as_str(), theirs] {
            let at_once = DeleteParams::default().grace_period(0);
            let api: Api<Pod> = Api::namespaced(rig.client(), namespace);
            api.delete_collection(&at_once, &ListParams::default()).await?;
        }
        Ok(())
    }

    /// What a pod of a team takes longer than one of nobody: quota, limits and Pod Security, and the policies
    /// where there are any.
    fn beyond(&self) -> f64 {
        Times::of(self.team.clone()).percentile(50) - Times::of(self.nobody.clone()).percentile(50)
    }
}

/// Waits until the API server has read that the policies are there, or gone.
async fn rules_are(pods: &Api<Pod>, there: bool) -> Result<(), Error> {
    let mut probe = pod("probe")?;
    probe.spec.get_or_insert_default().termination_grace_period_seconds = Some(3_600);
    let tried = PostParams { dry_run: true, ..PostParams::default() };
    let as_wanted = || async { (pods.create(&tried, &probe).await.is_err() == there).then_some(()) };
    wait_until(Duration::from_secs(30), "the policies to be read", as_wanted).await?;
    Ok(())
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
