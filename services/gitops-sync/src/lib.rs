//! Argo CD Applications: rendered from git, applied, pruned, healed.

pub mod domain;
