//! gRPC by the platform's rules (design section 4).
//!
//! [`Server`] serves a service's routes with health and reflection open and the rest behind
//! authentication; every call has a span, a duration and a deadline. [`Authorizer`] asks the API
//! server, [`status_from`] turns an error into a status, [`channel`] is the client's side, and [`Objects`]
//! reads and writes custom resources for callers.

mod authenticate;
mod authorize;
mod body;
mod cache;
mod call;
mod client;
mod contents;
mod health;
mod identity;
mod objects;
mod server;
mod status;

pub use authorize::{Access, Authorizer};
pub use call::Deadline;
pub use client::{CallHeaders, ChannelOptions, ClientError, ServiceChannel, channel};
pub use identity::Identity;
pub use objects::{Change, Changed, Changes, Objects, Page};
pub use server::Server;
pub use status::{DOMAIN, invalid_fields, status_from};
