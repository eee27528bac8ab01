//! From a statement to a draft for the outbox.

use kube::ResourceExt;
use mlp_crds::Application;
use mlp_crds::argocd::ApplicationStatus;
use mlp_model::{Context, FactDraft, Flow, labels};
use mlp_proto::gitops::events::v1 as proto;
use mlp_proto::{Message, Name};

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
        Statement::Synced => (
            "application-synced",
            type_name::<proto::ApplicationSynced>(),
            wire::synced(application, status, team.clone()).encode_to_vec(),
        ),
        Statement::Failed { reason, message } => {
            let fact = wire::failed(application, status, team.clone(), reason, message);
            ("sync-failed", type_name::<proto::SyncFailed>(), fact.encode_to_vec())
        }
        Statement::HealthChanged { previous, current } => {
            let fact = wire::health_changed(application, status, team.clone(), previous.as_deref(), current);
            (
                "application-health-changed",
                type_name::<proto::ApplicationHealthChanged>(),
                fact.encode_to_vec(),
            )
        }
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

/// The full protobuf name as the catalogue spells it.
fn type_name<M: Name>() -> &'static str {
    let name = M::full_name();
    mlp_proto::EventSpec::of(&name).map_or("", |event| event.message)
}

#[cfg(test)]
mod tests {
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
        for statement in [Statement::Synced, failed, health] {
            let draft = draft(&statement, &application(), &ApplicationStatus::default(), "ml".into());
            let event = mlp_proto::EventSpec::of(draft.message_type).unwrap();
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
}
