//! From what happened to a draft for the outbox.

use kube::ResourceExt;
use mlp_crds::Team;
use mlp_crds::team::{Denial, OffboardingStatus};
use mlp_model::{Context, Environment, FactDraft, Flow, labels};
use mlp_proto::Name;
use mlp_proto::team::events::v1 as proto;

use super::convert;
use crate::domain::outcome::{Happened, InForce};

/// What facts tell beside the team and what is in force.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Calls that were made.
    pub changes: Vec<String>,
    /// Those of them that put something back.
    pub repairs: Vec<String>,
    /// The generation that was in force before; 0 where there was none.
    pub before: i64,
    /// Refusals.
    pub denials: Vec<Denial>,
    /// The way out.
    pub offboarding: OffboardingStatus,
}

/// The fact that something happened to `team`, ready to be recorded.
pub fn draft(
    happened: Happened,
    team: &Team,
    in_force: &InForce,
    told: &Told,
    environment: Environment,
) -> FactDraft {
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
        Happened::Changed => {
            ("team-changed", type_name::<proto::TeamChanged>(), encoded(&convert::changed(team, told)))
        }
        Happened::NearLimit => {
            let message = convert::near_limit(team, in_force);
            ("quota-near-limit", type_name::<proto::QuotaNearLimit>(), encoded(&message))
        }
        Happened::Rebalanced => {
            let message = convert::rebalanced(team, in_force);
            ("quota-rebalanced", type_name::<proto::QuotaRebalanced>(), encoded(&message))
        }
        Happened::Repaired => {
            let name = type_name::<proto::IsolationDriftRepaired>();
            ("isolation-drift-repaired", name, encoded(&convert::repaired(team, told)))
        }
        Happened::Denied => {
            ("admission-denied", type_name::<proto::AdmissionDenied>(), encoded(&convert::denied(team, told)))
        }
        Happened::Offboarding => {
            let message = convert::offboarding(team, told);
            ("team-offboarding", type_name::<proto::TeamOffboarding>(), encoded(&message))
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
        for happened in [
            Happened::Declared,
            Happened::Isolated,
            Happened::Removed,
            Happened::Changed,
            Happened::NearLimit,
            Happened::Rebalanced,
            Happened::Repaired,
            Happened::Denied,
            Happened::Offboarding,
        ] {
            let draft = draft(happened, &team(), &InForce::default(), &Told::default(), Environment::Local);
            let event = mlp_proto::EventSpec::of(draft.message_type).unwrap();
            assert_eq!((event.fact, event.context, event.kind), (draft.name, "team", draft.kind));
        }
    }

    #[test]
    fn an_isolated_team_says_what_is_in_force() {
        let in_force = InForce {
            namespaces: vec![NamespaceStatus {
                name: "ml-team".into(),
                uid: "n-1".into(),
                ready: true,
                ..NamespaceStatus::default()
            }],
            quota: Some(QuotaStatus {
                hard: [("pods".to_owned(), mlp_crds::Amount::new("50"))].into(),
                ..QuotaStatus::default()
            }),
        };
        let draft = draft(Happened::Isolated, &team(), &in_force, &Told::default(), Environment::Local);
        let message = proto::TeamIsolated::decode(draft.data.as_slice()).unwrap();
        assert_eq!(message.namespaces[0].uid, "n-1");
        assert_eq!(message.quota.get("pods").map(String::as_str), Some("50"));
        assert_eq!((message.service_account.as_str(), message.environment.as_str()), ("ml-team", "local"));
        assert_eq!(draft.flow, Flow::derive("u-1", 2).traceparent());
    }
}
