//! Argo CD Applications: rendered from git, applied, pruned, healed.
//!
//! Somebody declares an Argo CD `Application`. This service validates it and refuses by name what it
//! does not support ([`domain::request`]), checks what project and tenancy allow
//! ([`domain::project`]), reads the folder at its commit out of a bare mirror ([`store`]), has Kustomize or Helm
//! make manifests of it where it is theirs ([`render`]), reads the manifests ([`domain::manifest`]) and compares them with what is live by asking the API server what
//! an apply would change ([`domain::compare`]). Whether to sync is decided in [`domain::operation`];
//! [`reconcile`] applies stage by stage, deletes what left git, and undoes what was changed beside it.
//! The Application's status is written as Argo CD writes it ([`domain::status`]); the facts that follow go
//! through the outbox of a companion `ApplicationRecord`, because the Application is not ours
//! ([`events`]). An `ApplicationSet` makes Applications of what its generators find ([`domain::application_set`], with
//! [`forge`] for pull requests). Forges tell of pushes by [`webhook`]. People and other programs read and ask for syncs over gRPC ([`api`]).

pub mod api;
pub mod app;
pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod forge;
pub mod reconcile;
pub mod render;
pub mod store;
pub mod webhook;
