//! Which kinds the API server serves, remembered for a while.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;
use kube::Client;
use kube::core::ApiResource;
use kube::discovery::{Discovery, Scope, verbs};

use crate::domain::identity::{ObjectId, split_api_version};
use crate::error::Error;

/// How long an answer counts.
const FRESH: Duration = Duration::from_secs(60);
/// How long "there is no such kind" counts: a definition may be installed at any time.
const FRESH_ABSENCE: Duration = Duration::from_secs(1);
/// Group versions remembered.
const REMEMBERED: usize = 256;

/// One kind that is served.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) resource: ApiResource,
    pub(super) namespaced: bool,
}

/// The kinds of one group version, and when they were asked for.
type Answer = (Instant, Vec<APIResource>);

/// The cluster as charts ask about it.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// `v1.36.3`.
    pub(super) version: String,
    /// Group versions, and each with every kind of it: `apps/v1`, `apps/v1/Deployment`.
    pub(super) kinds: Vec<String>,
    /// Namespaced kinds that can be listed, each in the version that its group prefers.
    pub(super) listable: Vec<Kind>,
}

pub(super) struct Kinds {
    client: Client,
    known: Mutex<HashMap<String, Answer>>,
    served: tokio::sync::Mutex<Option<(Instant, Arc<Served>)>>,
}

impl Kinds {
    pub(super) fn new(client: Client) -> Self {
        Self { client, known: Mutex::default(), served: tokio::sync::Mutex::default() }
    }

    /// The kind of an object, or none where it is not served.
    pub(super) async fn find(&self, id: &ObjectId) -> Result<Option<Kind>, Error> {
        let api_version = id.api_version();
        if let Some(kind) = self.remembered(&api_version, &id.kind) {
            return Ok(kind);
        }
        let listed = if id.group.is_empty() {
            self.client.list_core_api_resources(&id.version).await
        } else {
            self.client.list_api_group_resources(&api_version).await
        };
        let resources = match listed {
            Ok(list) => list.resources,
            Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
            Err(source) => return Err(Error::call(format!("ask for the kinds of {api_version}"), source)),
        };
        let kind = pick(&api_version, &resources, &id.kind);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(api_version, (Instant::now(), resources));
        Ok(kind)
    }

    /// Everything that is served, asked for at most once in a while.
    pub(super) async fn served(&self) -> Result<Arc<Served>, Error> {
        let mut known = self.served.lock().await;
        if let Some((_, served)) = known.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(Arc::clone(served));
        }
        let action = || "ask what the API server serves".to_owned();
        let version =
            self.client.apiserver_version().await.map_err(|source| Error::call(action(), source))?;
        let discovery = Discovery::new(self.client.clone()).run_aggregated().await;
        let discovery = discovery.map_err(|source| Error::call(action(), source))?;
        let mut kinds = BTreeSet::new();
        let mut listable = Vec::new();
        for group in discovery.groups() {
            let preferred = group.recommended_resources().into_iter();
            let lists = preferred
                .filter(|(_, can)| can.scope == Scope::Namespaced && can.supports_operation(verbs::LIST));
            listable.extend(lists.map(|(resource, _)| Kind { resource, namespaced: true }));
            for version in group.versions() {
                for (resource, _) in group.versioned_resources(version) {
                    kinds.insert(format!("{}/{}", resource.api_version, resource.kind));
                    kinds.insert(resource.api_version);
                }
            }
        }
        let served =
            Arc::new(Served { version: version.git_version, kinds: kinds.into_iter().collect(), listable });
        *known = Some((Instant::now(), Arc::clone(&served)));
        Ok(served)
    }

    /// An answer that still counts: outer none means that the server is to be asked.
    fn remembered(&self, api_version: &str, kind: &str) -> Option<Option<Kind>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, resources) = known.get(api_version)?;
        let found = pick(api_version, resources, kind);
        let fresh = if found.is_some() { FRESH } else { FRESH_ABSENCE };
        (at.elapsed() < fresh).then_some(found)
    }
}

fn pick(api_version: &str, resources: &[APIResource], kind: &str) -> Option<Kind> {
    let found = resources.iter().find(|resource| resource.kind == kind && !resource.name.contains('/'))?;
    let (group, version) = split_api_version(api_version);
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural: found.name.clone(),
    };
    Some(Kind { resource, namespaced: found.namespaced })
}
