//! The local control plane: toolchain, certificates, processes, nodes.
//!
//! Read in this order: [`layout`] (the folders), [`toolchain`] (binaries, found or built once),
//! [`pki`] (keys), [`ports`] and [`network`] (addresses), [`process`] (start, probe, stop),
//! [`plane`] (the components), [`cluster`] (what it holds from the start), [`pools`] (simulated
//! nodes). [`progress`] is what a person sees meanwhile, [`cargo`] is how all of this calls cargo.

pub mod cargo;
pub mod cluster;
pub mod kubeconfig;
pub mod layout;
pub mod network;
pub mod node;
pub mod pki;
pub mod plane;
pub mod pools;
pub mod ports;
pub mod process;
pub mod progress;
pub mod toolchain;

pub use layout::Layout;
pub use network::Network;
pub use plane::{Broker, Nodes, Options, Plane, PlaneError};
pub use progress::Progress;
pub use toolchain::Toolchain;
