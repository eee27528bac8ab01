//! What holds teams apart, as its users meet it: exemptions that end, refusals that are explained, quota
//! that follows demand, a way out that can be undone, and the commands of `mlp team`.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, ResourceQuota};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt as _};
use mlp_crds::{IsolationExemption, Team};
use mlp_flows::cli::{mlp, mlp_ok};
use mlp_flows::{Tested, apply, client, remove, says, team, until, until_isolated};
use serde_json::{Value, json};

/// A team with a production namespace, and what else `spec` says.
fn strict(name: &str, spec: &Value) -> Value {
    let mut manifest = team(name);
    manifest["spec"]["namespaces"] = json!([{"name": format!("{name}-prod"), "environment": "prod"}]);
    for (key, value) in spec.as_object().into_iter().flatten() {
        manifest["spec"][key] = value.clone();
    }
    manifest
}

fn pod(image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "main", "image": image, "imagePullPolicy": "Always",
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "10m", "memory": "16Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

async fn dry_run(client: &Client, namespace: &str, object: &Value) -> Result<(), String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let object = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    let parameters = kube::api::PostParams { dry_run: true, ..Default::default() };
    pods.create(&parameters, &object).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_exemption_lifts_one_rule_until_its_end_and_no_longer() -> Tested {
    let client = client().await?;
    apply::<Team>(&client, None, &strict("exempt", &json!({}))).await?;
    until_isolated(&client, "exempt").await?;
    let loose = pod("quay.io/acme/tool:latest");
    let refused = dry_run(&client, "exempt-prod", &loose).await.unwrap_err();
    assert!(refused.contains("image-tag: "), "{refused}");
    let end = Timestamp::now() + SignedDuration::from_secs(12);
    let end = Timestamp::from_second(end.as_second())?.to_string();
    let exemption = json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": "IsolationExemption", "metadata": {"name": "exempt-tag"},
        "spec": {"team": "exempt", "rules": ["image-tag"], "expires": end, "reason": "vendor image without versions",
            "approvedBy": "platform@company.com", "ticket": "OPS-7"}});
    apply::<IsolationExemption>(&client, None, &exemption).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let key = "exempt.mlplatform.dev/image-tag";
    until(&namespaces, "exempt-prod", "the exemption stands in the namespace", |namespace| {
        namespace.annotations().contains_key(key)
    })
    .await?;
    dry_run(&client, "exempt-prod", &loose).await?;
    let exemptions: Api<IsolationExemption> = Api::all(client.clone());
    let stands = |exemption: &IsolationExemption, status: &str| {
        says(&exemption.status.clone().unwrap_or_default().conditions, "Ready", status)
    };
    until(&exemptions, "exempt-tag", "the exemption says that it is in force", |it| stands(it, "True"))
        .await?;
    let other = dry_run(&client, "exempt-prod", &pod("evil.example.com/x:1")).await.unwrap_err();
    assert!(other.contains("image-registry: "), "only the rule that is named: {other}");
    until(&namespaces, "exempt-prod", "the exemption has gone", |namespace| {
        !namespace.annotations().contains_key(key)
    })
    .await?;
    let over = dry_run(&client, "exempt-prod", &loose).await.unwrap_err();
    assert!(over.contains("image-tag: "), "{over}");
    until(&exemptions, "exempt-tag", "the exemption says that it has ended", |it| stands(it, "False"))
        .await?;
    remove(&exemptions, "exempt-tag").await?;
    remove(&Api::<Team>::all(client), "exempt").await
}

#[tokio::test]
async fn a_refusal_is_explained_to_the_team_and_stated_as_a_fact() -> Tested {
    let client = client().await?;
    apply::<Team>(&client, None, &strict("refused", &json!({}))).await?;
    until_isolated(&client, "refused").await?;
    let refused = dry_run(&client, "refused-prod", &pod("quay.io/acme/tool:latest")).await.unwrap_err();
    assert!(refused.contains("image-tag: "), "{refused}");
    let teams: Api<Team> = Api::all(client.clone());
    until(&teams, "refused", "the refusal is in the status", |team| {
        let denials = team.status.clone().unwrap_or_default().denials;
        denials.iter().any(|denial| {
            denial.rule == "image-tag" && denial.control == "policy" && denial.action == "create pods"
        })
    })
    .await?;
    let why = mlp_ok(&["team", "why", "refused"]);
    assert!(why.contains("image-tag (policy)") && why.contains("name a version or a digest"), "{why}");
    let facts = mlp_ok(&["events", "tail", "--all", "--no-follow", "--team", "refused", "-o", "json"]);
    assert!(facts.contains("AdmissionDenied") && facts.contains("image-tag"), "{facts}");
    remove(&teams, "refused").await
}

#[tokio::test]
async fn quota_follows_demand_between_namespaces_and_its_sum_stays() -> Tested {
    let client = client().await?;
    let mut manifest = team("lender");
    manifest["spec"] = json!({
        "namespaces": [{"name": "lender-a"}, {"name": "lender-b"}],
        "quota": {"objects": {"pods": 10}},
    });
    apply::<Team>(&client, None, &manifest).await?;
    until_isolated(&client, "lender").await?;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "many"},
        "spec": {"replicas": 8, "selector": {"matchLabels": {"app": "many"}}, "template": {
            "metadata": {"labels": {"app": "many"}},
            "spec": {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
                "nodeSelector": {"example.com/nowhere": "true"}},
        }},
    });
    apply::<Deployment>(&client, Some("lender-a"), &deployment).await?;
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), "lender-a");
    until(&quotas, "team-quota", "eight of the ten pods are in one namespace", |quota| {
        let used = quota.status.as_ref().and_then(|status| status.used.as_ref()?.get("pods").cloned());
        used.is_some_and(|used| used.0 == "8")
    })
    .await?;
    let teams: Api<Team> = Api::all(client.clone());
    // How much is used is written some seconds late.
    until(&teams, "lender", "the team's status counts them", |team| {
        let quota = team.status.clone().unwrap_or_default().quota.unwrap_or_default();
        quota.used.get("pods").is_some_and(|used| used.as_str() == "8")
    })
    .await?;
    let mut sum = 0;
    for namespace in ["lender-a", "lender-b"] {
        let quota = Api::<ResourceQuota>::namespaced(client.clone(), namespace).get("team-quota").await?;
        let hard = quota.status.and_then(|status| status.hard?.get("pods").cloned()).unwrap_or_default();
        sum += hard.0.parse::<u32>()?;
    }
    assert!(sum <= 10, "{sum} pods of 10");
    let usage = mlp_ok(&["team", "usage", "lender"]);
    assert!(usage.contains("8/10"), "{usage}");
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "lender-a");
    remove(&deployments, "many").await?;
    remove(&Api::<Team>::all(client), "lender").await
}

#[tokio::test]
async fn the_way_out_can_be_undone_and_goes_with_its_data_at_the_end() -> Tested {
    let client = client().await?;
    apply::<Team>(&client, None, &team("leaver")).await?;
    until_isolated(&client, "leaver").await?;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "work"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "work"}}, "template": {
            "metadata": {"labels": {"app": "work"}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10",
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "10m", "memory": "16Mi"}}}],
                "nodeSelector": {"example.com/nowhere": "true"}},
        }},
    });
    apply::<Deployment>(&client, Some("leaver-team"), &deployment).await?;
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), "leaver-team");
    let mine = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "mine"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "mlp-team-edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ana"}]});
    apply::<RoleBinding>(&client, Some("leaver-team"), &mine).await?;
    let holders = async || -> Result<usize, kube::Error> {
        let all = bindings.list(&ListParams::default()).await?;
        Ok(all.iter().flat_map(|binding| binding.subjects.iter().flatten()).count())
    };
    let teams: Api<Team> = Api::all(client.clone());
    let phase =
        |phase: &str, hours: u32| json!({"spec": {"offboarding": {"phase": phase, "retentionHours": hours}}});
    let change =
        async |patch: Value| teams.patch("leaver", &PatchParams::default(), &Patch::Merge(&patch)).await;
    let shown = mlp_ok(&["team", "offboard", "leaver"]);
    assert!(shown.contains("nothing was changed; --yes begins") && holders().await? > 1, "{shown}");
    let out = mlp_ok(&["team", "offboard", "leaver", "--yes", "--retention-hours", "0"]);
    assert!(out.contains("rights are cut and work has stopped"), "{out}");
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "leaver-team");
    let replicas = |deployment: &Deployment| deployment.spec.as_ref().and_then(|spec| spec.replicas);
    assert_eq!(replicas(&deployments.get("work").await?), Some(0));
    assert_eq!(holders().await?, 0, "rights are cut, those that the team gave among them");
    let back = mlp_ok(&["team", "offboard", "leaver", "--undo"]);
    assert!(back.contains("team leaver works again"), "{back}");
    until(&deployments, "work", "work goes on", |deployment| replicas(deployment) == Some(2)).await?;
    let own = bindings.get("mine").await?.subjects.unwrap_or_default();
    assert!(holders().await? > 1 && own.len() == 1, "rights are back");
    change(phase("Suspended", 0)).await?;
    until(&teams, "leaver", "work has stopped again", |team| {
        team.status
            .as_ref()
            .is_some_and(|status| status.offboarding.as_ref().is_some_and(|out| out.retained_until.is_some()))
    })
    .await?;
    // The retention of no hours is over: the team goes with its Deployment.
    remove(&teams, "leaver").await?;
    assert!(Api::<Namespace>::all(client).get_opt("leaver-team").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn hosts_are_one_teams_alone_and_a_lowered_quota_says_so() -> Tested {
    let client = client().await?;
    let first = strict(
        "first",
        &json!({"ingress": {"hosts": ["shop.example.com"]}, "quota": {"objects": {"configmaps": 5}}}),
    );
    apply::<Team>(&client, None, &first).await?;
    until_isolated(&client, "first").await?;
    let second =
        strict("second", &json!({"ingress": {"hosts": ["api.shop.example.com", "second.example.com"]}}));
    apply::<Team>(&client, None, &second).await?;
    until_isolated(&client, "second").await?;
    let teams: Api<Team> = Api::all(client.clone());
    until(&teams, "second", "the other's host is refused by name", |team| {
        let conditions = team.status.clone().unwrap_or_default().conditions;
        let refused = conditions
            .iter()
            .any(|one| one.type_ == "HostsGranted" && one.message.contains("belongs to team first"));
        refused && says(&conditions, "HostsGranted", "False")
    })
    .await?;
    let namespace = Api::<Namespace>::all(client.clone()).get("second-prod").await?;
    let hosts = namespace.annotations().get("isolation.mlplatform.dev/hosts").cloned();
    assert_eq!(hosts.as_deref(), Some("second.example.com"));
    let unknown = json!({"spec": {"policy": {"storageClasses": ["stndard"]}, "scheduling": {"nodePools": ["nowhere"]}}});
    teams.patch("first", &PatchParams::default(), &Patch::Merge(&unknown)).await?;
    until(&teams, "first", "a class and a pool that nothing has are named", |team| {
        let conditions = team.status.clone().unwrap_or_default().conditions;
        let found = conditions.into_iter().find(|one| one.type_ == "ReferencesFound");
        found.is_some_and(|one| {
            one.status == "False" && one.message.contains("stndard") && one.message.contains("nowhere")
        })
    })
    .await?;
    let lower = json!({"spec": {"quota": {"objects": {"configmaps": 0}}}});
    teams.patch("first", &PatchParams::default(), &Patch::Merge(&lower)).await?;
    until(&teams, "first", "the quota is below its use", |team| {
        says(&team.status.clone().unwrap_or_default().conditions, "QuotaCoversUse", "False")
    })
    .await?;
    remove(&teams, "second").await?;
    remove(&teams, "first").await
}

#[tokio::test]
async fn the_commands_of_a_team_answer() -> Tested {
    let can: Value = serde_json::from_str(&mlp_ok(&[
        "team",
        "can-i",
        "ml",
        "--as",
        "eve",
        "--as-group",
        "ml-engineers",
        "--output",
        "json",
    ]))?;
    let verbs = |resource: &str| {
        let rights = can["rights"].as_array().into_iter().flatten();
        let found =
            rights.into_iter().find(|right| right["resource"] == resource && right["namespace"] == "ml-team");
        found.map(|right| right["verbs"].to_string()).unwrap_or_default()
    };
    assert!(verbs("pods").contains("create") && !verbs("resourcequotas").contains("create"), "{can}");
    let others: Value = serde_json::from_str(&mlp_ok(&[
        "team",
        "can-i",
        "data",
        "--as",
        "eve",
        "--as-group",
        "ml-engineers",
        "--output",
        "json",
    ]))?;
    assert!(
        others["rights"].as_array().is_some_and(|rights| rights
            .iter()
            .all(|right| right["verbs"].is_null() || right["verbs"] == json!([]))),
        "{others}"
    );
    let report = mlp(&["team", "compliance", "ml", "-o", "json"]);
    let report: Value = serde_json::from_slice(&report.stdout)?;
    assert!(report["percent"].as_i64().is_some_and(|percent| percent > 50), "{report}");
    let missing = report["checks"].as_array().into_iter().flatten().filter(|check| check["holds"] == false);
    assert!(
        missing.clone().all(|check| check["detail"].as_str().is_some_and(|detail| !detail.is_empty())),
        "{report}"
    );
    let sarif: Value = serde_json::from_slice(&mlp(&["team", "compliance", "ml", "-o", "sarif"]).stdout)?;
    assert_eq!(sarif["version"], "2.1.0");
    assert_eq!(mlp_ok(&["team", "plan", "ml"]).trim(), "nothing to do");
    assert!(mlp_ok(&["team", "namespaces"]).contains("no team"), "the administrator is a member of none");
    let wrong = mlp(&["team", "reach", "--from", "ml-team/x", "--to", "nowhere"]);
    assert_eq!(wrong.status.code(), Some(2));
    let stranger = mlp(&["team", "kubeconfig", "ml", "--user", "oto", "--group", "nobody"]);
    assert!(String::from_utf8_lossy(&stranger.stderr).contains("ml-engineers"));
    let path = mlp_ok(&["team", "kubeconfig", "ml", "--user", "eve", "--group", "ml-engineers"]);
    let kubeconfig = Kubeconfig::read_from(path.trim())?;
    let member =
        Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)?;
    let pods = |namespace: &str| Api::<Pod>::namespaced(member.clone(), namespace);
    pods("ml-team").list(&ListParams::default()).await?;
    let other = pods("data-team").list(&ListParams::default()).await.unwrap_err();
    assert!(other.to_string().contains("eve"), "{other}");
    Ok(())
}
