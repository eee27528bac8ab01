//! `mlp.gitops.api.v1.GitopsService`: a face of the Application resource. It keeps nothing of its own.

use std::collections::HashMap;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use mlp_crds::Application;
use mlp_host::grpc::{Access, Authorizer, Identity, Objects, status_from};
use mlp_model::{labels, name};
use mlp_proto::gitops::api::v1 as proto;
use mlp_proto::gitops::api::v1::gitops_service_server::GitopsService;
use tonic::{Code, Request, Response, Status};

use super::asks::{Asks, Wish};
use super::{convert, views};
use crate::domain::view::View;
use crate::reconcile::Viewer;

/// How often a change is tried where somebody else changes the same Application.
const ATTEMPTS: usize = 5;

/// Serves Applications to callers that may read and write them.
#[derive(Clone)]
pub struct Applications {
    objects: Objects<Application>,
    client: kube::Client,
    authorizer: Authorizer,
    asks: Asks,
    viewer: Viewer,
}

impl Applications {
    /// Serves what `objects` reads and `viewer` sees; asks for syncs through `client` as field manager `manager`.
    pub fn new(
        objects: Objects<Application>,
        client: kube::Client,
        authorizer: Authorizer,
        manager: &'static str,
        viewer: Viewer,
    ) -> Self {
        let asks = Asks::new(client.clone(), manager);
        Self { objects, client, authorizer, asks, viewer }
    }

    /// What an Application that the caller may read is at a revision.
    async fn view<T: Send + Sync>(
        &self,
        request: &Request<T>,
        (namespace, name, revision): (&str, &str, &str),
        compares: bool,
    ) -> Result<View, Status> {
        let application = self.objects.get(request, namespace, name).await?;
        let revision = Some(revision).filter(|revision| !revision.is_empty());
        let view = self.viewer.view(&application, revision, compares).await;
        let view = view.map_err(|error| status_from(&error))?;
        view.map_err(|fault| Status::failed_precondition(fault.message))
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

    /// Does what the caller wishes of an Application that the caller may change; one that changes meanwhile is read anew.
    async fn change<T: Send + Sync>(
        &self,
        request: &Request<T>,
        namespace: &str,
        name: &str,
        wish: Wish<'_>,
    ) -> Result<Option<proto::Application>, Status> {
        let access = Access::new("patch", "argoproj.io", "applications").in_namespace(namespace).named(name);
        let mut attempts = ATTEMPTS;
        loop {
            let application = self.objects.get(request, namespace, name).await?;
            self.authorizer.check(request, &access).await?;
            let user = Identity::of(request).map(|identity| identity.user.clone()).unwrap_or_default();
            attempts -= 1;
            match self.asks.carry_out(&application, wish, &user).await {
                Err(status) if status.code() == Code::Aborted && attempts > 0 => {}
                changed => return Ok(Some(self.message(&changed?).await)),
            }
        }
    }
}

#[tonic::async_trait]
impl GitopsService for Applications {
    type DiffApplicationStream = BoxStream<'static, Result<proto::DiffApplicationResponse, Status>>;
    type GetManifestsStream = BoxStream<'static, Result<proto::GetManifestsResponse, Status>>;
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
        let wish = request.get_ref();
        let application = self.change(&request, &wish.namespace, &wish.name, Wish::Sync(wish)).await?;
        Ok(Response::new(proto::SyncApplicationResponse { application }))
    }

    async fn terminate_sync(
        &self,
        request: Request<proto::TerminateSyncRequest>,
    ) -> Result<Response<proto::TerminateSyncResponse>, Status> {
        let proto::TerminateSyncRequest { namespace, name } = request.get_ref();
        let application = self.change(&request, namespace, name, Wish::Terminate).await?;
        Ok(Response::new(proto::TerminateSyncResponse { application }))
    }

    async fn get_application_history(
        &self,
        request: Request<proto::GetApplicationHistoryRequest>,
    ) -> Result<Response<proto::GetApplicationHistoryResponse>, Status> {
        let proto::GetApplicationHistoryRequest { namespace, name } = request.get_ref();
        let application = self.objects.get(&request, namespace, name).await?;
        let history = application.status.unwrap_or_default().history;
        let entries = history.iter().rev().map(convert::entry).collect();
        Ok(Response::new(proto::GetApplicationHistoryResponse { entries }))
    }

    async fn rollback_application(
        &self,
        request: Request<proto::RollbackApplicationRequest>,
    ) -> Result<Response<proto::RollbackApplicationResponse>, Status> {
        let wish = request.get_ref();
        let application = self.change(&request, &wish.namespace, &wish.name, Wish::Rollback(wish)).await?;
        Ok(Response::new(proto::RollbackApplicationResponse { application }))
    }

    async fn release_application(
        &self,
        request: Request<proto::ReleaseApplicationRequest>,
    ) -> Result<Response<proto::ReleaseApplicationResponse>, Status> {
        let proto::ReleaseApplicationRequest { namespace, name } = request.get_ref();
        let application = self.change(&request, namespace, name, Wish::Release).await?;
        Ok(Response::new(proto::ReleaseApplicationResponse { application }))
    }

    async fn diff_application(
        &self,
        request: Request<proto::DiffApplicationRequest>,
    ) -> Result<Response<Self::DiffApplicationStream>, Status> {
        let proto::DiffApplicationRequest { namespace, name, revision } = request.get_ref();
        let view = self.view(&request, (namespace, name, revision), true).await?;
        Ok(Response::new(stream::iter(views::differences(view).into_iter().map(Ok)).boxed()))
    }

    async fn get_manifests(
        &self,
        request: Request<proto::GetManifestsRequest>,
    ) -> Result<Response<Self::GetManifestsStream>, Status> {
        let proto::GetManifestsRequest { namespace, name, revision } = request.get_ref();
        let view = self.view(&request, (namespace, name, revision), false).await?;
        Ok(Response::new(stream::iter(views::manifests(view).into_iter().map(Ok)).boxed()))
    }

    async fn get_findings(
        &self,
        request: Request<proto::GetFindingsRequest>,
    ) -> Result<Response<proto::GetFindingsResponse>, Status> {
        let proto::GetFindingsRequest { namespace, name, revision } = request.get_ref();
        let view = self.view(&request, (namespace, name, revision), false).await?;
        Ok(Response::new(views::findings(view)))
    }
}
