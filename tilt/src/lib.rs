//! The local control plane: toolchain, certificates, processes, nodes.
//!
//! Read in this order: [`layout`] (the folders), [`toolchain`] (binaries, found or built once),
//! [`ports`], [`process`] (start, probe, stop), [`plane`] (the components). [`progress`] is what
//! a person sees meanwhile.

pub mod layout;
pub mod plane;
pub mod ports;
pub mod process;
pub mod progress;
pub mod toolchain;

pub use layout::Layout;
pub use progress::Progress;
pub use toolchain::Toolchain;
