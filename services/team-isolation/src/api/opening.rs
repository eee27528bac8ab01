//! Opening and closing namespaces in a member's name: the right is asked of the API server, the Team is
//! changed by server-side apply under a field manager of its own, so that a declaration that is applied the same way
//! and what members opened do not undo each other. (A client-side apply replaces the list.)

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use mlp_crds::Team;
use mlp_crds::team::TeamNamespace;
use mlp_host::grpc::{Access, Authorizer, Objects, invalid_fields};
use mlp_model::environment::{Environment, UnknownEnvironment};
use mlp_proto::team::api::v1 as proto;
use serde_json::json;
use tonic::{Code, Request, Status};

use super::{caller, members, refused};
use crate::domain::opening::{self, Objection, Wish};
use crate::domain::rights::{OPENED, OPENED_GROUP};
use crate::reconcile::team_of;

/// Field manager of what members opened.
const MANAGER: &str = "team-isolation-self-service";
/// How often a change is begun anew when the Team changed meanwhile; its status does so often.
const ATTEMPTS: usize = 5;

/// What a call needs.
pub(super) struct Opening<'a> {
    pub(super) client: &'a Client,
    pub(super) authorizer: &'a Authorizer,
    pub(super) objects: &'a Objects<Team>,
}

/// What is asked for.
enum Asked {
    Open(Wish),
    Close(String),
}

impl Asked {
    /// The verb that the caller must hold.
    const fn verb(&self) -> &'static str {
        match self {
            Self::Open(_) => "create",
            Self::Close(_) => "delete",
        }
    }
}

impl Opening<'_> {
    /// Opens a namespace, or changes one that is open.
    pub(super) async fn open(&self, request: &Request<proto::OpenNamespaceRequest>) -> Result<Team, Status> {
        let asked = request.get_ref();
        let wish = Wish {
            name: asked.name.clone(),
            environment: environment(&asked.environment)?,
            share: asked.share,
            by: caller(request)?.user,
        };
        self.change(request, &asked.team, &Asked::Open(wish)).await
    }

    /// Closes a namespace; it goes when it is empty.
    pub(super) async fn close(
        &self,
        request: &Request<proto::CloseNamespaceRequest>,
    ) -> Result<Team, Status> {
        let asked = request.get_ref();
        self.change(request, &asked.team, &Asked::Close(asked.name.clone())).await
    }

    async fn change<T: Sync>(&self, request: &Request<T>, name: &str, asked: &Asked) -> Result<Team, Status> {
        let mut attempts = 0;
        loop {
            let team = members::team_for_member(self.client, self.authorizer, request, name).await?;
            let access = Access::new(asked.verb(), OPENED_GROUP, OPENED).in_namespace(home(&team)?);
            self.authorizer.check(request, &access).await?;
            let wanted = match asked {
                Asked::Open(wish) => {
                    let opened = opening::open(&team, wish, &self.teams().await?).map_err(objected)?;
                    self.is_free(&team, &wish.name).await.map(|()| opened)?
                }
                Asked::Close(name) => opening::close(&team, name).map_err(objected)?,
            };
            if wanted.iter().eq(opening::opened(&team)) {
                return Ok(team);
            }
            let spec = json!({"namespaces": wanted});
            match self.objects.apply_part(MANAGER, &team, &spec).await {
                Err(status) if status.code() == Code::Aborted && attempts < ATTEMPTS => attempts += 1,
                Err(status) => return Err(status),
                Ok(changed) => return held_by_others(&changed, &wanted).map(|()| changed),
            }
        }
    }

    /// A namespace that is there and not the team's would keep the whole team from being ready.
    async fn is_free(&self, team: &Team, name: &str) -> Result<(), Status> {
        let found = Api::<Namespace>::all(self.client.clone()).get_opt(name).await;
        let found = found.map_err(|error| refused("read the namespace", &error))?;
        match found {
            Some(namespace) if team_of(&namespace) != team.metadata.name => Err(invalid_fields([(
                "name",
                format!("there is a namespace {name} already; choose another name"),
            )])),
            Some(namespace) if namespace.metadata.deletion_timestamp.is_some() => {
                let why = format!("namespace {name} is being deleted; open it again once it is gone");
                Err(Status::failed_precondition(why))
            }
            _ => Ok(()),
        }
    }

    async fn teams(&self) -> Result<Vec<String>, Status> {
        let listed = Api::<Team>::all(self.client.clone()).list_metadata(&ListParams::default()).await;
        let listed = listed.map_err(|error| refused("list the teams", &error))?;
        Ok(listed.iter().map(ResourceExt::name_any).collect())
    }
}

/// The namespace in which the right is held: the team's first, which it must hold itself, because a declaration
/// may name another's.
fn home(team: &Team) -> Result<String, Status> {
    let first = team.namespace_names().into_iter().next().unwrap_or_default();
    let held = team.status.iter().flat_map(|status| &status.namespaces).any(|one| one.name == first);
    if held {
        Ok(first)
    } else {
        Err(Status::failed_precondition(format!("the team does not have its namespace {first} yet")))
    }
}

/// An entry that somebody else applied, too, stays when it is left out here.
fn held_by_others(team: &Team, wanted: &[TeamNamespace]) -> Result<(), Status> {
    match opening::opened(team).find(|one| wanted.iter().all(|kept| kept.name != one.name)) {
        None => Ok(()),
        Some(held) => Err(Status::failed_precondition(format!(
            "{} stays in spec.namespaces of the Team, because somebody has applied it there; have it removed there",
            held.name
        ))),
    }
}

fn environment(asked: &str) -> Result<Option<Environment>, Status> {
    if asked.is_empty() {
        return Ok(None);
    }
    let read = asked.parse().map(Some);
    read.map_err(|error: UnknownEnvironment| invalid_fields([("environment", error.to_string())]))
}

fn objected(objections: Vec<Objection>) -> Status {
    invalid_fields(objections.into_iter().map(|one| (one.field, one.why)))
}
