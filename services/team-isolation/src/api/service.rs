//! `mlp.team.api.v1.TeamService`: a face of the Team resource. It keeps nothing of its own.

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use mlp_crds::Team;
use mlp_host::grpc::Objects;
use mlp_proto::json::from_struct;
use mlp_proto::team::api::v1 as proto;
use mlp_proto::team::api::v1::team_service_server::TeamService;
use tonic::{Request, Response, Status};

use super::convert;

/// Teams are cluster-scoped.
const NO_NAMESPACE: &str = "";

/// Serves Teams to callers that may read and write them.
pub struct Teams {
    objects: Objects<Team>,
}

impl Teams {
    /// Serves what `objects` reads and writes.
    pub const fn new(objects: Objects<Team>) -> Self {
        Self { objects }
    }
}

#[tonic::async_trait]
impl TeamService for Teams {
    type WatchTeamsStream = BoxStream<'static, Result<proto::WatchTeamsResponse, Status>>;

    async fn get_team(
        &self,
        request: Request<proto::GetTeamRequest>,
    ) -> Result<Response<proto::GetTeamResponse>, Status> {
        let team = self.objects.get(&request, NO_NAMESPACE, &request.get_ref().name).await?;
        Ok(Response::new(proto::GetTeamResponse { team: Some(convert::team(&team)) }))
    }

    async fn list_teams(
        &self,
        request: Request<proto::ListTeamsRequest>,
    ) -> Result<Response<proto::ListTeamsResponse>, Status> {
        let proto::ListTeamsRequest { page_size, page_token } = request.get_ref();
        let page = self.objects.list(&request, NO_NAMESPACE, *page_size, page_token).await?;
        Ok(Response::new(proto::ListTeamsResponse {
            teams: page.items.iter().map(convert::team).collect(),
            next_page_token: page.next,
            resource_version: page.version,
        }))
    }

    async fn watch_teams(
        &self,
        request: Request<proto::WatchTeamsRequest>,
    ) -> Result<Response<Self::WatchTeamsStream>, Status> {
        let proto::WatchTeamsRequest { name, resource_version } = request.get_ref();
        let changes = self.objects.watch(&request, NO_NAMESPACE, name, resource_version).await?;
        Ok(Response::new(changes.map_ok(convert::change).boxed()))
    }

    async fn apply_team(
        &self,
        request: Request<proto::ApplyTeamRequest>,
    ) -> Result<Response<proto::ApplyTeamResponse>, Status> {
        let proto::ApplyTeamRequest { name, spec, dry_run } = request.get_ref();
        let spec = from_struct(&spec.clone().unwrap_or_default());
        let (team, change) = self.objects.apply(&request, NO_NAMESPACE, name, spec, *dry_run).await?;
        let change = convert::what_changed(change).into();
        Ok(Response::new(proto::ApplyTeamResponse { team: Some(convert::team(&team)), change }))
    }

    async fn delete_team(
        &self,
        request: Request<proto::DeleteTeamRequest>,
    ) -> Result<Response<proto::DeleteTeamResponse>, Status> {
        let proto::DeleteTeamRequest { name, uid } = request.get_ref();
        self.objects.delete(&request, NO_NAMESPACE, name, uid).await?;
        Ok(Response::new(proto::DeleteTeamResponse {}))
    }
}
