//! The local control plane: toolchain, certificates, processes, nodes.
