//! C: starving the control plane.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};

use crate::attack::{By, Call, Verdicts, set};
use crate::objects::{HOME, TINY, config_map, core, cron_job, job, of, pod, resource_claim};
use crate::persona::{Persona, flow_schema, send};
use crate::world;

pub(crate) const ROWS: [&str; 9] = ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9"];

#[tokio::test(flavor = "multi_thread")]
async fn starving() {
    world::ready().await;
    let mut verdicts = Verdicts::default();
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "c"}, "involvedObject": {"namespace": HOME}});
    for (id, persona, method, path, body, wanted) in [
        (
            "C1",
            Persona::AppAccount,
            "POST",
            format!("{}?dryRun=All", core(HOME, "events")),
            Some(event),
            "mlp-team-events",
        ),
        ("C5", Persona::AppAccount, "GET", core(HOME, "pods"), None, "mlp-teams"),
        ("C5", Persona::AppEdit, "GET", core(HOME, "pods"), None, "mlp-teams"),
    ] {
        let found = flow_schema(persona, method, &path, body.as_ref()).await;
        verdicts.note(id, "its own queue", found == wanted, found);
    }
    let schema =
        send(Persona::Root, "GET", "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/mlp-teams", None)
            .await
            .body;
    verdicts.note(
        "C5",
        "one queue for each user",
        schema["spec"]["distinguisherMethod"]["type"] == "ByUser",
        schema["spec"].to_string(),
    );
    counts(&mut verdicts).await;
    cost(&mut verdicts).await;
    single(&mut verdicts).await;
    world::with_service(churn(&mut verdicts)).await;
    verdicts.end(&ROWS);
}

/// Rows that one request decides.
pub(crate) async fn single(verdicts: &mut Verdicts) {
    jobs(verdicts).await;
    versions(verdicts).await;
    own(verdicts).await;
}

async fn counts(verdicts: &mut Verdicts) {
    let maps = core(TINY, "configmaps");
    let fill = |name: &str| {
        let mut body = config_map(name);
        set(&mut body, "/data/blob", json!("x".repeat(900_000)));
        body
    };
    let mut last = String::new();
    for number in 0..4 {
        last = send(Persona::TinyAdmin, "POST", &maps, Some(&fill(&format!("c2-{number}")))).await.message;
    }
    verdicts.note(
        "C2",
        "megabytes of ConfigMaps",
        last.contains("exceeded quota: team-quota") && last.contains("configmaps"),
        last,
    );
    let monitors = of("monitoring.coreos.com/v1", TINY, "servicemonitors");
    let mut last = String::new();
    for number in 0..3 {
        let body = json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": format!("c3-{number}")}, "spec": {}});
        last = send(Persona::TinyAdmin, "POST", &monitors, Some(&body)).await.message;
    }
    verdicts.note(
        "C3",
        "a flood of custom resources",
        last.contains("count/servicemonitors.monitoring.coreos.com"),
        last,
    );
}

async fn jobs(verdicts: &mut Verdicts) {
    let rule = |rule| By::Policy("mlp-workloads", rule);
    let cron = || Call::create(Persona::AppEdit, &of("batch/v1", HOME, "cronjobs"), cron_job("c"));
    for schedule in ["* * * * *", "*/1 * * * *", "0-59 * * * *", "*/01 * * * *", "*,1 * * * *", "@every 1s"] {
        verdicts
            .row("C4", schedule, cron().with("/spec/schedule", json!(schedule)), rule("schedule"), cron())
            .await;
    }
    let history = cron().with("/spec/successfulJobsHistoryLimit", json!(1000));
    verdicts.row("C4", "a long history", history, rule("job-history"), cron()).await;
    let queued = || {
        let call = Call::create(Persona::AppEdit, &of("batch/v1", HOME, "jobs"), job("c"));
        call.with("/metadata/labels", json!({"kueue.x-k8s.io/queue-name": "app"}))
    };
    verdicts
        .row(
            "C4",
            "Jobs that stay for ever",
            queued().with("/spec/ttlSecondsAfterFinished", Value::Null),
            rule("job-ttl"),
            queued(),
        )
        .await;
    verdicts
        .row(
            "C4",
            "Jobs that stay for a year",
            queued().with("/spec/ttlSecondsAfterFinished", json!(31_536_000)),
            rule("job-ttl"),
            queued(),
        )
        .await;
}

/// A huge spec costs its sender, and nobody else waits.
async fn cost(verdicts: &mut Verdicts) {
    let mut huge = pod("c6");
    let env: Vec<_> =
        (0..8000).map(|number| json!({"name": format!("E{number}"), "value": "x".repeat(60)})).collect();
    set(&mut huge, "/spec/containers/0/env", json!(env));
    let storm = (0..16).map(|_| async {
        Call::create(Persona::MlAdmin, &core(crate::objects::ML, "pods"), huge.clone()).send().await.code
    });
    let other = async {
        let begun = Instant::now();
        let answer = Call::create(Persona::AppEdit, &core(HOME, "pods"), pod("c6")).send().await;
        (answer, begun.elapsed())
    };
    let (codes, (answer, took)) = futures::future::join(join_all(storm), other).await;
    // Either verdict is the sender's own business; a server that failed would answer 5xx.
    let sound =
        codes.iter().all(|code| *code < 500) && answer.is_admitted() && took < Duration::from_secs(20);
    verdicts.note(
        "C6",
        "a spec that is dear to judge",
        sound,
        format!("{codes:?}; {} after {took:?}", answer.message),
    );
}

/// The same object in another version of its API.
async fn versions(verdicts: &mut Verdicts) {
    let old = json!({"apiVersion": "resource.k8s.io/v1beta1", "kind": "ResourceClaim", "metadata": {"name": "c"},
        "spec": {"devices": {"requests": [{"name": "gpu", "deviceClassName": "gpu.nvidia.com"}]}}});
    let by = By::Policy("mlp-devices", "device-class");
    let newer = Call::create(
        Persona::AppAdmin,
        &of("resource.k8s.io/v1", HOME, "resourceclaims"),
        resource_claim("c", "gpu.nvidia.com"),
    );
    verdicts.refused("C8", "the served version", newer, by).await;
    let path = of("resource.k8s.io/v1beta1", HOME, "resourceclaims");
    let older = Call::create(Persona::AppAdmin, &path, old).send().await;
    // Where the older version is not served there is nothing to attack.
    let holds = older.code == 404 || (older.code == 403 && older.message.contains("mlp-devices"));
    verdicts.note("C8", "an older version", holds, format!("{} {}", older.code, older.message));
    let policies =
        send(Persona::Root, "GET", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", None)
            .await
            .body;
    for policy in policies["items"].as_array().unwrap() {
        let name = policy["metadata"]["name"].as_str().unwrap();
        if name.starts_with("mlp-") {
            let how = &policy["spec"]["matchConstraints"]["matchPolicy"];
            verdicts.note("C8", name, *how == "Equivalent", how.to_string());
            let sound = policy["spec"]["failurePolicy"] == "Fail"
                && policy["status"]["typeChecking"]["expressionWarnings"].is_null();
            verdicts.note("C8", name, sound, policy["status"].to_string());
        }
    }
}

/// One team keeps the service busy; another's isolation is repaired all the same.
async fn churn(verdicts: &mut Verdicts) {
    let busy = async {
        for number in 0..200 {
            let change = json!({"metadata": {"labels": {"churn": number.to_string()}}});
            let path = "/api/v1/namespaces/app-lab/serviceaccounts/default";
            drop(send(Persona::Root, "PATCH", path, Some(&change)).await);
            let path = "/api/v1/namespaces/app-lab/serviceaccounts/app-team";
            drop(send(Persona::Root, "PATCH", path, Some(&change)).await);
        }
    };
    let repaired =
        world::repaired("/apis/networking.k8s.io/v1/namespaces/ml-prod/networkpolicies/team-flows");
    let ((), took) = futures::future::join(busy, repaired).await;
    let holds = took.is_some_and(|took| took < Duration::from_secs(2));
    verdicts.note("C7", "repaired while another team is busy", holds, format!("{took:?}"));
    let clean = json!({"metadata": {"labels": {"churn": null}}});
    for name in ["default", "app-team"] {
        drop(
            send(
                Persona::Root,
                "PATCH",
                &format!("/api/v1/namespaces/app-lab/serviceaccounts/{name}"),
                Some(&clean),
            )
            .await,
        );
    }
}

/// The platform's own namespace is none of a team's, and its pods are not judged by teams' rules.
async fn own(verdicts: &mut Verdicts) {
    for plural in ["pods", "secrets", "resourcequotas"] {
        let path = format!("{}/x", core("mlp-system", plural));
        verdicts.refused("C9", plural, Call::plain(Persona::AppAdmin, "DELETE", &path), By::Rights).await;
    }
    let mut own = pod("c9");
    set(&mut own, "/spec/containers/0/image", json!("registry.internal/mlp/team-isolation:0.1.0"));
    set(&mut own, "/spec/priorityClassName", json!("platform-critical"));
    let answer = Call::create(Persona::Root, &core("mlp-system", "pods"), own).send().await;
    verdicts.note("C9", "the platform's own pod", answer.is_admitted(), answer.message);
}
