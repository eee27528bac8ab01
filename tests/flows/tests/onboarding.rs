//! One Team, applied as a person does, becomes everything that the seed promises a team.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{LimitRange, Namespace, Pod, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Client;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use mlp_crds::Team;
use mlp_flows::{Tested, apply, client, create, refusal, remove, team, until, until_isolated};
use serde_json::json;

async fn may(
    client: &Client,
    group: &str,
    verb: &str,
    resource: &str,
    namespace: &str,
) -> Result<bool, kube::Error> {
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some("someone".into()),
            groups: Some(vec![group.into(), "system:authenticated".into()]),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.into()),
                resource: Some(resource.into()),
                namespace: Some(namespace.into()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    Ok(create(&api, &review).await?.status.is_some_and(|status| status.allowed))
}

#[tokio::test]
async fn a_team_gets_namespace_quota_limits_rights_and_network_policy() -> Tested {
    let client = client().await?;
    apply::<Team>(&client, None, &team("alpha")).await?;
    until_isolated(&client, "alpha").await?;
    let namespace: Namespace = Api::all(client.clone()).get("alpha-team").await?;
    let labels = namespace.labels();
    for (key, value) in [
        ("mlplatform.dev/team", "alpha"),
        ("mlplatform.dev/cost-center", "alpha"),
        ("mlplatform.dev/environment", "local"),
    ] {
        assert_eq!(labels.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(labels.contains_key("pod-security.kubernetes.io/enforce"));
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), "alpha-team");
    let quota = quotas.list(&ListParams::default()).await?.items.remove(0);
    let hard = quota.status.and_then(|status| status.hard).unwrap_or_default();
    assert_eq!(hard.get("requests.cpu").map(|quantity| quantity.0.as_str()), Some("2"));
    let limits: Api<LimitRange> = Api::namespaced(client.clone(), "alpha-team");
    assert_eq!(limits.list(&ListParams::default()).await?.items.len(), 1, "the Team asks for a limit range");
    let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), "alpha-team");
    assert!(!policies.list(&ListParams::default()).await?.items.is_empty());
    for (group, verb, resource, namespace, allowed) in [
        ("alpha-engineers", "create", "pods", "alpha-team", true),
        ("alpha-engineers", "delete", "resourcequotas", "alpha-team", false),
        ("alpha-engineers", "update", "limitranges", "alpha-team", false),
        ("alpha-engineers", "create", "pods", "ml-team", false),
        ("ml-engineers", "create", "pods", "alpha-team", false),
    ] {
        let answer = may(&client, group, verb, resource, namespace).await?;
        assert_eq!(answer, allowed, "{group} {verb} {resource} in {namespace}");
    }
    remove(&Api::<Team>::all(client), "alpha").await
}

#[tokio::test]
async fn quota_admits_what_fits_and_refuses_what_does_not() -> Tested {
    let client = client().await?;
    apply::<Team>(&client, None, &team("quota")).await?;
    until_isolated(&client, "quota").await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "quota-team");
    let pod = |name: &str, cpu: &str| {
        serde_json::from_value::<Pod>(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{"name": "c", "image": "example.com/none:1",
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                    "resources": {"requests": {"cpu": cpu, "memory": "128Mi"}, "limits": {"cpu": cpu, "memory": "128Mi"}}}]}}))
    };
    create(&pods, &pod("fits", "1")?).await?;
    let message = refusal(create(&pods, &pod("too-much", "1500m")?).await);
    assert!(message.contains("exceeded quota") && message.contains("requests.cpu"), "{message}");
    remove(&pods, "fits").await?;
    remove(&Api::<Team>::all(client), "quota").await
}

#[tokio::test]
async fn what_somebody_deletes_is_back_and_what_they_add_stays() -> Tested {
    let client = client().await?;
    apply::<Team>(&client, None, &team("repair")).await?;
    until_isolated(&client, "repair").await?;
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), "repair-team");
    let name = quotas.list(&ListParams::default()).await?.items.remove(0).name_any();
    let before = quotas.get(&name).await?.uid();
    quotas.delete(&name, &kube::api::DeleteParams::default()).await?;
    until(&quotas, &name, "the quota is back", |quota| quota.uid() != before).await?;
    remove(&Api::<Team>::all(client), "repair").await
}

#[tokio::test]
async fn a_team_that_holds_workloads_is_not_removed_and_says_what_holds_it() -> Tested {
    let client = client().await?;
    apply::<Team>(&client, None, &team("held")).await?;
    until_isolated(&client, "held").await?;
    let claims: Api<k8s_openapi::api::core::v1::PersistentVolumeClaim> =
        Api::namespaced(client.clone(), "held-team");
    let claim = serde_json::from_value(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "keep"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}))?;
    create(&claims, &claim).await?;
    let teams: Api<Team> = Api::all(client.clone());
    teams.delete("held", &kube::api::DeleteParams::default()).await?;
    let held = until(&teams, "held", "the team says what holds it", |team| {
        let status = team.status.clone().unwrap_or_default();
        status.conditions.iter().any(|condition| condition.message.contains("1 PersistentVolumeClaim"))
    });
    held.await?;
    assert!(Api::<Namespace>::all(client.clone()).get_opt("held-team").await?.is_some());
    remove(&claims, "keep").await?;
    remove(&teams, "held").await?;
    let namespaces: Api<Namespace> = Api::all(client);
    remove(&namespaces, "held-team").await
}
