//! What is wanted, what is so, and what follows: pure.
//!
//! In reading order: [`request`] (the spec, validated), [`project`] (what it may do),
//! [`credential`] (with what a repository is read), [`tool`], [`kustomize`] and
//! [`helm`] (what makes manifests of files), [`manifest`] (manifests, read), [`identity`] (names and tracking), [`order`] (waves), [`hook`], [`revision`] (commits) and [`version`] (ranges of tags), [`compare`] (in sync or
//! not, but for what [`ignore`] leaves out: [`jq`], [`managed_fields`]), [`picture`] (all of it together), [`hold`], [`window`], [`policy`], [`orphan`] (what is nobody's), [`operation`] (whether to sync) and its [`termination`], [`departure`] (the end), [`status`] (what
//! Argo CD would write), [`statement`] (facts), [`view`] (what a person is shown). [`application_set`] makes Applications. [`delivery`] tells where to look.

pub mod application_set;
pub mod compare;
pub mod consent;
pub mod credential;
pub mod delivery;
pub mod departure;
pub mod duration;
pub mod glob;
pub mod helm;
pub mod hold;
pub mod hook;
pub mod identity;
pub mod ignore;
pub mod jq;
pub mod kustomize;
pub mod managed_fields;
pub mod manifest;
pub mod object_options;
pub mod operation;
pub mod order;
pub mod orphan;
pub mod picture;
pub mod place;
pub mod policy;
pub mod project;
pub mod request;
pub mod revision;
pub mod selection;
pub mod statement;
pub mod status;
pub mod termination;
pub mod tool;
pub mod version;
pub mod view;
pub mod window;

/// The service's name: its field manager, ServiceAccount and Lease.
pub const SERVICE: &str = "gitops-sync";
/// The annotation by which somebody asks for one look at an Application, and at its repository, now.
pub const REFRESH: &str = "argocd.argoproj.io/refresh";
