//! `mlp.gitops.api.v1.GitopsService`: a face of the Application resource. It keeps nothing of its own.

use std::collections::HashMap;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use mlp_crds::Application;
use mlp_crds::argocd::SyncOperation;
use mlp_host::grpc::{Access, Authorizer, Identity, Objects, status_from};
use mlp_model::{labels, name};
use mlp_proto::gitops::api::v1 as proto;
use mlp_proto::gitops::api::v1::gitops_service_server::GitopsService;
use serde_json::json;
use tonic::{Request, Response, Status};

use super::convert;
use crate::domain::operation::RUNNING;

/// Serves Applications to callers that may read and write them.
#[derive(Clone)]
pub struct Applications {
    objects: Objects<Application>,
    client: kube::Client,
    authorizer: Authorizer,
    manager: &'static str,
}

impl Applications {
    /// Serves what `objects` reads; asks for syncs through `client` as field manager `manager`.
    pub const fn new(
        objects: Objects<Application>,
        client: kube::Client,
        authorizer: Authorizer,
        manager: &'static str,
    ) -> Self {
        Self { objects, client, authorizer, manager }
    }

    /// The team that a namespace belongs to, or the platform.
    async fn team(&self, namespace: Option<&String>) -> String {
        let platform = || name::PLATFORM.to_owned();
        let Some(namespace) = namespace else { return platform() };
        let api = Api::<Namespace>::all(self.client.clone());
        let labels = api.get_metadata(namespace).await.ok().and_then(|found| found.metadata.labels);
        labels.and_then(|labels| labels.get(labels::TEAM).cloned()).unwrap_or_else(platform)
    }

    async fn message(&self, application: &Application) -> proto::Application {
        let team = self.team(application.spec.destination.namespace.as_ref()).await;
        convert::application(application, team)
    }

    /// Writes `operation`, unless one waits or runs.
    async fn ask(
        &self,
        application: &Application,
        sync: &proto::SyncApplicationRequest,
        user: &str,
    ) -> Result<Application, Status> {
        let phase = application
            .status
            .as_ref()
            .and_then(|status| status.operation_state.as_ref())
            .map(|state| state.phase.as_str());
        if application.operation.is_some() || phase == Some(RUNNING) {
            return Err(Status::failed_precondition("a sync is under way already; wait for its end"));
        }
        let revision = Some(sync.revision.clone()).filter(|revision| !revision.is_empty());
        let wanted =
            SyncOperation { revision, prune: sync.prune, dry_run: sync.dry_run, ..SyncOperation::default() };
        let body = json!({
            "metadata": {"resourceVersion": application.resource_version()},
            "operation": {"initiatedBy": {"username": user}, "sync": wanted},
        });
        let params = PatchParams { field_manager: Some(self.manager.into()), ..PatchParams::default() };
        let api = Api::<Application>::namespaced(self.client.clone(), &sync.namespace);
        let patched = api.patch(&sync.name, &params, &Patch::Merge(&body)).await;
        patched.map_err(|source| status_from(&mlp_reconcile::Error::of("ask for a sync", source)))
    }
}

#[tonic::async_trait]
impl GitopsService for Applications {
    type WatchApplicationsStream = BoxStream<'static, Result<proto::WatchApplicationsResponse, Status>>;

    async fn get_application(
        &self,
        request: Request<proto::GetApplicationRequest>,
    ) -> Result<Response<proto::GetApplicationResponse>, Status> {
        let proto::GetApplicationRequest { namespace, name } = request.get_ref();
        let application = self.objects.get(&request, namespace, name).await?;
        let application = Some(self.message(&application).await);
        Ok(Response::new(proto::GetApplicationResponse { application }))
    }

    async fn list_applications(
        &self,
        request: Request<proto::ListApplicationsRequest>,
    ) -> Result<Response<proto::ListApplicationsResponse>, Status> {
        let proto::ListApplicationsRequest { namespace, page_size, page_token } = request.get_ref();
        let page = self.objects.list(&request, namespace, *page_size, page_token).await?;
        let mut teams = HashMap::new();
        let mut applications = Vec::with_capacity(page.items.len());
        for application in &page.items {
            let destination = application.spec.destination.namespace.clone();
            let team = match teams.get(&destination) {
                Some(team) => String::clone(team),
                None => self.team(destination.as_ref()).await,
            };
            teams.insert(destination, team.clone());
            applications.push(convert::application(application, team));
        }
        let (next_page_token, resource_version) = (page.next, page.version);
        Ok(Response::new(proto::ListApplicationsResponse { applications, next_page_token, resource_version }))
    }

    async fn watch_applications(
        &self,
        request: Request<proto::WatchApplicationsRequest>,
    ) -> Result<Response<Self::WatchApplicationsStream>, Status> {
        let proto::WatchApplicationsRequest { namespace, name, resource_version } = request.get_ref();
        let changes = self.objects.watch(&request, namespace, name, resource_version).await?;
        let service = self.clone();
        let messages = changes.and_then(move |(changed, resource_version)| {
            let service = service.clone();
            async move {
                let (kind, maybe_application) = convert::change(changed);
                let application = match &maybe_application {
                    Some(application) => Some(service.message(application).await),
                    None => None,
                };
                Ok(proto::WatchApplicationsResponse { r#type: kind.into(), application, resource_version })
            }
        });
        Ok(Response::new(messages.boxed()))
    }

    async fn sync_application(
        &self,
        request: Request<proto::SyncApplicationRequest>,
    ) -> Result<Response<proto::SyncApplicationResponse>, Status> {
        let wanted = request.get_ref();
        let application = self.objects.get(&request, &wanted.namespace, &wanted.name).await?;
        let access = Access::new("patch", "argoproj.io", "applications");
        let access = access.in_namespace(&wanted.namespace).named(&wanted.name);
        self.authorizer.check(&request, &access).await?;
        let user = Identity::of(&request).map(|identity| identity.user.clone()).unwrap_or_default();
        let application = self.ask(&application, wanted, &user).await?;
        let application = Some(self.message(&application).await);
        Ok(Response::new(proto::SyncApplicationResponse { application }))
    }
}
