//! `cargo mlp team ...`: what a team has, what it may do, and why something was refused; asked of
//! team-isolation over gRPC as the person who calls.

mod adopt;
mod kubeconfig;
mod offboard;
mod print;
mod sarif;

use std::path::PathBuf;

use kube::api::{Api, PatchParams};
use mlp_crds::Team;
use mlp_host::grpc::ServiceChannel;
use mlp_proto::team::api::v1 as proto;
use mlp_proto::team::api::v1::team_service_client::TeamServiceClient;
use tonic::Status;

use crate::cli::{self, Global, TeamOutput, TeamVerb};
use crate::commands::calls;
use crate::exit::{Failure, Outcome};
use crate::platform::Platform;

const SERVICE: &str = "team-isolation";

/// Runs one of the verbs.
pub(crate) async fn team(global: &Global, flags: &cli::Team) -> Outcome {
    if let TeamVerb::Kubeconfig(flags) = &flags.verb {
        return kubeconfig::kubeconfig(global, flags).await;
    }
    let platform = Platform::load(&global.state()?)?;
    if let TeamVerb::Offboard(flags) = &flags.verb {
        return offboard::offboard(&platform, flags).await;
    }
    let mut client = connect(&platform, flags.token.as_ref()).await?;
    match &flags.verb {
        TeamVerb::Namespaces => {
            let answer = client.list_namespaces(proto::ListNamespacesRequest {}).await;
            said(flags.output, &answer.map_err(refused)?.into_inner(), print::namespaces)
        }
        TeamVerb::Open(wish) => {
            let request = proto::OpenNamespaceRequest {
                team: wish.team.clone(),
                name: wish.namespace.clone(),
                environment: wish.environment.map(|it| it.as_str().to_owned()).unwrap_or_default(),
                share: wish.share,
            };
            let answer = client.open_namespace(request).await;
            said(flags.output, &answer.map_err(refused)?.into_inner(), print::opened)
        }
        TeamVerb::Close { team, namespace } => {
            let request = proto::CloseNamespaceRequest { team: team.clone(), name: namespace.clone() };
            let answer = client.close_namespace(request).await;
            said(flags.output, &answer.map_err(refused)?.into_inner(), print::closed)
        }
        TeamVerb::Usage { team } => {
            let answer = client.get_usage(proto::GetUsageRequest { name: team.clone() }).await;
            said(flags.output, &answer.map_err(refused)?.into_inner(), print::usage)
        }
        TeamVerb::Why { team } => {
            let answer = client.list_denials(proto::ListDenialsRequest { name: team.clone() }).await;
            said(flags.output, &answer.map_err(refused)?.into_inner(), print::denials)
        }
        TeamVerb::CanI { team, user, groups } => {
            let (user, groups) = (user.clone().unwrap_or_default(), groups.clone());
            let answer = client.can_i(proto::CanIRequest { team: team.clone(), user, groups }).await;
            said(flags.output, &answer.map_err(refused)?.into_inner(), print::rights)
        }
        TeamVerb::Reach { from, to, protocol } => {
            let request = connection(from, to, protocol)?;
            let answer = client.reach(request).await;
            said(flags.output, &answer.map_err(refused)?.into_inner(), print::reach)
        }
        TeamVerb::Plan { team } => {
            let answer = client.plan_team(proto::PlanTeamRequest { name: team.clone(), spec: None }).await;
            said(flags.output, &answer.map_err(refused)?.into_inner(), print::plan)
        }
        TeamVerb::Adopt(flags) => adopt::adopt(&platform, &mut client, flags).await,
        TeamVerb::Compliance { team } => {
            let answer = client.get_compliance(proto::GetComplianceRequest { name: team.clone() }).await;
            let answer = answer.map_err(refused)?.into_inner();
            match flags.output {
                TeamOutput::Text => println!("{}", print::compliance(&answer)),
                TeamOutput::Json => calls::json(&print::ComplianceJson::of(&answer))?,
                TeamOutput::Sarif => calls::json(&sarif::log(team, &answer))?,
            }
            if answer.percent < 100 {
                return Err(Failure::failed(format!(
                    "team {team} lacks pieces of its isolation; they are listed above"
                )));
            }
            Ok(())
        }
        TeamVerb::Kubeconfig(_) | TeamVerb::Offboard(_) => Ok(()),
    }
}

async fn connect(
    platform: &Platform,
    maybe_token: Option<&PathBuf>,
) -> Result<TeamServiceClient<ServiceChannel>, Failure> {
    Ok(TeamServiceClient::new(calls::connect(platform, SERVICE, maybe_token).await?))
}

/// The Team of this name, where there is one.
async fn find(teams: &Api<Team>, name: &str) -> Result<Option<Team>, Failure> {
    let found = teams.get_opt(name).await;
    found.map_err(|error| Failure::while_doing(&format!("reading team {name}"), &error))
}

/// How `mlp` changes an object in a person's name.
fn as_mlp() -> PatchParams {
    PatchParams { field_manager: Some("mlp".to_owned()), ..PatchParams::default() }
}

fn refused(status: Status) -> Failure {
    calls::refused(SERVICE, &status)
}

/// `namespace/pod` and `namespace/pod:port` (or `address:port`) as a request.
fn connection(from: &str, to: &str, protocol: &str) -> Result<proto::ReachRequest, Failure> {
    let wrong = || Failure::usage(format!("--to {to}: write namespace/pod:port or address:port"));
    let (to, port) = to.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let to = to.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(proto::ReachRequest { from: from.to_owned(), to, port, protocol: protocol.to_uppercase() })
}

fn said<T>(output: TeamOutput, answer: &T, print: impl Fn(&T) -> String) -> Outcome
where
    T: mlp_proto::Name + mlp_proto::Message,
{
    match output {
        TeamOutput::Text => println!("{}", print(answer)),
        TeamOutput::Json => calls::message(answer)?,
        TeamOutput::Sarif => {
            return Err(Failure::usage(
                "--output sarif is for `cargo mlp team compliance`; write text or json",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_read_and_a_wrong_one_says_how() {
        let read = connection("ml/a", "app/b:8080", "tcp").unwrap();
        assert_eq!((read.to.as_str(), read.port, read.protocol.as_str()), ("app/b", 8080, "TCP"));
        assert_eq!(connection("ml/a", "[::1]:53", "udp").unwrap().to, "::1");
        for wrong in ["app/b", "app/b:http", "app/b:"] {
            assert!(connection("ml/a", wrong, "tcp").unwrap_err().to_string().contains("namespace/pod:port"));
        }
    }
}
