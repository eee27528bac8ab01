//! `mlp.provision.api.v1.ProvisionService`: a face of the Database and Cache resources.

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use mlp_crds::{Cache, Database};
use mlp_host::grpc::{Objects, invalid_fields};
use mlp_proto::json::from_struct;
use mlp_proto::provision::api::v1 as proto;
use mlp_proto::provision::api::v1::provision_service_server::ProvisionService;
use tonic::{Request, Response, Status};

use super::convert;

/// Serves Databases and Caches to callers that may read and write them.
pub struct Requests {
    databases: Objects<Database>,
    caches: Objects<Cache>,
}

impl Requests {
    /// Serves what `databases` and `caches` read and write.
    pub const fn new(databases: Objects<Database>, caches: Objects<Cache>) -> Self {
        Self { databases, caches }
    }
}

/// Both kinds live in a namespace; without one a call would ask for all.
fn within(namespace: &str) -> Result<&str, Status> {
    if namespace.is_empty() {
        Err(invalid_fields([("namespace", "write the team's namespace")]))
    } else {
        Ok(namespace)
    }
}

#[tonic::async_trait]
impl ProvisionService for Requests {
    type WatchDatabasesStream = BoxStream<'static, Result<proto::WatchDatabasesResponse, Status>>;

    async fn get_database(
        &self,
        request: Request<proto::GetDatabaseRequest>,
    ) -> Result<Response<proto::GetDatabaseResponse>, Status> {
        let proto::GetDatabaseRequest { namespace, name } = request.get_ref();
        let found = self.databases.get(&request, within(namespace)?, name).await?;
        Ok(Response::new(proto::GetDatabaseResponse { database: Some(convert::database(&found)) }))
    }

    async fn list_databases(
        &self,
        request: Request<proto::ListDatabasesRequest>,
    ) -> Result<Response<proto::ListDatabasesResponse>, Status> {
        let proto::ListDatabasesRequest { namespace, page_size, page_token } = request.get_ref();
        let page = self.databases.list(&request, namespace, *page_size, page_token).await?;
        Ok(Response::new(proto::ListDatabasesResponse {
            databases: page.items.iter().map(convert::database).collect(),
            next_page_token: page.next,
            resource_version: page.version,
        }))
    }

    async fn watch_databases(
        &self,
        request: Request<proto::WatchDatabasesRequest>,
    ) -> Result<Response<Self::WatchDatabasesStream>, Status> {
        let proto::WatchDatabasesRequest { namespace, name, resource_version } = request.get_ref();
        let changes = self.databases.watch(&request, namespace, name, resource_version).await?;
        let responses = changes.map_ok(|(changed, resource_version)| {
            let (kind, maybe) = convert::change(changed, convert::database);
            proto::WatchDatabasesResponse { r#type: kind.into(), database: maybe, resource_version }
        });
        Ok(Response::new(responses.boxed()))
    }

    async fn apply_database(
        &self,
        request: Request<proto::ApplyDatabaseRequest>,
    ) -> Result<Response<proto::ApplyDatabaseResponse>, Status> {
        let proto::ApplyDatabaseRequest { namespace, name, spec, dry_run } = request.get_ref();
        let spec = from_struct(&spec.clone().unwrap_or_default());
        let (after, change) =
            self.databases.apply(&request, within(namespace)?, name, spec, *dry_run).await?;
        let change = convert::what_changed(change).into();
        Ok(Response::new(proto::ApplyDatabaseResponse { database: Some(convert::database(&after)), change }))
    }

    async fn delete_database(
        &self,
        request: Request<proto::DeleteDatabaseRequest>,
    ) -> Result<Response<proto::DeleteDatabaseResponse>, Status> {
        let proto::DeleteDatabaseRequest { namespace, name, uid } = request.get_ref();
        self.databases.delete(&request, within(namespace)?, name, uid).await?;
        Ok(Response::new(proto::DeleteDatabaseResponse {}))
    }

    type WatchCachesStream = BoxStream<'static, Result<proto::WatchCachesResponse, Status>>;

    async fn get_cache(
        &self,
        request: Request<proto::GetCacheRequest>,
    ) -> Result<Response<proto::GetCacheResponse>, Status> {
        let proto::GetCacheRequest { namespace, name } = request.get_ref();
        let found = self.caches.get(&request, within(namespace)?, name).await?;
        Ok(Response::new(proto::GetCacheResponse { cache: Some(convert::cache(&found)) }))
    }

    async fn list_caches(
        &self,
        request: Request<proto::ListCachesRequest>,
    ) -> Result<Response<proto::ListCachesResponse>, Status> {
        let proto::ListCachesRequest { namespace, page_size, page_token } = request.get_ref();
        let page = self.caches.list(&request, namespace, *page_size, page_token).await?;
        Ok(Response::new(proto::ListCachesResponse {
            caches: page.items.iter().map(convert::cache).collect(),
            next_page_token: page.next,
            resource_version: page.version,
        }))
    }

    async fn watch_caches(
        &self,
        request: Request<proto::WatchCachesRequest>,
    ) -> Result<Response<Self::WatchCachesStream>, Status> {
        let proto::WatchCachesRequest { namespace, name, resource_version } = request.get_ref();
        let changes = self.caches.watch(&request, namespace, name, resource_version).await?;
        let responses = changes.map_ok(|(changed, resource_version)| {
            let (kind, maybe) = convert::change(changed, convert::cache);
            proto::WatchCachesResponse { r#type: kind.into(), cache: maybe, resource_version }
        });
        Ok(Response::new(responses.boxed()))
    }

    async fn apply_cache(
        &self,
        request: Request<proto::ApplyCacheRequest>,
    ) -> Result<Response<proto::ApplyCacheResponse>, Status> {
        let proto::ApplyCacheRequest { namespace, name, spec, dry_run } = request.get_ref();
        let spec = from_struct(&spec.clone().unwrap_or_default());
        let (after, change) = self.caches.apply(&request, within(namespace)?, name, spec, *dry_run).await?;
        let change = convert::what_changed(change).into();
        Ok(Response::new(proto::ApplyCacheResponse { cache: Some(convert::cache(&after)), change }))
    }

    async fn delete_cache(
        &self,
        request: Request<proto::DeleteCacheRequest>,
    ) -> Result<Response<proto::DeleteCacheResponse>, Status> {
        let proto::DeleteCacheRequest { namespace, name, uid } = request.get_ref();
        self.caches.delete(&request, within(namespace)?, name, uid).await?;
        Ok(Response::new(proto::DeleteCacheResponse {}))
    }
}
