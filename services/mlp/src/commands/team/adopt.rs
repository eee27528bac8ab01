//! `mlp team adopt`: shows what adopting a namespace that is there would do, and with `--yes` offers it to
//! the team. What is done then is team-isolation's, by the same plan.

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use kube::api::{Api, Patch};
use mlp_crds::Team;
use mlp_host::grpc::ServiceChannel;
use mlp_model::labels;
use mlp_proto::json::to_struct;
use mlp_proto::team::api::v1 as proto;
use mlp_proto::team::api::v1::team_service_client::TeamServiceClient;
use serde_json::{Value, json};

use super::{as_mlp, find, print, refused};
use crate::cli::Adopt;
use crate::cluster;
use crate::exit::{Failure, Outcome};
use crate::platform::Platform;

/// Shows the plan; with `--yes` also offers the namespace.
pub(super) async fn adopt(
    platform: &Platform,
    client: &mut TeamServiceClient<ServiceChannel>,
    flags: &Adopt,
) -> Outcome {
    let cluster = cluster::client(&platform.kubeconfig).await?;
    let teams: Api<Team> = Api::all(cluster.clone());
    let team = find(&teams, &flags.team).await?.ok_or_else(|| {
        Failure::usage(format!(
            "there is no team {}; declare it first, with the namespace in spec.namespaces",
            flags.team
        ))
    })?;
    let listed = team.namespace_names().contains(&flags.namespace);
    let spec = serde_json::to_value(&team.spec)
        .map_err(|error| Failure::while_doing("reading the team's spec", &error))?;
    let spec = to_struct(&with_namespace(spec, &team.namespace_names(), &flags.namespace));
    let asked = proto::PlanTeamRequest { name: flags.team.clone(), spec: Some(spec) };
    let plan = client.plan_team(asked).await.map_err(refused)?.into_inner();
    println!("{}", print::plan(&plan));
    if !plan.problems.is_empty() {
        return Err(Failure::failed(format!(
            "namespace {} cannot be adopted; why is above",
            flags.namespace
        )));
    }
    if flags.yes {
        offer(&cluster, flags, &team).await?;
    }
    println!("\n{}", next(flags, listed));
    Ok(())
}

/// The declaration with the namespace in it. A team that declares none has one namespace, which it keeps.
fn with_namespace(mut spec: Value, names: &[String], namespace: &str) -> Value {
    if names.iter().any(|name| name == namespace) {
        return spec;
    }
    let mut list = spec.get("namespaces").and_then(Value::as_array).cloned().unwrap_or_default();
    if list.iter().all(|entry| entry.get("openedBy").is_some()) {
        list.extend(names.first().map(|name| json!({"name": name})));
    }
    list.push(json!({"name": namespace}));
    if let Some(fields) = spec.as_object_mut() {
        fields.insert("namespaces".to_owned(), list.into());
    }
    spec
}

async fn offer(cluster: &kube::Client, flags: &Adopt, team: &Team) -> Outcome {
    let address = format!("{}/{}", flags.team, team.uid().unwrap_or_default());
    let patch = json!({"metadata": {"annotations": {labels::ADOPT_BY: address}}});
    let namespaces: Api<Namespace> = Api::all(cluster.clone());
    let patched = namespaces.patch(&flags.namespace, &as_mlp(), &Patch::Merge(&patch)).await;
    patched
        .map(drop)
        .map_err(|error| Failure::while_doing(&format!("offering namespace {}", flags.namespace), &error))
}

fn next(flags: &Adopt, listed: bool) -> String {
    let Adopt { team, namespace, yes } = flags;
    let declare = format!("add `- name: {namespace}` to spec.namespaces of Team {team}");
    match (yes, listed) {
        (true, true) => format!("namespace {namespace} is offered to team {team}, which adopts it now"),
        (true, false) => {
            format!("namespace {namespace} is offered to team {team}; {declare}, and it is adopted")
        }
        (false, true) => {
            "nothing was changed; --yes offers the namespace, and the team adopts it at once".to_owned()
        }
        (false, false) => format!("nothing was changed; {declare}, and offer the namespace by --yes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_without_a_list_keeps_its_one_namespace() {
        let spec = with_namespace(json!({"costCenter": "ml"}), &["ml-team".to_owned()], "legacy");
        assert_eq!(spec["namespaces"], json!([{"name": "ml-team"}, {"name": "legacy"}]));
        let listed = json!({"namespaces": [{"name": "ml-dev", "environment": "dev"}]});
        let spec = with_namespace(listed.clone(), &["ml-dev".to_owned()], "legacy");
        assert_eq!(spec["namespaces"], json!([{"name": "ml-dev", "environment": "dev"}, {"name": "legacy"}]));
        assert_eq!(with_namespace(listed.clone(), &["ml-dev".to_owned()], "ml-dev"), listed);
    }
}
