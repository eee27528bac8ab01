//! The story of the README, from the outside: applied resources, facts, one connected trace, drift
//! healed, an incident opened and closed.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch, PatchParams};
use mlp_crds::incident::IncidentState;
use mlp_crds::{Application, Database, Incident, Team};
use mlp_flows::cli::{kubectl_apply, mlp_ok};
use mlp_flows::git::{application, commit, config_map, repository};
use mlp_flows::{Tested, apply, client, remove, team, trace, until, until_isolated};
use mlp_harness::wait_until;
use serde_json::json;

/// Traces arrive in batches; a whole story takes a few of them.
const TRACE_LIMIT: Duration = Duration::from_secs(60);

fn is_synced(application: &Application) -> bool {
    let status = application.status.clone().unwrap_or_default();
    status.sync.is_some_and(|sync| sync.status == "Synced")
}

#[tokio::test]
async fn an_application_follows_git_and_heals_drift() -> Tested {
    let client = client().await?;
    apply::<Team>(&client, None, &team("deploys")).await?;
    until_isolated(&client, "deploys").await?;
    let repository = repository("deploys", "app/settings.yaml", &config_map("first"))?;
    apply::<Application>(&client, Some("deploys-team"), &application("settings", "deploys", &repository))
        .await?;
    let applications: Api<Application> = Api::namespaced(client.clone(), "deploys-team");
    until(&applications, "settings", "the application is synced", is_synced).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "deploys-team");
    let mode = |wanted: &'static str| {
        move |map: &ConfigMap| {
            map.data.as_ref().is_some_and(|data| data.get("mode").is_some_and(|mode| mode == wanted))
        }
    };
    until(&maps, "settings", "the first commit is live", mode("first")).await?;
    commit(std::path::Path::new(&repository), "app/settings.yaml", &config_map("second"))?;
    until(&maps, "settings", "the second commit is live", mode("second")).await?;
    let by_hand = json!({"data": {"mode": "by-hand"}});
    maps.patch("settings", &PatchParams::default(), &Patch::Merge(&by_hand)).await?;
    until(&maps, "settings", "the drift is healed", mode("second")).await?;
    std::fs::remove_file(format!("{repository}/app/settings.yaml"))?;
    commit(
        std::path::Path::new(&repository),
        "app/other.yaml",
        &config_map("x").replace("settings", "other"),
    )?;
    let gone = wait_until(mlp_flows::LIMIT, "what left git is pruned", || async {
        maps.get_opt("settings").await.ok()?.is_none().then_some(())
    });
    gone.await?;
    remove(&applications, "settings").await?;
    remove(&Api::<Team>::all(client), "deploys").await
}

#[tokio::test]
async fn one_story_is_one_connected_graph_through_all_five_services() -> Tested {
    let client = client().await?;
    kubectl_apply(&team("traced"));
    let applied = until_isolated(&client, "traced").await?;
    let database = json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": "Database",
        "metadata": {"name": "store", "namespace": "traced-team"},
        "spec": {"class": "small", "storage": "1Gi", "databaseName": "store", "username": "store"}});
    kubectl_apply(&database);
    let repository = repository("traced", "app/settings.yaml", &config_map("one"))?;
    kubectl_apply(&application("settings", "traced", &repository));
    let applications: Api<Application> = Api::namespaced(client.clone(), "traced-team");
    until(&applications, "settings", "the application is synced", is_synced).await?;

    let flow =
        mlp_model::Flow::derive(&applied.uid().unwrap_or_default(), applied.metadata.generation.unwrap_or(1));
    let id: String = flow.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let all = ["team-isolation", "provisioner", "gitops-sync", "cost-attribution", "health-monitor"];
    let spans = wait_until(TRACE_LIMIT, "the story is in Jaeger, whole", || async {
        let roots = ["team/traced", "database/traced-team/store", "application/traced-team/settings"];
        let mut spans = trace::follow(&id, 32);
        for root in roots {
            let output = mlp_flows::cli::mlp(&["trace", root]);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let trace_id = text.split_whitespace().nth(1).map(|id| id.trim_end_matches(',').to_owned());
            spans.extend(trace_id.iter().flat_map(|id| trace::follow(id, 32)));
        }
        spans.sort_by(|left, right| left.id.cmp(&right.id));
        spans.dedup_by(|left, right| left.id == right.id);
        let services: BTreeSet<_> = spans.iter().map(|span| span.service.as_str()).collect();
        let complete = all.iter().all(|service| services.contains(service));
        (complete && trace::orphans(&spans).is_empty() && trace::pieces(&spans) == 1).then_some(spans)
    });
    let spans = spans.await?;
    assert!(spans.iter().any(|span| span.name.contains("team-isolated")), "the fact is in the trace");
    remove(&applications, "settings").await?;
    remove(&Api::<Database>::namespaced(client.clone(), "traced-team"), "store").await?;
    Ok(())
}

#[tokio::test]
async fn a_database_gives_one_connection_secret_that_resolves_to_what_was_made() -> Tested {
    let client = client().await?;
    let databases: Api<Database> = Api::namespaced(client.clone(), "ml-team");
    let database = databases.get("features").await?;
    let status = database.status.unwrap_or_default();
    let secret: Secret =
        Api::namespaced(client.clone(), "ml-team").get(&status.secret_name.unwrap_or_default()).await?;
    assert_eq!(secret.type_.as_deref(), Some("servicebinding.io/postgresql"));
    let data = secret.data.unwrap_or_default();
    let text = |key: &str| {
        data.get(key).map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).unwrap_or_default()
    };
    for key in ["type", "provider", "host", "port", "username", "password", "database", "uri"] {
        assert!(!text(key).is_empty(), "the secret has no {key}");
    }
    let endpoint = status.endpoint.ok_or("no endpoint")?;
    assert_eq!((text("host"), text("port")), (endpoint.host.clone(), endpoint.port.to_string()));
    let name = endpoint.host.split('.').next().unwrap_or_default().to_owned();
    let service: Option<k8s_openapi::api::core::v1::Service> =
        Api::namespaced(client, "ml-team").get_opt(&name).await?;
    assert!(service.is_some(), "the endpoint {} names no Service", endpoint.host);
    Ok(())
}

#[tokio::test]
async fn a_broken_workload_opens_one_incident_and_its_repair_closes_it() -> Tested {
    let client = client().await?;
    apply::<Team>(&client, None, &team("trouble")).await?;
    until_isolated(&client, "trouble").await?;
    // More than the quota: no pod can be created, whatever runs the nodes.
    let deployment = |cpu: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
                    "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [{"name": "c", "image": "example.com/none:1",
                        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                        "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}, "limits": {"cpu": cpu, "memory": "64Mi"}}}]}}}})
    };
    apply::<Deployment>(&client, Some("trouble-team"), &deployment("3")).await?;
    let incidents: Api<Incident> = Api::all(client.clone());
    let of_team = ListParams::default().labels("mlplatform.dev/team=trouble");
    let opened = wait_until(mlp_flows::LIMIT, "an incident is open", || async {
        let found = incidents.list(&of_team).await.ok()?.items;
        found.into_iter().find(|incident| {
            incident.spec.resource.name == "web"
                && incident.status.as_ref().is_some_and(|status| status.state == IncidentState::Open)
        })
    });
    let opened = opened.await?;
    Api::<Deployment>::namespaced(client.clone(), "trouble-team")
        .delete("web", &kube::api::DeleteParams::default())
        .await?;
    until(&incidents, &opened.name_any(), "the incident is closed", |incident| {
        incident.status.as_ref().is_some_and(|status| status.state == IncidentState::Closed)
    })
    .await?;
    let count =
        incidents.list(&of_team).await?.items.iter().filter(|i| i.spec.resource.name == "web").count();
    assert_eq!(count, 1, "one cause, one incident");
    let told = mlp_ok(&["events", "tail", "--all", "--team", "trouble", "--no-follow", "-o", "json"]);
    assert!(told.contains("IncidentOpened"), "{told}");
    remove(&Api::<Team>::all(client), "trouble").await
}
