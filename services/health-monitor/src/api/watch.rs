//! Changes of records and incidents as one stream, resumable by resource version.

use std::pin::Pin;

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::{Client, Resource, ResourceExt};
use mlp_crds::{HealthRecord, Incident};
use mlp_host::grpc::status_from;
use mlp_model::labels;
use mlp_proto::common::v1::WatchType;
use mlp_proto::health::api::v1::WatchHealthResponse;
use mlp_proto::health::api::v1::watch_health_response::Change;
use serde::de::DeserializeOwned;
use tonic::Status;

use super::convert;

/// The stream of `WatchHealth`. Ends with `OUT_OF_RANGE` when the version is too old to resume from.
pub(super) type Changes = Pin<Box<dyn Stream<Item = Result<WatchHealthResponse, Status>> + Send>>;

/// How long the API server keeps one watch; the stream then ends and the client resumes.
const WATCH_SECONDS: u32 = 290;

/// What is, where `version` is empty, then what changes.
pub(super) async fn changes(client: Client, team: &str, version: &str) -> Result<Changes, Status> {
    let selector = if team.is_empty() { String::new() } else { format!("{}={team}", labels::TEAM) };
    let record = |object: &HealthRecord| Change::Team(convert::team(object, 0));
    let incident = |object: &Incident| Change::Incident(convert::incident(object));
    let records = kind(client.clone(), &selector, version, record).await?;
    let incidents = kind(client, &selector, version, incident).await?;
    Ok(Box::pin(stream::select(records, incidents)))
}

async fn kind<K, F>(client: Client, selector: &str, version: &str, change: F) -> Result<Changes, Status>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
    F: Fn(&K) -> Change + Send + Copy + 'static,
{
    let api: Api<K> = Api::all(client);
    let failed = |source| status_from(&mlp_reconcile::Error::of("watch health", source));
    let (existing, from) = if version.is_empty() {
        let listed = api.list(&ListParams::default().labels(selector)).await.map_err(failed)?;
        let from = listed.metadata.resource_version.unwrap_or_default();
        (listed.items, from)
    } else {
        (Vec::new(), version.to_owned())
    };
    let params = WatchParams::default().labels(selector).timeout(WATCH_SECONDS);
    let live = api.watch(&params, &from).await.map_err(failed)?;
    let first =
        stream::iter(existing.into_iter().map(move |object| Ok(response(WatchType::Added, &object, change))));
    let later =
        live.map_err(failed).filter_map(move |event| async move { answer(event, change).transpose() });
    Ok(Box::pin(first.chain(later)))
}

fn answer<K, F>(
    event: Result<WatchEvent<K>, Status>,
    change: F,
) -> Result<Option<WatchHealthResponse>, Status>
where
    K: ResourceExt,
    F: Fn(&K) -> Change,
{
    Ok(match event? {
        WatchEvent::Added(object) => Some(response(WatchType::Added, &object, change)),
        WatchEvent::Modified(object) => Some(response(WatchType::Modified, &object, change)),
        WatchEvent::Deleted(object) => Some(response(WatchType::Deleted, &object, change)),
        WatchEvent::Bookmark(bookmark) => Some(WatchHealthResponse {
            r#type: WatchType::Bookmark.into(),
            change: None,
            resource_version: bookmark.metadata.resource_version,
        }),
        WatchEvent::Error(status) if status.code == 410 => {
            return Err(Status::out_of_range("resource_version is too old; call again with it empty"));
        }
        WatchEvent::Error(status) => return Err(Status::unavailable(status.message)),
    })
}

fn response<K: ResourceExt>(
    kind: WatchType,
    object: &K,
    change: impl Fn(&K) -> Change,
) -> WatchHealthResponse {
    WatchHealthResponse {
        r#type: kind.into(),
        change: Some(change(object)),
        resource_version: object.resource_version().unwrap_or_default(),
    }
}
