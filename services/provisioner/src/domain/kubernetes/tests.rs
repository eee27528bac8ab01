use k8s_openapi::api::apps::v1::StatefulSetStatus;
use k8s_openapi::api::core::v1::{PodCondition, PodStatus};
use mlp_model::Environment;
use serde_json::json;

use super::*;

fn images() -> Images {
    Images { database: "mlp/postgres:{version}".to_owned(), cache: "mlp/{engine}:{version}".to_owned() }
}

fn database(spec: serde_json::Value) -> Wish {
    let database = json!({
        "apiVersion": "mlplatform.dev/v1alpha1",
        "kind": "Database",
        "metadata": {"name": "features", "namespace": "ml-team", "uid": "u-1", "generation": 1},
        "spec": spec,
    });
    Wish::of_database(&serde_json::from_value(database).unwrap(), Environment::Local)
}

fn small() -> Wish {
    database(json!({"version": "15", "databaseName": "features", "storage": "20Gi"}))
}

/// What the cluster shows when the objects were applied and the pod is as given.
fn running(wish: &Wish, ready: bool) -> Observed {
    let mut set = objects(wish, &images(), &Observed::default()).set;
    set.metadata.generation = Some(1);
    set.status = Some(StatefulSetStatus {
        observed_generation: Some(1),
        current_revision: Some("r1".to_owned()),
        update_revision: Some("r1".to_owned()),
        ..StatefulSetStatus::default()
    });
    let status = if ready { "True" } else { "False" };
    let condition =
        PodCondition { type_: "Ready".to_owned(), status: status.to_owned(), ..PodCondition::default() };
    let pod = Pod {
        metadata: ObjectMeta { name: Some(pod_name(wish)), ..ObjectMeta::default() },
        status: Some(PodStatus { conditions: Some(vec![condition]), ..PodStatus::default() }),
        ..Pod::default()
    };
    Observed { set: Some(set), pod: Some(pod), has_services: true, ..Observed::default() }
}

#[test]
fn the_seeds_database_is_rendered_as_kept() {
    let Objects { headless, service, set, claim } = objects(&small(), &images(), &Observed::default());
    assert_eq!(claim, None);
    let rendered = serde_json::to_string_pretty(&json!([headless, service, set])).unwrap() + "\n";
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/database.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &rendered).unwrap();
    }
    let found = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(found == rendered, "{} differs; UPDATE_GOLDEN=1 accepts the change", golden.display());
}

#[test]
fn the_address_is_that_of_the_service_that_is_made() {
    let wish = small();
    let service = objects(&wish, &images(), &Observed::default()).service;
    let (name, namespace) = (service.metadata.name.unwrap(), service.metadata.namespace.unwrap());
    assert_eq!(address(&wish).host, format!("{name}.{namespace}.svc"));
    assert_eq!(service.spec.unwrap().ports.unwrap()[0].port, i32::from(address(&wish).port));
}

#[test]
fn a_database_and_a_cache_of_one_name_do_not_meet() {
    let cache = json!({
        "apiVersion": "mlplatform.dev/v1alpha1",
        "kind": "Cache",
        "metadata": {"name": "features", "namespace": "ml-team", "uid": "u-2"},
        "spec": {},
    });
    let cache = Wish::of_cache(&serde_json::from_value(cache).unwrap(), Environment::Local);
    assert_ne!(cache.full_name(), small().full_name());
    assert_ne!(claim_name(&cache), claim_name(&small()));
}

#[test]
fn ready_is_said_of_a_ready_pod_on_a_real_node_alone() {
    let wish = small();
    let state = |observed: &Observed| plan(&wish, &images(), observed).state;
    assert!(matches!(state(&Observed::default()), State::Creating(_)));
    assert!(matches!(state(&running(&wish, false)), State::Creating(_)));
    let State::Ready(ready) = state(&running(&wish, true)) else { panic!("not ready") };
    assert_eq!((ready.address, ready.version.as_str()), (address(&wish), "15"));
    let simulated = Observed { on_simulated_node: true, ..running(&wish, true) };
    assert!(matches!(state(&simulated), State::Simulated(_)));
    let mut rolling = running(&wish, true);
    rolling.set.as_mut().unwrap().metadata.generation = Some(2);
    assert!(matches!(state(&rolling), State::Updating(..)));
}

#[test]
fn a_claim_grows_and_its_template_stays() {
    let (small, large) =
        (small(), database(json!({"version": "15", "databaseName": "features", "storage": "30Gi"})));
    let mut observed = running(&small, true);
    observed.claim = Some(claim(&small, "20Gi"));
    let objects = objects(&large, &images(), &observed);
    assert_eq!(storage_of(&objects.set), Some("20Gi".to_owned()));
    let grown = objects.claim.unwrap();
    assert_eq!(grown.metadata.name, Some("data-features-database-0".to_owned()));
    assert_eq!(grown.spec.unwrap().resources.unwrap().requests.unwrap()["storage"].0, "30Gi");
}

#[test]
fn data_goes_only_when_the_request_says_so() {
    let kept = small();
    let observed = Observed { claim: Some(claim(&kept, "20Gi")), ..Observed::default() };
    let plan = plan_removal(&kept, &observed);
    assert_eq!(plan.steps, []);
    assert!(matches!(plan.state, State::Gone { kept: Some(_) }));
    let dropped = database(json!({"databaseName": "features", "deletionPolicy": "Delete"}));
    assert_eq!(plan_removal(&dropped, &observed).steps, [Step::DeleteData]);
    assert_eq!(plan_removal(&kept, &running(&kept, true)).steps, [Step::DeleteWorkload]);
}

#[test]
fn no_rendered_object_holds_a_password_or_an_open_security_context() {
    let set = serde_json::to_value(objects(&small(), &images(), &Observed::default()).set).unwrap();
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], json!(true));
    assert_eq!(pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"], json!(false));
    assert_eq!(pod["containers"][0]["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
    let environment = pod["containers"][0]["env"].as_array().unwrap();
    assert!(environment.iter().all(|variable| variable["name"] != "POSTGRES_PASSWORD"));
}

#[test]
fn what_an_earlier_generation_shows_says_nothing_of_this_one() {
    let observed = running(&small(), true);
    assert!(matches!(plan(&small(), &images(), &observed).state, State::Ready(_)));
    let newer = Wish { generation: 2, ..small() };
    assert!(matches!(plan(&newer, &images(), &observed).state, State::Updating(..)));
}
