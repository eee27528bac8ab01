//! The calls: check the caller's rights, read, translate.

use kube::api::{Api, ListParams};
use kube::{Client, Resource};
use mlp_crds::incident::IncidentState;
use mlp_crds::{HealthRecord, Incident};
use mlp_host::grpc::{Access, Authorizer, invalid_fields, status_from};
use mlp_model::labels;
use mlp_proto::health::api::v1::health_service_server::HealthService;
use mlp_proto::health::api::v1::{
    GetTeamHealthRequest, GetTeamHealthResponse, ListIncidentsRequest, ListIncidentsResponse,
    ListResourcesRequest, ListResourcesResponse, WatchHealthRequest,
};
use serde::de::DeserializeOwned;
use tonic::{Request, Response, Status};

use super::{convert, page::page, watch};

/// Serves health from the API server, so that every replica gives the same answer.
#[derive(Clone)]
pub struct Service {
    client: Client,
    authorizer: Authorizer,
}

impl Service {
    /// A service over the API server.
    pub const fn new(client: Client, authorizer: Authorizer) -> Self {
        Self { client, authorizer }
    }

    /// Who may read a team may read its health; who may list teams, everyone's.
    async fn check<T>(&self, request: &Request<T>, team: &str) -> Result<(), Status> {
        let access = if team.is_empty() {
            Access::new("list", labels::GROUP, "teams")
        } else {
            Access::new("get", labels::GROUP, "teams").named(team)
        };
        self.authorizer.check(request, &access).await
    }

    async fn list<K>(&self, team: &str, what: &str) -> Result<Vec<K>, Status>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let mut params = ListParams::default();
        if !team.is_empty() {
            params = params.labels(&format!("{}={team}", labels::TEAM));
        }
        let listed = api.list(&params).await;
        Ok(listed
            .map_err(|source| status_from(&mlp_reconcile::Error::of(format!("list {what}"), source)))?
            .items)
    }

    async fn open_incidents(&self, team: &str) -> Result<usize, Status> {
        let incidents: Vec<Incident> = self.list(team, "incidents").await?;
        Ok(incidents.iter().filter(|incident| is_open(incident)).count())
    }
}

fn is_open(incident: &Incident) -> bool {
    incident.status.as_ref().is_none_or(|status| status.state == IncidentState::Open)
}

#[tonic::async_trait]
impl HealthService for Service {
    type WatchHealthStream = watch::Changes;

    async fn get_team_health(
        &self,
        request: Request<GetTeamHealthRequest>,
    ) -> Result<Response<GetTeamHealthResponse>, Status> {
        let team = request.get_ref().team.clone();
        if team.is_empty() {
            return Err(invalid_fields([("team", "is empty; name a team")]));
        }
        self.check(&request, &team).await?;
        let records: Vec<HealthRecord> = self.list(&team, "health records").await?;
        let Some(record) = records.first() else {
            return Err(Status::not_found(format!(
                "no health is recorded for team `{team}`; is there such a team?"
            )));
        };
        let health = convert::team(record, self.open_incidents(&team).await?);
        Ok(Response::new(GetTeamHealthResponse { team: Some(health) }))
    }

    async fn list_resources(
        &self,
        request: Request<ListResourcesRequest>,
    ) -> Result<Response<ListResourcesResponse>, Status> {
        self.check(&request, &request.get_ref().team).await?;
        let asked = request.into_inner();
        let records: Vec<HealthRecord> = self.list(&asked.team, "health records").await?;
        let mut all = Vec::new();
        for record in &records {
            let entries = record.status.iter().flat_map(|status| &status.resources);
            let wanted = entries.filter(|entry| {
                (asked.namespace.is_empty() || entry.resource.namespace == asked.namespace)
                    && (asked.kind.is_empty() || entry.resource.kind == asked.kind)
            });
            all.extend(wanted.map(|entry| convert::resource(&record.spec.team, entry)));
        }
        let key = |entry: &mlp_proto::health::api::v1::ResourceHealth| {
            let resource = entry.resource.clone().unwrap_or_default();
            format!("{}/{}/{}/{}", entry.team, resource.namespace, resource.kind, resource.name)
        };
        all.sort_by_key(key);
        let (resources, next_page_token) = page(all, key, asked.page_size, &asked.page_token)?;
        Ok(Response::new(ListResourcesResponse { resources, next_page_token }))
    }

    async fn list_incidents(
        &self,
        request: Request<ListIncidentsRequest>,
    ) -> Result<Response<ListIncidentsResponse>, Status> {
        self.check(&request, &request.get_ref().team).await?;
        let asked = request.into_inner();
        let mut all: Vec<Incident> = self.list(&asked.team, "incidents").await?;
        all.retain(|incident| !asked.open_only || is_open(incident));
        all.sort_by_key(latest_first);
        let (page, next_page_token) = page(all, latest_first, asked.page_size, &asked.page_token)?;
        let incidents = page.iter().map(convert::incident).collect();
        Ok(Response::new(ListIncidentsResponse { incidents, next_page_token }))
    }

    async fn watch_health(
        &self,
        request: Request<WatchHealthRequest>,
    ) -> Result<Response<Self::WatchHealthStream>, Status> {
        self.check(&request, &request.get_ref().team).await?;
        let asked = request.into_inner();
        let changes = watch::changes(self.client.clone(), &asked.team, &asked.resource_version).await?;
        Ok(Response::new(changes))
    }
}

/// A key that sorts the latest opening first: seconds counted down from the end of time.
fn latest_first(incident: &Incident) -> String {
    let opened = incident.status.as_ref().and_then(|status| status.opened_at.as_deref());
    let second =
        opened.and_then(|time| time.parse::<jiff::Timestamp>().ok()).map_or(0, |time| time.as_second());
    format!("{:020}/{}", i64::MAX - second, incident.metadata.name.as_deref().unwrap_or_default())
}
