//! The service killed after each of its writes, on the way in, on the way out and at the end: whatever is
//! half-made lets a member do nothing that a whole team would not, and the next start makes it whole.

use mlp_crds::Team;
use mlp_crds::team::OffboardingStep;
use mlp_harness::{cut_after, wait_until};
use mlp_reconcile::conditions::{READY, is_true};
use serde_json::{Value, json};

use crate::attack::{Attack, Call};
use crate::list;
use crate::objects::{account, binding, config_map, core, of, pod};
use crate::persona::{Answer, Persona, send};
use crate::world::{self, End, LIMIT};

/// More writes than any of the ways takes: reaching it means that a way never ends.
const MOST: usize = 60;

/// Runs the service, changes something, and ends it when it wants to write once more than `writes`, or at
/// `done`; whether it was cut. The change is made while this service runs: that of another test would do its work.
async fn killed_after(
    writes: usize,
    team: &str,
    change: impl Future<Output = ()>,
    done: impl Fn(Option<&Team>) -> bool,
) -> bool {
    let (client, cut) = cut_after(world::client().await, writes);
    let end = async {
        change.await;
        let settled = wait_until(LIMIT, "the team to be done", || async {
            done(world::team_named(team).await.as_ref()).then_some(())
        });
        tokio::select! {
            () = cut.cancelled() => true,
            settled = settled => settled.map(|()| false).unwrap(),
        }
    };
    Box::pin(world::serve(client, End::Killed, end)).await
}

/// Lets the service make whole what is half-made.
async fn finished(team: &str, done: impl Fn(Option<&Team>) -> bool) {
    let what = format!("team {team} to be whole again");
    let whole =
        wait_until(LIMIT, &what, || async { done(world::team_named(team).await.as_ref()).then_some(()) });
    Box::pin(world::with_service(whole)).await.unwrap();
}

/// A team like `app`, in one namespace of production.
fn team(name: &str) -> Value {
    let mut team = world::app();
    team["metadata"]["name"] = json!(name);
    let spec = &mut team["spec"];
    spec["namespaces"] = json!([{"name": format!("{name}-team"), "environment": "prod"}]);
    spec["ingress"]["hosts"] = json!([format!("{name}.example.com")]);
    spec["access"] = json!({"admin": {"groups": ["half-admins"]}, "edit": {"groups": ["half-engineers"]},
        "view": {"groups": ["half-viewers"]}});
    team
}

fn is_whole(team: Option<&Team>) -> bool {
    let Some(team) = team else { return false };
    let conditions = team.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    is_true(conditions, READY, team.metadata.generation)
        && team.status.as_ref().is_some_and(|status| status.outbox.pending.is_empty())
}

fn is_retained(team: Option<&Team>) -> bool {
    let status = team.and_then(|team| team.status.as_ref());
    status.is_some_and(|status| {
        status.offboarding.as_ref().is_some_and(|out| out.step == OffboardingStep::Retained)
            && status.outbox.pending.is_empty()
    })
}

/// Fails where an attack is admitted, in the team that is half-made or in those that are whole, or a good pod
/// before quota, limits and policy are there. Says whether a good pod was.
async fn check(attacks: &[Attack], namespace: &str, when: &str) -> bool {
    let through = list::none_gets_through(attacks, namespace).await;
    assert!(through.is_empty(), "{when}: admitted:\n{}", through.join("\n"));
    let wrong = list::hold(attacks).await;
    assert!(wrong.is_empty(), "{when}: other verdicts than ever:\n{}", wrong.join("\n"));
    let works = may_work(namespace).await;
    if works {
        let get = |path: String| async move { send(Persona::Root, "GET", &path, None).await };
        let quota = get(format!("{}/team-quota", core(namespace, "resourcequotas"))).await;
        assert!(
            quota.body["status"]["hard"]["pods"].is_string(),
            "{when}: a pod is admitted, and no quota is in force"
        );
        for path in [
            format!("{}/team-limits", core(namespace, "limitranges")),
            format!("{}/team-flows", of("networking.k8s.io/v1", namespace, "networkpolicies")),
        ] {
            assert!(get(path.clone()).await.is_admitted(), "{when}: a pod is admitted without {path}");
        }
    }
    works
}

async fn may_work(namespace: &str) -> bool {
    Call::create(Persona::HalfAdmin, &core(namespace, "pods"), pod("good")).send().await.is_admitted()
}

async fn change(team: &str, method: &str, body: Option<&Value>) -> Answer {
    send(Persona::Root, method, &format!("/apis/mlplatform.dev/v1alpha1/teams/{team}"), body).await
}

#[tokio::test]
async fn killed_after_each_write_nothing_half_made_is_open() {
    world::ready().await;
    let attacks = list::attacks().await;
    Box::pin(on_the_way_in(&attacks)).await;
    Box::pin(on_the_way_out(&attacks)).await;
    Box::pin(at_the_end(&attacks)).await;
}

async fn on_the_way_in(attacks: &[Attack]) {
    let mut worked = 0;
    for writes in 0..MOST {
        let name = format!("half-in-{writes}");
        let declare = async { world::apply(&world::client().await, &team(&name)).await };
        let was_cut = killed_after(writes, &name, declare, is_whole).await;
        worked += usize::from(
            check(attacks, &format!("{name}-team"), &format!("way in, killed after {writes} writes")).await,
        );
        finished(&name, is_whole).await;
        assert!(may_work(&format!("{name}-team")).await, "whole after {writes} writes and a new start");
        assert!(change(&name, "DELETE", None).await.is_admitted());
        // Its own writes would be counted with those of the next.
        world::with_service(world::gone(&name)).await;
        if !was_cut {
            assert!(writes > 8, "the way in is more than {writes} writes");
            assert!(
                (2..writes).contains(&worked),
                "rights are there after some writes and not after all: {worked} of {writes}"
            );
            return;
        }
    }
    panic!("the way in has no end");
}

/// What the team has: a Deployment, a pod of its own, rights that it gave, and data.
async fn inhabit(namespace: &str) {
    let client = world::client().await;
    let mut template = pod("x");
    template["metadata"] = json!({"labels": {"app": "web"}});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": namespace},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": template["metadata"], "spec": template["spec"]}}});
    let place = |mut object: Value| {
        object["metadata"]["namespace"] = json!(namespace);
        object
    };
    for object in [
        deployment,
        place(pod("alone")),
        place(binding("given", account(namespace, "default"))),
        place(config_map("data")),
    ] {
        world::apply(&client, &object).await;
    }
}

async fn on_the_way_out(attacks: &[Attack]) {
    let suspend = json!({"spec": {"offboarding": {"phase": "Suspended", "retentionHours": 1}}});
    let mut worked = 0;
    for writes in 0..MOST {
        let name = format!("half-out-{writes}");
        let namespace = format!("{name}-team");
        world::with_service(world::isolated(&[team(&name)])).await;
        inhabit(&namespace).await;
        let begin = async { assert!(change(&name, "PATCH", Some(&suspend)).await.is_admitted()) };
        let was_cut = killed_after(writes, &name, begin, is_retained).await;
        let when = format!("way out, killed after {writes} writes");
        worked += usize::from(check(attacks, &namespace, &when).await);
        let deployment =
            send(Persona::Root, "GET", &format!("{}/web", of("apps/v1", &namespace, "deployments")), None)
                .await;
        if deployment.body["spec"]["replicas"] == 0 {
            assert!(
                !may_work(&namespace).await,
                "{when}: work is stopped, and its rights were not cut before"
            );
        }
        let data =
            send(Persona::Root, "GET", &format!("{}/data", core(&namespace, "configmaps")), None).await;
        assert!(data.is_admitted(), "{when}: the data is gone");
        finished(&name, is_retained).await;
        assert!(!may_work(&namespace).await, "{when}: a suspended team works");
        assert!(change(&name, "DELETE", None).await.is_admitted());
        if !was_cut {
            assert!(writes > 4, "the way out is more than {writes} writes");
            assert!((1..writes).contains(&worked), "rights are cut at some write: {worked} of {writes}");
            return;
        }
    }
    panic!("the way out has no end");
}

async fn at_the_end(attacks: &[Attack]) {
    for writes in 0..MOST {
        let name = format!("half-end-{writes}");
        let namespace = format!("{name}-team");
        world::with_service(world::isolated(&[team(&name)])).await;
        let begin = async { assert!(change(&name, "DELETE", None).await.is_admitted()) };
        let was_cut = killed_after(writes, &name, begin, |team| team.is_none()).await;
        check(attacks, &namespace, &format!("end, killed after {writes} writes")).await;
        finished(&name, |team| team.is_none()).await;
        let left = send(Persona::Root, "GET", &format!("/api/v1/namespaces/{namespace}"), None).await;
        let deleted = left.body["metadata"]["deletionTimestamp"].is_string();
        assert!(!left.is_admitted() || deleted, "the namespace of a team that is gone stays");
        if !was_cut {
            assert!(writes > 2, "the end is more than {writes} writes");
            return;
        }
    }
    panic!("the end has no end");
}
