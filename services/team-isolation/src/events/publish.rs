//! From what happened to a draft for the outbox.

use kube::ResourceExt;
use mlp_crds::Team;
use mlp_model::{Context, Environment, FactDraft, Flow, labels};
use mlp_proto::Name;
use mlp_proto::team::events::v1 as proto;

use super::convert;
use crate::domain::outcome::{Happened, InForce};

/// The fact that something happened to `team`, ready to be recorded.
pub fn draft(happened: Happened, team: &Team, in_force: &InForce, environment: Environment) -> FactDraft {
    let (name, message_type, data) = match happened {
        Happened::Declared => {
            ("team-declared", type_name::<proto::TeamDeclared>(), encoded(&convert::declared(team)))
        }
        Happened::Isolated => {
            let message = convert::isolated(team, in_force, environment);
            ("team-isolated", type_name::<proto::TeamIsolated>(), encoded(&message))
        }
        Happened::Removed => {
            ("team-removed", type_name::<proto::TeamRemoved>(), encoded(&convert::removed(team, in_force)))
        }
    };
    let uid = team.metadata.uid.clone().unwrap_or_default();
    let traceparent = team.annotations().get(labels::TRACEPARENT).map(String::as_str);
    let flow = Flow::of(&uid, team.metadata.generation.unwrap_or_default(), traceparent);
    FactDraft {
        context: Context::Team,
        name,
        message_type,
        kind: "Team",
        uid,
        team: team.name_any(),
        subject: format!("teams/{}", team.name_any()),
        data,
        flow: flow.traceparent(),
    }
}

/// The full protobuf name as the catalogue spells it.
fn type_name<M: Name>() -> &'static str {
    let name = M::full_name();
    mlp_proto::EventSpec::of(&name).map_or("", |event| event.message)
}

fn encoded(message: &impl mlp_proto::Message) -> Vec<u8> {
    message.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use mlp_crds::team::{NamespaceStatus, QuotaStatus};
    use mlp_proto::Message as _;
    use serde_json::json;

    use super::*;

    fn team() -> Team {
        serde_json::from_value(json!({
            "apiVersion": "mlplatform.dev/v1alpha1",
            "kind": "Team",
            "metadata": {"name": "ml", "uid": "u-1", "generation": 2},
            "spec": {"displayName": "Machine Learning"},
        }))
        .unwrap()
    }

    #[test]
    fn each_fact_is_in_the_catalogue_under_its_subject() {
        for happened in [Happened::Declared, Happened::Isolated, Happened::Removed] {
            let draft = draft(happened, &team(), &InForce::default(), Environment::Local);
            let event = mlp_proto::EventSpec::of(draft.message_type).unwrap();
            assert_eq!((event.fact, event.context, event.kind), (draft.name, "team", draft.kind));
        }
    }

    #[test]
    fn an_isolated_team_says_what_is_in_force() {
        let in_force = InForce {
            namespaces: vec![NamespaceStatus { name: "ml-team".into(), uid: "n-1".into(), ready: true }],
            quota: Some(QuotaStatus {
                hard: [("pods".to_owned(), mlp_crds::Amount::new("50"))].into(),
                ..QuotaStatus::default()
            }),
        };
        let draft = draft(Happened::Isolated, &team(), &in_force, Environment::Local);
        let message = proto::TeamIsolated::decode(draft.data.as_slice()).unwrap();
        assert_eq!(message.namespaces[0].uid, "n-1");
        assert_eq!(message.quota.get("pods").map(String::as_str), Some("50"));
        assert_eq!((message.service_account.as_str(), message.environment.as_str()), ("ml-team", "local"));
        assert_eq!(draft.flow, Flow::derive("u-1", 2).traceparent());
    }
}
