//! `mlp.team.api.v1.TeamService`: a face of the Team resource. It keeps nothing of its own.

use std::collections::BTreeSet;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::{Api, Client};
use mlp_crds::Team;
use mlp_crds::team::TeamSpec;
use mlp_host::grpc::{Access, Authorizer, Identity, Objects, invalid_fields};
use mlp_proto::json::from_struct;
use mlp_proto::team::api::v1 as proto;
use mlp_proto::team::api::v1::team_service_server::TeamService;
use tonic::{Request, Response, Status};

use super::opening::Opening;
use super::{caller, convert, members, reach, refused, review};
use crate::domain::model::Site;

/// Teams are cluster-scoped.
const NO_NAMESPACE: &str = "";

/// Serves Teams to callers that may read and write them, and to members what concerns them.
pub struct Teams {
    objects: Objects<Team>,
    client: Client,
    authorizer: Authorizer,
    site: Site,
}

impl Teams {
    /// Reads and writes through `client` what `authorizer` lets a caller.
    pub fn new(client: Client, authorizer: Authorizer, manager: &'static str, site: Site) -> Self {
        let objects = Objects::new(client.clone(), authorizer.clone(), manager);
        Self { objects, client, authorizer, site }
    }

    async fn team_for_member<T>(&self, request: &Request<T>, name: &str) -> Result<Team, Status> {
        members::team_for_member(&self.client, &self.authorizer, request, name).await
    }

    fn opening(&self) -> Opening<'_> {
        Opening { client: &self.client, authorizer: &self.authorizer, objects: &self.objects }
    }

    /// What a declaration refers to, its writer must be able to read: the service would for anybody.
    async fn may_copy<T>(&self, request: &Request<T>, spec: &serde_json::Value) -> Result<(), Status> {
        let copies = spec.get("copies").and_then(serde_json::Value::as_array).into_iter().flatten();
        for copy in copies {
            let text = |key: &str| copy.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
            let resource = if text("kind") == "Secret" { "secrets" } else { "configmaps" };
            let access = Access::new("get", "", resource).in_namespace(text("namespace")).named(text("name"));
            self.authorizer.check(request, &access).await?;
        }
        Ok(())
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
        self.may_copy(&request, &spec).await?;
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

    async fn plan_team(
        &self,
        request: Request<proto::PlanTeamRequest>,
    ) -> Result<Response<proto::PlanTeamResponse>, Status> {
        let proto::PlanTeamRequest { name, spec } = request.get_ref();
        let access = Access::new("get", "mlplatform.dev", "teams").named(name);
        self.authorizer.check(&request, &access).await?;
        let found = Api::<Team>::all(self.client.clone()).get_opt(name).await;
        let found = found.map_err(|error| refused("read the team", &error))?;
        let mut team = found.unwrap_or_else(|| Team::new(name, TeamSpec::default()));
        if let Some(spec) = spec {
            let wrong = |error: serde_json::Error| invalid_fields([("spec", error.to_string())]);
            team.spec = serde_json::from_value(from_struct(spec)).map_err(wrong)?;
        }
        // The declaration is the caller's: it must not be a way to read what is in any namespace.
        let mut visible = BTreeSet::new();
        for namespace in team.namespace_names() {
            let access =
                Access::new("list", "rbac.authorization.k8s.io", "rolebindings").in_namespace(&namespace);
            if self.authorizer.check(&request, &access).await.is_ok() {
                visible.insert(namespace);
            }
        }
        Ok(Response::new(review::plan(&self.client, &self.site, &team, &visible).await?))
    }

    async fn list_namespaces(
        &self,
        request: Request<proto::ListNamespacesRequest>,
    ) -> Result<Response<proto::ListNamespacesResponse>, Status> {
        let namespaces = members::namespaces(&self.client, &caller(&request)?).await?;
        Ok(Response::new(proto::ListNamespacesResponse { namespaces }))
    }

    async fn open_namespace(
        &self,
        request: Request<proto::OpenNamespaceRequest>,
    ) -> Result<Response<proto::OpenNamespaceResponse>, Status> {
        let team = self.opening().open(&request).await?;
        Ok(Response::new(proto::OpenNamespaceResponse { team: Some(convert::team(&team)) }))
    }

    async fn close_namespace(
        &self,
        request: Request<proto::CloseNamespaceRequest>,
    ) -> Result<Response<proto::CloseNamespaceResponse>, Status> {
        let team = self.opening().close(&request).await?;
        Ok(Response::new(proto::CloseNamespaceResponse { team: Some(convert::team(&team)) }))
    }

    async fn get_usage(
        &self,
        request: Request<proto::GetUsageRequest>,
    ) -> Result<Response<proto::GetUsageResponse>, Status> {
        let team = self.team_for_member(&request, &request.get_ref().name).await?;
        Ok(Response::new(members::usage(&team)))
    }

    async fn list_denials(
        &self,
        request: Request<proto::ListDenialsRequest>,
    ) -> Result<Response<proto::ListDenialsResponse>, Status> {
        let team = self.team_for_member(&request, &request.get_ref().name).await?;
        Ok(Response::new(proto::ListDenialsResponse { denials: members::denials(&team) }))
    }

    async fn can_i(
        &self,
        request: Request<proto::CanIRequest>,
    ) -> Result<Response<proto::CanIResponse>, Status> {
        let proto::CanIRequest { team, user, groups } = request.get_ref();
        let who = if user.is_empty() {
            caller(&request)?
        } else {
            // About others only the platform's people may ask.
            let access = Access::new("get", "mlplatform.dev", "teams").named(team);
            self.authorizer.check(&request, &access).await?;
            let everybody = "system:authenticated".to_owned();
            Identity {
                user: user.clone(),
                groups: groups.iter().cloned().chain([everybody]).collect(),
                ..Identity::default()
            }
        };
        let team = self.team_for_member(&request, team).await?;
        Ok(Response::new(proto::CanIResponse { rights: members::rights(&self.client, &team, &who).await? }))
    }

    async fn reach(
        &self,
        request: Request<proto::ReachRequest>,
    ) -> Result<Response<proto::ReachResponse>, Status> {
        Ok(Response::new(reach::reach(&self.client, &self.authorizer, &request).await?))
    }

    async fn get_compliance(
        &self,
        request: Request<proto::GetComplianceRequest>,
    ) -> Result<Response<proto::GetComplianceResponse>, Status> {
        let team = self.team_for_member(&request, &request.get_ref().name).await?;
        Ok(Response::new(review::compliance(&self.client, &self.site, &team).await?))
    }
}
