//! Q: quota.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::attack::{By, Call, Verdicts, set};
use crate::objects::{HOME, LAB, ML, TINY, claim, core, namespace, pod, service};
use crate::persona::{Answer, Persona, send};
use crate::world;

pub(crate) const ROWS: [&str; 13] =
    ["Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q7", "Q8", "Q9", "Q10", "Q11", "Q12", "Q13"];

const QUOTA: &str = "/api/v1/namespaces/app-prod/resourcequotas";

#[tokio::test(flavor = "multi_thread")]
async fn quotas() {
    world::ready().await;
    let mut verdicts = Verdicts::default();
    races(&mut verdicts).await;
    single(&mut verdicts).await;
    miscounted(&mut verdicts).await;
    verdicts.end(&ROWS);
}

/// Rows that one request decides.
pub(crate) async fn single(verdicts: &mut Verdicts) {
    objects_of_the_platform(verdicts).await;
    counted(verdicts).await;
    namespaces(verdicts).await;
    amounts(verdicts).await;
}

/// Everybody creates at once, in both namespaces of the team.
async fn races(verdicts: &mut Verdicts) {
    let creations = (0..80).map(|number| async move {
        let home = if number % 2 == 0 { HOME } else { LAB };
        let mut body = pod(&format!("q1-{number}"));
        set(&mut body, "/metadata/labels", json!({"race": "q1"}));
        set(
            &mut body,
            "/spec/containers/0/resources",
            json!({"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1m", "memory": "1Mi"}}),
        );
        send(Persona::AppEdit, "POST", &core(home, "pods"), Some(&body)).await
    });
    let answers: Vec<Answer> = join_all(creations).await;
    let refused = answers.iter().filter(|answer| answer.message.contains("exceeded quota")).count();
    let mut used = 0;
    for home in [HOME, LAB] {
        let pods = send(Persona::Root, "GET", &core(home, "pods"), None).await;
        used += pods.body["items"].as_array().unwrap().len();
    }
    verdicts.note(
        "Q1",
        "80 creates in two namespaces",
        used <= 50 && refused >= 30,
        format!("{used} pods of 50, {refused} refused"),
    );
    for home in [HOME, LAB] {
        // Other rows have pods of their own there.
        let path = format!("{}?gracePeriodSeconds=0&labelSelector=race%3Dq1", core(home, "pods"));
        assert!(send(Persona::Root, "DELETE", &path, None).await.is_admitted());
    }
    world::quota_is_free(HOME).await;
    let quota =
        send(Persona::Root, "GET", &format!("{}/team-quota", core(ML, "resourcequotas")), None).await.body;
    let binding = send(
        Persona::Root,
        "GET",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/ml-prod/rolebindings/team-admin",
        None,
    )
    .await
    .body;
    let version =
        |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    let enforced = quota["status"]["hard"].is_object();
    let later = version(&binding) > version(&quota);
    verdicts.note(
        "Q2",
        "rights before the quota is enforced",
        enforced && later,
        format!("{quota} {binding}"),
    );
}

async fn objects_of_the_platform(verdicts: &mut Verdicts) {
    let limits = "/api/v1/namespaces/app-prod/limitranges";
    let managed = By::Policy("mlp-managed", "managed-object");
    for (persona, by) in [(Persona::AppAdmin, By::Rights), (Persona::Operator, managed)] {
        let more = json!({"spec": {"hard": {"pods": "1000"}}});
        for path in [format!("{QUOTA}/team-quota"), format!("{QUOTA}/team-quota/status")] {
            verdicts
                .refused(
                    "Q3",
                    &path,
                    Call::patch(
                        persona,
                        &path,
                        json!({"status": {"hard": {"pods": "1000"}}, "spec": more["spec"]}),
                    ),
                    by,
                )
                .await;
        }
        let wide = json!({"spec": {"limits": []}});
        verdicts
            .refused(
                "Q3",
                "a wider limit range",
                Call::patch(persona, &format!("{limits}/team-limits"), wide),
                by,
            )
            .await;
        verdicts
            .refused("Q3", "no quota", Call::plain(persona, "DELETE", &format!("{QUOTA}/team-quota")), by)
            .await;
        verdicts.refused("Q3", "no quotas", Call::plain(persona, "DELETE", QUOTA), by).await;
        let second = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "second"}, "spec": {"hard": {"pods": "1"}}});
        verdicts.refused("Q4", "a second quota", Call::create(persona, QUOTA, second), by).await;
        let second = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "second"},
            "spec": {"limits": [{"type": "Container", "default": {"cpu": "4"}}]}});
        verdicts.refused("Q4", "a second limit range", Call::create(persona, limits, second), by).await;
    }
    let mut effortless = pod("q");
    effortless["spec"]["containers"][0].as_object_mut().unwrap().remove("resources");
    set(&mut effortless, "/spec/activeDeadlineSeconds", json!(60));
    let answer = Call::create(Persona::AppEdit, &core(HOME, "pods"), effortless).send().await;
    let requests = &answer.body["spec"]["containers"][0]["resources"]["requests"];
    let holds = requests["cpu"] == "125m" && requests["memory"] == "256Mi";
    verdicts.note("Q5", "a pod outside every scope", holds, format!("{} {requests}", answer.message));
}

/// Team `tiny` has two of everything.
async fn counted(verdicts: &mut Verdicts) {
    let pods = core(TINY, "pods");
    for number in 0..2 {
        let there = send(Persona::Root, "GET", &format!("{pods}/q6-{number}"), None).await.is_admitted();
        if !there {
            let created = send(Persona::TinyAdmin, "POST", &pods, Some(&pod(&format!("q6-{number}")))).await;
            let has_two = created.message.contains("used: count/pods=2");
            assert!(created.is_admitted() || has_two, "{}", created.message);
        }
        let done = json!({"status": {"phase": "Succeeded"}});
        let path = format!("{pods}/q6-{number}/status");
        assert!(send(Persona::Root, "PATCH", &path, Some(&done)).await.is_admitted());
    }
    let third = Call::create(Persona::TinyAdmin, &pods, pod("q6-2"));
    verdicts.refused("Q6", "one more finished pod", third, By::Quota("count/pods")).await;
    let claims = core(TINY, "persistentvolumeclaims");
    let size = |size: &str| {
        Call::create(Persona::TinyAdmin, &claims, claim("q7"))
            .with("/spec/resources/requests/storage", json!(size))
    };
    verdicts
        .row("Q7", "storage beyond the quota", size("3Gi"), By::Quota("requests.storage"), size("1Gi"))
        .await;
    let fast = size("1Gi").with("/spec/volumeAttributesClassName", json!("gold"));
    verdicts
        .row("Q7", "a faster volume", fast, By::Policy("mlp-storage", "volume-attributes-class"), size("1Gi"))
        .await;
    let scratch = |amount: &str| {
        let call = Call::create(Persona::AppEdit, &core(HOME, "pods"), pod("q8"));
        call.with("/spec/containers/0/resources/limits/ephemeral-storage", json!(amount))
    };
    verdicts
        .row(
            "Q8",
            "scratch space beyond the quota",
            scratch("500Gi"),
            By::Quota("ephemeral-storage"),
            scratch("1Gi"),
        )
        .await;
    let used = || async {
        let quota = send(Persona::Root, "GET", &format!("{QUOTA}/team-quota"), None).await.body;
        quota["status"]["used"].clone()
    };
    let before = used().await;
    let storm = (0..50)
        .map(|_| async { Call::create(Persona::AppEdit, &core(HOME, "pods"), pod("q10")).send().await });
    let admitted = join_all(storm).await.iter().filter(|answer| answer.is_admitted()).count();
    let after = used().await;
    verdicts.note(
        "Q10",
        "a storm of dry runs",
        before == after && admitted == 50,
        format!("{before} then {after}; {admitted} admitted"),
    );
}

async fn namespaces(verdicts: &mut Verdicts) {
    let create = |persona, body| Call::create(persona, "/api/v1/namespaces", body);
    verdicts
        .refused(
            "Q11",
            "a namespace of one's own",
            create(Persona::AppAdmin, namespace("app-more")),
            By::Rights,
        )
        .await;
    let mut labelled = namespace("ml-fake");
    set(&mut labelled, "/metadata/labels", json!({"mlplatform.dev/team": "ml"}));
    let by = By::Policy("mlp-cluster", "namespace-keys");
    verdicts
        .row(
            "Q11",
            "a namespace in another's name",
            create(Persona::Operator, labelled),
            by,
            create(Persona::Operator, namespace("plain")),
        )
        .await;
    let richer = json!({"metadata": {"labels": {"mlplatform.dev/team": "ml"}}});
    let patch = |persona, body: &Value| Call::patch(persona, "/api/v1/namespaces/app-prod", body.clone());
    verdicts.refused("Q12", "into a richer team", patch(Persona::AppAdmin, &richer), By::Rights).await;
    let twin = patch(Persona::Operator, &json!({"metadata": {"labels": {"note": "x"}}}));
    verdicts.row("Q12", "into a richer team", patch(Persona::Operator, &richer), by, twin).await;
    let list = json!({"metadata": {"annotations": {"isolation.mlplatform.dev/extended-resources": "nvidia.com/gpu"}}});
    verdicts.refused("Q12", "its own lists", patch(Persona::Operator, &list), by).await;
}

async fn amounts(verdicts: &mut Verdicts) {
    let team = |cpu: &str| {
        let body = json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": {"name": "q"},
            "spec": {"quota": {"requests": {"cpu": cpu}}}});
        Call::create(Persona::Root, "/apis/mlplatform.dev/v1alpha1/teams", body)
    };
    for (amount, words) in
        [("-1", "not negative"), ("lots", "must be a quantity"), ("1e", "must be a quantity")]
    {
        verdicts.row("Q13", amount, team(amount), By::Validation(words), team("500m")).await;
    }
    let cpu = |amount: &str| {
        Call::create(Persona::AppEdit, &core(HOME, "pods"), pod("q"))
            .with("/spec/containers/0/resources/requests/cpu", json!(amount))
    };
    verdicts
        .row(
            "Q13",
            "a negative request",
            cpu("-1"),
            By::Validation("must be greater than or equal to 0"),
            cpu("100m"),
        )
        .await;
    verdicts.refused("Q13", "a huge request", cpu("1e30"), By::Validation("")).await;
}

/// A failed create is charged until the quota's controller counts again (kubernetes#61530).
async fn miscounted(verdicts: &mut Verdicts) {
    let path = format!("{}/team-quota/status", core(TINY, "resourcequotas"));
    let inflated = json!({"status": {"used": {"services": "2"}}});
    assert!(send(Persona::Root, "PATCH", &path, Some(&inflated)).await.is_admitted());
    let refused = Call::create(Persona::TinyAdmin, &core(TINY, "services"), service("q9")).send().await;
    let was_refused = refused.message.contains("exceeded quota");
    let mended = world::recounted(TINY, "services").await;
    let said = format!("{} {mended:?}", refused.message);
    verdicts.note("Q9", "use that nobody has", was_refused && mended.is_ok(), said);
}
