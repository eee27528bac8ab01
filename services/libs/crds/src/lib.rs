//! The custom resources as Rust types; deploy/crds is generated from them.
