//! From a statement to a draft for the outbox.

use kube::ResourceExt;
use mlp_crds::Application;
use mlp_crds::argocd::ApplicationStatus;
use mlp_model::{Context, FactDraft, Flow, labels};
use mlp_proto::{EventSpec, Message, Name};

use super::wire;
use crate::domain::statement::Statement;

/// The fact that `statement` states about `application`, ready to be recorded.
pub fn draft(
    statement: &Statement,
    application: &Application,
    status: &ApplicationStatus,
    team: String,
) -> FactDraft {
    let (name, message_type, data) = match statement {
        Statement::Synced => encoded(&wire::synced(application, status, team.clone())),
        Statement::Failed { reason, message } => {
            encoded(&wire::failed(application, status, team.clone(), reason, message))
        }
        Statement::HealthChanged { previous, current } => {
            encoded(&wire::health_changed(application, status, team.clone(), previous.as_deref(), current))
        }
        Statement::Observed { previous } => {
            encoded(&wire::observed(application, status, team.clone(), previous.as_deref()))
        }
        Statement::Drifted => encoded(&wire::drifted(application, status, team.clone())),
        Statement::Healed { since } => encoded(&wire::healed(application, status, team.clone(), since)),
    };
    let uid = application.uid().unwrap_or_default();
    let traceparent = application.annotations().get(labels::TRACEPARENT).map(String::as_str);
    let flow = Flow::of(&uid, application.metadata.generation.unwrap_or_default(), traceparent);
    FactDraft {
        context: Context::Gitops,
        name,
        message_type,
        kind: "Application",
        uid,
        team,
        subject: format!(
            "applications/{}/{}",
            application.namespace().unwrap_or_default(),
            application.name_any()
        ),
        data,
        flow: flow.traceparent(),
    }
}

/// The fact's name and its message's, as the catalogue has them, and the message.
fn encoded<M: Message + Name>(message: &M) -> (&'static str, &'static str, Vec<u8>) {
    let event = EventSpec::of(&M::full_name());
    let (fact, name) = event.map(|event| (event.fact, event.message)).unwrap_or_default();
    (fact, name, message.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use mlp_proto::gitops::events::v1 as proto;
    use serde_json::json;

    use super::*;

    fn application() -> Application {
        serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "ml-team", "uid": "u-1", "generation": 3},
            "spec": {"project": "default", "destination": {"namespace": "ml-team"},
                     "source": {"repoURL": "https://me:secret@git.example/shop"}},
        }))
        .unwrap()
    }

    #[test]
    fn each_fact_is_in_the_catalogue_under_its_name() {
        let failed = Statement::Failed { reason: "SyncError".into(), message: "m".into() };
        let health = Statement::HealthChanged { previous: None, current: "Healthy".into() };
        let healed = Statement::Healed { since: "2026-01-01T00:00:00Z".into() };
        let all = [Statement::Observed { previous: None }, Statement::Synced, Statement::Drifted];
        for statement in all.into_iter().chain([failed, health, healed]) {
            let draft = draft(&statement, &application(), &ApplicationStatus::default(), "ml".into());
            let event = EventSpec::of(draft.message_type).unwrap();
            assert_eq!((event.fact, event.context, event.kind), (draft.name, "gitops", draft.kind));
        }
    }

    #[test]
    fn a_fact_says_what_was_synced_and_no_credentials() {
        let status: ApplicationStatus = serde_json::from_value(json!({
            "sync": {"status": "Synced", "revision": "abc"}, "health": {"status": "Healthy"},
            "resources": [{"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "ml-team", "name": "web"}],
            "operationState": {"operation": {"initiatedBy": {"automated": true}}, "phase": "Succeeded",
                               "startedAt": "2026-01-01T00:00:00Z"},
        }))
        .unwrap();
        let draft = draft(&Statement::Synced, &application(), &status, "ml".into());
        let message = proto::ApplicationSynced::decode(draft.data.as_slice()).unwrap();
        assert_eq!((message.revision.as_str(), message.automated, message.resource_count), ("abc", true, 1));
        assert_eq!(message.repo_url, "https://git.example/shop");
        assert_eq!(message.resources[0].group, "apps");
        assert_eq!(message.started_at.unwrap().seconds, 1_767_225_600);
        assert_eq!(draft.flow, Flow::derive("u-1", 3).traceparent());
    }

    #[test]
    fn drift_names_what_differs_and_whether_self_heal_undid_it() {
        let status = |count: Option<u32>| -> ApplicationStatus {
            let sync = count.map_or(json!({}), |count| json!({"autoHealAttemptsCount": count}));
            serde_json::from_value(json!({
                "sync": {"status": "OutOfSync", "revision": "abc"},
                "resources": [{"version": "v1", "kind": "ConfigMap", "name": "a", "status": "OutOfSync"},
                              {"version": "v1", "kind": "ConfigMap", "name": "b", "status": "Synced"}],
                "operationState": {"operation": {"sync": sync}, "phase": "Succeeded", "startedAt": "2026-01-01T00:00:00Z"},
            }))
            .unwrap()
        };
        let drifted = draft(&Statement::Drifted, &application(), &status(None), "ml".into());
        let message = proto::DriftDetected::decode(drifted.data.as_slice()).unwrap();
        assert_eq!((message.resources[0].name.as_str(), message.resource_count), ("a", 1));
        assert!(!message.self_heal);
        let healed = |count: Option<u32>, since: &str| {
            let statement = Statement::Healed { since: since.into() };
            let draft = draft(&statement, &application(), &status(count), "ml".into());
            proto::DriftHealed::decode(draft.data.as_slice()).unwrap()
        };
        assert!(healed(Some(1), "2026-01-01T00:00:00Z").self_healed);
        assert!(!healed(None, "2026-01-01T00:00:00Z").self_healed);
        let later = healed(Some(1), "2026-01-01T00:00:01Z");
        assert!(!later.self_healed, "that was another drift");
        assert_eq!(later.detected_at.unwrap().seconds, 1_767_225_601);
    }
}
