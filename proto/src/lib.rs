//! Protobuf events and gRPC contracts, with the generated code in git.
//!
//! The `.proto` files under `proto/mlp` are the contract; `src/gen` is made from them by
//! `UPDATE_GOLDEN=1 cargo test -p mlp-proto` and kept in step by the same test. [`catalogue`] is the
//! table of events, [`json`] carries specs through `google.protobuf.Struct`.
//!
//! ```
//! use mlp_proto::Name as _;
//! assert_eq!(mlp_proto::team::events::v1::TeamIsolated::full_name(), "mlp.team.events.v1.TeamIsolated");
//! ```

pub mod catalogue;
pub mod json;

#[path = "gen/mod.rs"]
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, reason = "generated")]
mod generated;

pub use catalogue::{EVENTS, EventSpec};
pub use generated::mlp::{common, cost, gitops, health, provision, team};
pub use prost::{Message, Name};

/// The encoded `FileDescriptorSet` of all contracts, imports included: for reflection and for
/// reading events without their types.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!("../descriptor.bin");
