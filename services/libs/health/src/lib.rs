//! Health of Kubernetes objects, as Argo CD tells it: one library for whoever asks.
//!
//! [`of`] are the built-in rules; [`Scripts`] are those of an `argocd-cm`, which come first; [`lua`] runs one script
//! within bounds. Nothing here makes a call: an object goes in, a [`Health`] comes out.

pub mod lua;
mod rules;
mod scripts;

pub use lua::{LuaError, Script};
pub use rules::{Health, Level, of, worst};
pub use scripts::Scripts;
